"""Expectations of a case. An unmet one raises an error with the expected and the actual value."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sessiondex.models import Session

E = TypeVar("E", bound=Exception)

_MAX_VALUE_CHARS = 200  # of a value that a message shows


class ContractViolation(AssertionError):  # noqa: N818  # a finding of the kit, which no caller handles
    """Raised by a case if the store breaks the contract; the message gives the expected and the actual value."""


def expect(actual: object, expected: object, subject: str) -> None:
    """Raise `ContractViolation` unless both are equal; unlike `assert`, also under `python -O`.

    >>> expect(1, 2, "how many there are")
    Traceback (most recent call last):
    ...
    sessiondex.testing.expectations.ContractViolation: how many there are: expected 2, but it was 1
    """
    if actual != expected:
        raise ContractViolation(f"{subject}: {_describe_difference(actual, expected)}")


def expect_increasing(values: Sequence[Any], subject: str) -> None:
    """Raise `ContractViolation` unless each value is greater than the one before.

    >>> expect_increasing([1, 3, 3], "stamps")
    Traceback (most recent call last):
    ...
    sessiondex.testing.expectations.ContractViolation: stamps: each must be greater than the one before, but 3 follows 3
    """
    for earlier, later in pairwise(values):
        if not earlier < later:
            raise ContractViolation(
                f"{subject}: each must be greater than the one before, but {later} follows {earlier}"
            )


class ExpectedError(Generic[E]):
    """A context manager for a block that must raise an error, which it keeps in `error`."""

    def __init__(self, kind: type[E], subject: str) -> None:
        self._kind = kind
        self._subject = subject
        self._error: E | None = None

    @property
    def error(self) -> E:
        """The error that the block raised."""
        if self._error is None:
            raise LookupError("error: nothing was raised yet; read it after the block")
        return self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Keep and suppress the error if it is of the expected class."""
        if isinstance(error, self._kind):
            self._error = error
            return True
        if error is None:
            raise ContractViolation(f"{self._subject}: expected {self._kind.__name__}, but nothing was raised")
        if isinstance(error, Exception) and not isinstance(error, NotImplementedError | ContractViolation):
            raise ContractViolation(
                f"{self._subject}: expected {self._kind.__name__}, but it raised {summarize(error)}"
            ) from error
        return False


def expect_error(kind: type[E], subject: str) -> ExpectedError[E]:
    """Raise `ContractViolation` unless the block raises an error of that class, then available as `error`.

    A `NotImplementedError` passes through: it makes the case unsupported.

    >>> with expect_error(KeyError, "looking up") as caught:
    ...     {}["x"]
    >>> caught.error
    KeyError('x')
    """
    return ExpectedError(kind, subject)


def summarize(value: object) -> str:
    """Return the value as one line of a message: a session by its id, and any value cut to a maximum length.

    >>> summarize([1, "x"])
    "[1, 'x']"
    """
    if isinstance(value, Session):
        text = f"{type(value).__name__} {value.session_id} (revision {value.revision})"
    elif isinstance(value, list | tuple) and any(isinstance(item, Session) for item in value):
        text = f"{len(value)} of them ({', '.join(map(summarize, value))})"
    else:
        text = repr(value)
    return text if len(text) <= _MAX_VALUE_CHARS else f"{text[:_MAX_VALUE_CHARS]}..."


def _describe_difference(actual: object, expected: object) -> str:
    if isinstance(actual, Session) and isinstance(expected, Session) and type(actual) is type(expected):
        mine, other = vars(actual), vars(expected)
        if mine.get("session_id") != other.get("session_id"):
            return f"expected {summarize(expected)}, but it was {summarize(actual)}"
        for name in sorted(mine.keys() | other.keys()):
            if mine.get(name) != other.get(name):
                was, should = summarize(mine.get(name)), summarize(other.get(name))
                return f"{name} of session {expected.session_id}: expected {should}, but it was {was}"
    if isinstance(actual, list) and isinstance(expected, list) and any(isinstance(one, Session) for one in expected):
        counts = f"expected {len(expected)} sessions, but there were {len(actual)}"
        for place, (one, other) in enumerate(zip(actual, expected, strict=False)):
            if one != other:
                return f"{counts}; number {place}: {_describe_difference(one, other)}"
        return counts
    return f"expected {summarize(expected)}, but it was {summarize(actual)}"
