"""What the engine says of itself when it checks itself."""

from __future__ import annotations

from typing import Any


class DivergenceError(AssertionError):
    """What is kept is not what it should be: has both sides, `actual` and `expected`, and says `where`.

    >>> print(DivergenceError("entries", 3, 4))
    entries: found 3, expected 4
    """

    def __init__(self, where: str, actual: Any, expected: Any) -> None:
        super().__init__(where, actual, expected)
        self.where = where
        self.actual = actual
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.where}: found {self.actual!r}, expected {self.expected!r}"


def check_same(where: str, actual: Any, expected: Any) -> None:
    """Raise `DivergenceError` unless the two are equal. Unlike `assert` it does so under `python -O` as well."""
    if actual != expected:
        raise DivergenceError(where, actual, expected)
