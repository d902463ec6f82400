"""Opening, closing and health checks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Channel, StoreClosedError, WrongLoopError
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session
from tests.support.stores import lock_of, sweeper_of
from tests.support.waiting import HANG_SECONDS

CALLS: dict[str, Any] = {
    "get": lambda store, session: store.get(session.session_id),
    "save": lambda store, session: store.save(session),
    "save_many": lambda store, session: store.save_many([session]),
    "load": lambda store, session: store.load([session]),
    "delete": lambda store, session: store.delete(session.session_id),
    "delete_many": lambda store, session: store.delete_many([session.session_id]),
    "get_by_channel": lambda store, _: store.get_by_channel(TENANT, Channel.SMS, "u"),
    "list_by_agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "list_by_customer": lambda store, _: store.list_by_customer(TENANT, CUSTOMER),
    "find": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h"),
    "iter_by_agent": lambda store, _: anext(store.iter_by_agent(TENANT, AGENT)),
    "iter_by_customer": lambda store, _: anext(store.iter_by_customer(TENANT, CUSTOMER)),
    "count_by_agent": lambda store, _: store.count_by_agent(TENANT, AGENT),
    "count_by_customer": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count_by_step_hash": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "h"),
    "count_steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "update": lambda store, session: store.update(session.session_id, lambda _: None),
    "get_or_create": lambda store, _: store.get_or_create(TENANT, Channel.SMS, "user-1", make_session),
    "exclusive": lambda store, session: store.exclusive(session.session_id).__aenter__(),
    "changes": lambda store, _: anext(store.changes()),
    "enter": lambda store, _: store.__aenter__(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_closed_store_says_so(store: Any, call: Any) -> None:
    session = make_session()
    async with store as opened:
        assert opened is store
        await store.save(session)
        assert await store.health_check() is True
    with pytest.raises(StoreClosedError):
        await call(store, session)
    assert await store.health_check() is False
    await store.aclose()
    await store.aclose()


async def test_the_sweeper_ends_with_the_store(make_store: Any) -> None:
    store = make_store(idle_ttl=timedelta(hours=1))
    before = asyncio.all_tasks()
    async with store:
        assert len(asyncio.all_tasks() - before) == 1
        async with store:  # once more is one too many to start another
            assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before


async def test_a_sweeper_that_was_cancelled_is_noticed(make_store: Any) -> None:
    async with make_store(idle_ttl=timedelta(hours=1)) as store:
        sweeper_of(store).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await store.health_check() is False


async def test_closing_ends_readers_of_changes(store: Any) -> None:
    async def follow() -> list[Any]:
        return [change.sequence async for change in store.changes()]

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    await store.save(make_session())
    await store.aclose()
    assert await asyncio.wait_for(following, HANG_SECONDS) == [1]


async def test_a_save_waits_for_the_lock_when_the_store_is_closed(store: Any) -> None:
    """It is finished before `aclose` returns; a save that has not entered yet raises."""
    session = make_session()
    await store.get(session.session_id)
    async with lock_of(store):
        waiting = asyncio.ensure_future(store.save(session))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.aclose())
        await asyncio.sleep(0)
        with pytest.raises(StoreClosedError):
            await store.save(make_session())
        assert not closing.done()
    await closing

    assert waiting.done()
    assert (waiting.result(), session.revision) == (session.session_id, 1)


async def test_on_evict_may_close_the_store(make_indexed: Any, clock: Any) -> None:
    """In the task that sweeps, which then ends by itself."""

    async def close(*_: Any) -> None:
        await store.aclose()

    store = make_indexed(idle_ttl=timedelta(milliseconds=1), on_evict=close)
    await store.save(make_session())
    async with store:
        sweeper = sweeper_of(store)
        clock.move(seconds=1)
        await asyncio.wait_for(sweeper, HANG_SECONDS)
    assert not await store.health_check()


async def test_aclose_returns_after_the_last_call_of_on_evict(make_store: Any, clock: Any) -> None:
    evicted: list[Any] = []
    store = make_store(idle_ttl=timedelta(hours=1), on_evict=lambda session, _: evicted.append(session))
    session = make_session()
    await store.save(session)
    clock.move(hours=2)
    assert await store.count_by_agent(TENANT, AGENT) == 0
    await store.aclose()
    assert evicted == [session]


def test_an_opened_store_may_go_on_in_another_loop(make_store: Any) -> None:
    store, session = make_store(idle_ttl=timedelta(hours=1)), make_session()

    async def first() -> None:
        await store.__aenter__()
        await store.save(session)

    async def second() -> None:
        async with store:
            assert await store.health_check()
            assert await store.get(session.session_id) == session

    asyncio.run(first())
    asyncio.run(second())


async def test_no_other_running_loop_can_close_it(store: Any) -> None:
    await store.save(make_session())

    def close_elsewhere() -> None:
        with pytest.raises(WrongLoopError):
            asyncio.run(store.aclose())

    await asyncio.to_thread(close_elsewhere)
    assert await store.health_check()
