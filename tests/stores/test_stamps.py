"""Law 1: save stamps. Law 2: newest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sessiondex import SessionStatus
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, START, TENANT, at_step, make_session

MICROSECOND = timedelta(microseconds=1)


async def test_save_stamps_what_it_stores_and_what_it_was_given(store: Any) -> None:
    session = make_session(last_activity_at=START - timedelta(days=9))
    session_id = await store.save(session)

    assert session_id == session.session_id
    assert session.last_activity_at == START
    assert await store.get(session_id) == session


async def test_the_stamp_counts_as_a_set_field(store: Any) -> None:
    session = make_session()
    await store.save(session)

    assert "last_activity_at" in session.model_fields_set


async def test_every_list_is_newest_first(store: Any) -> None:
    """By last activity, whatever the order of first saves: a session saved again moves to the front."""
    sessions = [at_step(customer_profile_id=CUSTOMER) for _ in range(90)]  # more than a posting list has in one chunk
    for session in [*sessions, sessions[3], sessions[0], sessions[3]]:
        await store.save(session)
    expected = [sessions[3], sessions[0], *[s for s in reversed(sessions) if s not in (sessions[0], sessions[3])]]

    assert await store.list_by_agent(TENANT, AGENT) == expected
    assert await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE) == expected
    assert await store.list_by_customer(TENANT, CUSTOMER) == expected
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == expected


async def test_a_session_that_a_restore_skips_keeps_its_stamp(store: Any) -> None:
    """Another session that wants it in the same call gets the next one."""
    stored = make_session()
    await store.save(stored)
    wants_it = make_session(last_activity_at=stored.last_activity_at, revision=1)

    assert await store.restore([wants_it, stored]) == 1
    assert await store.list_by_tenant(stored.tenant_id, before=stored.last_activity_at) == []
    assert len(await store.list_by_tenant(stored.tenant_id, limit=2)) == 2
    stamps = {one.last_activity_at for one in await store.list_by_tenant(stored.tenant_id)}
    assert len(stamps) == 2
