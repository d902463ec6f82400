"""Opening, closing and health checks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import StoreClosedError
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.stores import lock_of, sweeper_of
from tests.support.waiting import HANG_SECONDS


async def test_the_background_task_ends_with_the_store(make_store: Any) -> None:
    store = make_store(idle_ttl=timedelta(hours=1))
    before = asyncio.all_tasks()
    async with store:
        assert len(asyncio.all_tasks() - before) == 1
        async with store:  # a second time starts no second task
            assert len(asyncio.all_tasks() - before) == 1
    assert asyncio.all_tasks() == before


async def test_a_cancelled_background_task_fails_the_health_check(make_store: Any) -> None:
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
    """The background task then ends."""

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


def test_an_opened_store_moves_to_another_loop(make_store: Any) -> None:
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
