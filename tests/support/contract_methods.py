"""List the methods of the contract, so that tests of every method can be compared with the list."""

from __future__ import annotations

from sessiondex import SessionReader, SessionStore

METHODS = frozenset(
    name
    for cls in (SessionReader, SessionStore)
    for name, value in vars(cls).items()
    if callable(value) and not name.startswith("_")
)
NOT_YET_COVERED: frozenset[str] = frozenset()
"""Those that are so new that no test of every method has them."""


def missing_in(covered: set[str], *, left_out: frozenset[str] = frozenset()) -> set[str]:
    """Return the methods of the contract that a test of every method lacks, without those that it excludes."""
    return set(METHODS - NOT_YET_COVERED - left_out - covered)
