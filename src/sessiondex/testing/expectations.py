"""What a case says of a store: as it should be, or else an error that tells what came instead."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sessiondex.models import Session

E = TypeVar("E", bound=Exception)

_MOST = 200  # characters of a value that a message shows


class ContractViolation(AssertionError):  # noqa: N818  # it is told as a finding, not handled as an error
    """A store did not do what the contract says; the message tells what was expected, and what came."""


def expect(actual: object, expected: object, what: str) -> None:
    """Raise `ContractViolation` unless both are equal. Unlike `assert`, also under `python -O`.

    >>> expect(1, 2, "how many there are")
    Traceback (most recent call last):
    ...
    sessiondex.testing.expectations.ContractViolation: how many there are: expected 2, but it was 1
    """
    if actual != expected:
        raise ContractViolation(f"{what}: {_difference(actual, expected)}")


def expect_increasing(values: Sequence[Any], what: str) -> None:
    """Raise `ContractViolation` unless each is greater than the one before.

    >>> expect_increasing([1, 3, 3], "stamps")
    Traceback (most recent call last):
    ...
    sessiondex.testing.expectations.ContractViolation: stamps: each should be greater than the one before, but 3 follows 3
    """
    for earlier, later in pairwise(values):
        if not earlier < later:
            raise ContractViolation(
                f"{what}: each should be greater than the one before, but {later} follows {earlier}"
            )


class ExpectedError(Generic[E]):
    """A block that is to raise an error. Afterwards it has the error."""

    def __init__(self, kind: type[E], what: str) -> None:
        self._kind = kind
        self._what = what
        self._error: E | None = None

    @property
    def error(self) -> E:
        """The error that was raised."""
        if self._error is None:
            raise LookupError("nothing was raised yet; look at it after the block")
        return self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Keep the error and go on, if it is what was expected."""
        if isinstance(error, self._kind):
            self._error = error
            return True
        if error is None:
            raise ContractViolation(f"{self._what}: expected {self._kind.__name__}, but nothing was raised")
        if isinstance(error, Exception) and not isinstance(error, NotImplementedError | ContractViolation):
            raise ContractViolation(
                f"{self._what}: expected {self._kind.__name__}, but it raised {shown(error)}"
            ) from error
        return False


def expect_error(kind: type[E], what: str) -> ExpectedError[E]:
    """Raise `ContractViolation` unless the block raises an error of that kind, which is then at hand.

    A `NotImplementedError` goes through: what a store does not have is not held against it.

    >>> with expect_error(KeyError, "looking up") as caught:
    ...     {}["x"]
    >>> caught.error
    KeyError('x')
    """
    return ExpectedError(kind, what)


def shown(value: object) -> str:
    """Return what to show of a value: of a session its identity, of anything no more than a line.

    >>> shown([1, "x"])
    "[1, 'x']"
    """
    if isinstance(value, Session):
        text = f"{type(value).__name__} {value.session_id} (revision {value.revision})"
    elif isinstance(value, list | tuple) and any(isinstance(item, Session) for item in value):
        text = f"{len(value)} of them ({', '.join(map(shown, value))})"
    else:
        text = repr(value)
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def _difference(actual: object, expected: object) -> str:
    if isinstance(actual, Session) and isinstance(expected, Session) and type(actual) is type(expected):
        mine, other = vars(actual), vars(expected)
        if mine.get("session_id") != other.get("session_id"):
            return f"it should be {shown(expected)}, but it was {shown(actual)}"
        for name in sorted(mine.keys() | other.keys()):
            if mine.get(name) != other.get(name):
                was, should = shown(mine.get(name)), shown(other.get(name))
                return f"of session {expected.session_id}, {name} should be {should}, but it was {was}"
    if isinstance(actual, list) and isinstance(expected, list) and any(isinstance(one, Session) for one in expected):
        counts = f"{len(expected)} sessions were expected, {len(actual)} came"
        for place, (one, other) in enumerate(zip(actual, expected, strict=False)):
            if one != other:
                return f"{counts}, and of these, number {place}: {_difference(one, other)}"
        return counts
    return f"expected {shown(expected)}, but it was {shown(actual)}"
