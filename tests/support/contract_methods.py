"""List the methods of the contract, so that tests of every method can be held to the list."""

from __future__ import annotations

from sessiondex import SessionStore

METHODS = frozenset(name for name, value in vars(SessionStore).items() if callable(value) and not name.startswith("_"))
NOT_YET_COVERED: frozenset[str] = frozenset()
"""Those that are so new that no test of every method has them."""


def missing_in(covered: set[str], *, left_out: frozenset[str] = frozenset()) -> set[str]:
    """Return which methods a test of every method does not have, but for those it leaves out."""
    return set(METHODS - NOT_YET_COVERED - left_out - covered)
