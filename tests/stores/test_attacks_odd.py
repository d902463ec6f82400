"""Faults found by attacking the rebuilt store: the rare meetings of its parts."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import ConflictError, Session, TenantMismatchError
from sessiondex.stores.callback_scope import _scopes
from tests.support.builders import OTHER_TENANT, START, TENANT, make_session


def make_class(number: int) -> type[Session]:
    """Return a class that nothing but its sessions refers to."""
    return type(f"Temporary{number}", (Session,), {"__annotations__": {"x": int}, "x": 1, "__module__": __name__})


async def test_the_last_session_of_a_class_made_at_run_time_reaches_on_evict(make_store: Any) -> None:
    evicted: list[str] = []
    store = make_store(max_sessions=1, on_evict=lambda session, _: evicted.append(type(session).__name__))
    for number in range(5):
        await store.save(make_session(make_class(number)))
        gc.collect()
    await store.aclose()

    assert evicted == [f"Temporary{number}" for number in range(4)]


async def test_a_page_has_the_sessions_of_a_class_that_goes_in_the_middle(make_store: Any, short_slices: Any) -> None:
    """So the page is full, and the iteration goes on."""
    store, agent = make_store(), uuid4()
    await store.save_many([make_session(agent_id=agent) for _ in range(30)])
    ids = await store.save_many([make_session(make_class(0), agent_id=agent) for _ in range(3)])
    await store.save_many([make_session(agent_id=agent) for _ in range(12)])
    listing = asyncio.ensure_future(store.list_by_agent(TENANT, agent, limit=45))
    await asyncio.sleep(0)
    await store.delete_many(ids)
    gc.collect()
    await store.save(make_session(make_class(1)))
    gc.collect()

    assert len(await listing) == 45


async def test_a_refused_save_that_evicted_an_expired_session_calls_on_evict(make_store: Any, clock: Any) -> None:
    evicted: list[UUID] = []
    store = make_store(idle_ttl=timedelta(hours=1), on_evict=lambda session, _: evicted.append(session.session_id))
    session = make_session()
    await store.save(session)
    clock.move(hours=2)
    with pytest.raises(ConflictError):
        await store.save(session, expected_revision=1)
    for _ in range(5):
        await asyncio.sleep(0)

    assert evicted == [session.session_id]


@pytest.mark.parametrize("call", range(1, 8))
async def test_a_clock_that_fails_makes_a_save_fail_before_it_is_stored_or_not_at_all(
    make_store: Any, call: int
) -> None:
    count = 0

    def fail_once() -> datetime:
        nonlocal count
        count += 1
        return datetime(2026, 1, 1) if count == call else datetime.now(UTC)

    store, session = make_store(idle_ttl=timedelta(hours=1), clock=fail_once), make_session()
    try:
        await store.save(session)
    except ValueError:
        is_saved = False
    else:
        is_saved = True
    count = call

    assert ((await store.get(session.session_id)) is not None) == is_saved


@pytest.mark.parametrize("is_expired_first", [True, False])
async def test_restore_refuses_one_id_for_two_tenants_in_any_order(
    make_store: Any, clock: Any, is_expired_first: bool
) -> None:
    store, session_id = make_store(idle_ttl=timedelta(hours=1)), uuid4()
    expired = make_session(session_id=session_id, last_activity_at=START - timedelta(hours=5), revision=1)
    fresh = make_session(session_id=session_id, tenant_id=OTHER_TENANT, last_activity_at=START, revision=1)

    with pytest.raises(TenantMismatchError):
        await store.restore([expired, fresh] if is_expired_first else [fresh, expired])


async def test_tasks_that_callbacks_start_in_turn_do_not_pile_up_scopes(make_store: Any) -> None:
    store, done, sizes = make_store(), asyncio.Event(), list[int]()

    async def converse(number: int) -> None:
        sizes.append(len(_scopes.get()))
        if number == 20:
            done.set()
            return

        def create() -> Any:
            tasks.append(asyncio.create_task(converse(number + 1)))
            return make_session(user_channel_id=f"user-{number}")

        session = make_session(user_channel_id=f"user-{number}")
        await store.get_or_create(TENANT, session.channel, session.user_channel_id, create)

    tasks = [asyncio.create_task(converse(0))]
    await done.wait()
    await asyncio.gather(*tasks)

    assert max(sizes) <= 2
