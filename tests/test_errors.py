"""Errors: builtin bases, data as attributes, and safe to send between processes."""

from __future__ import annotations

import pickle
from uuid import UUID

import pytest

from sessiondex import (
    ChangesLostError,
    ConflictError,
    ForkedStoreError,
    InvalidArgumentError,
    InvalidSessionError,
    SessiondexError,
    TenantMismatchError,
    WrongLoopError,
)

ERRORS = [
    (InvalidSessionError("variables.a", "is bad"), ValueError, "variables.a: is bad"),
    (InvalidSessionError(None, "is bad"), ValueError, "is bad"),
    (InvalidArgumentError("limit", "is bad"), ValueError, "limit: is bad"),
    (
        TenantMismatchError(UUID(int=7)),
        ValueError,
        "session_id: 00000000-0000-0000-0000-000000000007 belongs to another tenant",
    ),
    (
        ConflictError(UUID(int=7), 3, 4),
        RuntimeError,
        "expected 3 of session 00000000-0000-0000-0000-000000000007, but revision 4 is stored; read the session again",
    ),
    (ConflictError(UUID(int=7), 3, 0), RuntimeError, "but no session is stored"),
    (
        ConflictError(UUID(int=7), 0, 4, "do it again"),
        RuntimeError,
        "session_id: revision 4 is stored of session 00000000-0000-0000-0000-000000000007, not 0; do it again",
    ),
    (WrongLoopError(), RuntimeError, "create one store for each loop"),
    (ForkedStoreError(), RuntimeError, "belongs to the parent process"),
    (ChangesLostError(3, 9), LookupError, "the changes after 3 are no longer kept, the oldest is 9"),
]


@pytest.mark.parametrize(("error", "base", "text"), ERRORS)
def test_each_has_a_builtin_base_and_says_what_to_do(error: SessiondexError, base: type[Exception], text: str) -> None:
    assert isinstance(error, base)
    assert isinstance(error, SessiondexError)
    assert text in str(error)


@pytest.mark.parametrize("error", [error for error, _, _ in ERRORS])
def test_each_survives_pickling(error: SessiondexError) -> None:
    """Task queues and process pools pickle exceptions; one with an odd `__init__` would be lost there."""
    restored = pickle.loads(pickle.dumps(error))  # noqa: S301  # what was just dumped

    assert (type(restored), str(restored), vars(restored)) == (type(error), str(error), vars(error))
