"""Compare stored state with its recomputation, and report the first difference."""

from __future__ import annotations

from typing import Any


class DivergenceError(AssertionError):
    """Report a stored value that differs from its recomputation.

    `where` names the value, `actual` is the stored one, `expected` the recomputed one.

    >>> print(DivergenceError("postings", 3, 4))
    postings: found 3, expected 4
    """

    def __init__(self, where: str, actual: Any, expected: Any) -> None:
        super().__init__(where, actual, expected)
        self.where = where
        self.actual = actual
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.where}: found {self.actual!r}, expected {self.expected!r}"


def check_same(where: str, actual: Any, expected: Any) -> None:
    """Raise `DivergenceError` unless the two are equal. Unlike `assert`, this also runs under `python -O`."""
    if actual != expected:
        raise DivergenceError(where, actual, expected)
