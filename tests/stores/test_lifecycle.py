"""A store is opened, closed and asked how it is."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import StoreClosedError
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.stores import lock_of, sweeper_of
from tests.support.waiting import HANG_SECONDS


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


async def test_those_who_follow_changes_come_to_an_end(store: Any) -> None:
    async def follow() -> list[Any]:
        return [change.sequence async for change in store.changes()]

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    await store.save(make_session())
    await store.aclose()
    assert await asyncio.wait_for(following, HANG_SECONDS) == [1]


async def test_a_write_that_waits_is_told(store: Any) -> None:
    session = make_session()
    await store.get(session.session_id)
    async with lock_of(store):
        waiting = asyncio.ensure_future(store.save(session))
        await asyncio.sleep(0)
        await store.aclose()
    with pytest.raises(StoreClosedError):
        await waiting


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


async def test_the_last_evictions_are_told_before_it_is_closed(make_store: Any, clock: Any) -> None:
    told: list[Any] = []
    store = make_store(idle_ttl=timedelta(hours=1), on_evict=lambda session, _: told.append(session))
    session = make_session()
    await store.save(session)
    clock.move(hours=2)
    assert await store.count_by_agent(TENANT, AGENT) == 0
    await store.aclose()
    assert told == [session]


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
