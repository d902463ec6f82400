"""`delete_many`: all or none, and how many there were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import InvalidArgumentError
from tests.support.builders import (
    CUSTOMER,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    make_session,
)
from tests.support.bulk import NoIterator, all_of, mixed, raising_after


@pytest.mark.parametrize("of", [list, tuple, set, iter])
async def test_many_are_deleted_and_counted(store: Any, of: Callable[[Any], Any]) -> None:
    """Those that are there, once each, from every index."""
    sessions = mixed(5)
    await store.save_many(sessions)
    ids = [session.session_id for session in sessions]

    assert await store.delete_many(of([ids[0], ids[3], uuid4(), ids[0]])) == 2
    rest = [sessions[4], sessions[2], sessions[1]]
    assert await all_of(store) == await store.list_by_customer(TENANT, CUSTOMER) == rest
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == rest
    assert await store.delete_many([]) == 0


async def test_with_a_tenant_only_theirs_are_deleted(store: Any) -> None:
    mine, theirs = make_session(), make_session(tenant_id=OTHER_TENANT)
    await store.save_many([mine, theirs])
    ids = [mine.session_id, theirs.session_id]

    assert await store.delete_many(ids, tenant_id=TENANT) == 1
    assert await all_of(store) == []
    assert await all_of(store, OTHER_TENANT) == [theirs]


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (UUID(int=1), r"must be an iterable, not UUID; for a single one, delete\(\)"),
        ("text", "must be an iterable, not str"),
        (None, "must be an iterable, not NoneType"),
        ([None], r"must be a uuid\.UUID"),
        (["text"], r"must be a uuid\.UUID"),
        (NoIterator(), "must not be an asynchronous iterable; collect the ids in a list first"),
    ],
)
async def test_bad_ids_are_refused(store: Any, ids: Any, reason: str) -> None:
    """Also after good ones, which then stay."""
    session = make_session()
    await store.save(session)
    with pytest.raises(InvalidArgumentError, match=reason) as error:
        await store.delete_many([session.session_id, *ids] if isinstance(ids, list) else ids)

    assert error.value.argument == "session_ids"
    assert await store.get(session.session_id) == session


async def test_a_bad_tenant_is_refused(store: Any) -> None:
    session = make_session()
    await store.save(session)
    with pytest.raises(InvalidArgumentError, match="tenant_id"):
        await store.delete_many([session.session_id], tenant_id="acme")

    assert await store.get(session.session_id) == session


async def test_ids_that_end_in_an_error_delete_nothing(store: Any) -> None:
    session = make_session()
    await store.save(session)
    with pytest.raises(RuntimeError, match="no more"):
        await store.delete_many(raising_after([session.session_id]))

    assert await store.get(session.session_id) == session
