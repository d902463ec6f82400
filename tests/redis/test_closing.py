"""A closed store has no connections, whatever was under way. A free lock is acquired without a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sessiondex import ChangesLostError, EvictionReason, StoreClosedError
from tests.support.builders import TENANT, make_session
from tests.support.redis.connections import connections, named
from tests.support.redis.internals import prefix_of, until_background_done
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import OneServer, Servers
from tests.support.redis.stores import RedisStores
from tests.support.waiting import until


async def with_a_reader(store: Any, _: AsyncExitStack) -> None:
    changes = store.changes(tenant_id=TENANT)
    waiting = asyncio.ensure_future(anext(changes))
    await store.save(make_session())
    await waiting


async def with_a_reader_that_lost_changes(store: Any, _: AsyncExitStack) -> None:
    with pytest.raises(ChangesLostError):
        await anext(store.changes(since=10**6, tenant_id=TENANT))


async def with_a_reader_that_waits(store: Any, stack: AsyncExitStack) -> None:
    changes = store.changes(tenant_id=TENANT)
    await store.get(make_session().session_id)
    waiting = asyncio.ensure_future(anext(changes, None))
    stack.push_async_callback(lambda: waiting)
    await asyncio.sleep(0)


async def with_locks(store: Any, stack: AsyncExitStack) -> None:
    for _ in range(3):
        await stack.enter_async_context(store.exclusive(make_session().session_id))


async def with_background_tasks(store: Any, _: AsyncExitStack) -> None:
    sessions = [make_session() for _ in range(20)]
    await store.save_many(sessions)
    await store.delete_many([session.session_id for session in sessions])


USES: dict[str, Callable[[Any, AsyncExitStack], Any]] = {
    "a reader": with_a_reader,
    "a reader that lost changes": with_a_reader_that_lost_changes,
    "a reader that waits": with_a_reader_that_waits,
    "locks": with_locks,
    "background tasks": with_background_tasks,
}


@pytest.mark.parametrize("use", USES)
async def test_a_store_that_is_closed_has_no_connections(make_redis: RedisStores, servers: Servers, use: str) -> None:
    """It opens none when it is closed again, or when readers and locks end after it."""
    store = make_redis(url=named(servers))
    async with AsyncExitStack() as stack:
        await USES[use](store, stack)
        before = connections(servers)
        await store.aclose()
        await store.aclose()

    assert before > 0
    await until(lambda: not connections(servers))


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_a_free_lock_on_a_slow_server_with_no_timeout_left(make_redis: RedisStores, servers: OneServer) -> None:
    """The lock is acquired: the timeout bounds only the wait for other owners."""
    async with Proxy(servers.port, rounds=lambda: 200) as proxy:
        store = make_redis(url=proxy.url)
        async with store.exclusive(make_session().session_id, timeout=0):
            pass
        await store.aclose()


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_a_save_under_way_when_the_store_closes(make_redis: RedisStores, servers: OneServer) -> None:
    """The store waits for its answer, releases the claims of evicted sessions, and calls `on_evict` for them."""
    evicted: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        await asyncio.sleep(0)
        evicted.append(session)

    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, max_sessions=1, on_evict=on_evict)
        first, second = make_session(), make_session()
        await store.save(first)
        await make_redis(prefix=prefix_of(store)).save(second)  # a store without a cap
        await until_background_done(store)
        proxy.heard.clear()
        with proxy.holding():
            saving = asyncio.create_task(store.save(first))
            await until(lambda: first.session_id.hex.encode() in proxy.heard)
            closing = asyncio.create_task(store.aclose())
            await until(lambda: is_closed(store))
        await closing
        evicted_at_close = list(evicted)
        await saving

    assert evicted_at_close == [second]
    assert first.revision == 2


@pytest.mark.parametrize("turns", range(0, 12, 2))
async def test_a_closed_store_reports_no_evictions(make_redis: RedisStores, turns: int) -> None:
    """Batches under way are saved before `aclose` returns, with the callbacks of their evictions, or refused."""
    evicted: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        await asyncio.sleep(0)
        evicted.append(session.session_id)

    store = make_redis(max_sessions=10, on_evict=on_evict)
    await store.save(make_session())
    batches = [[make_session() for _ in range(50)] for _ in range(2)]
    saves = [asyncio.create_task(store.save_many(batch)) for batch in batches]
    for _ in range(turns):
        await asyncio.sleep(0)
    await store.aclose()
    count = len(evicted)
    results = await asyncio.gather(*saves, return_exceptions=True)
    for _ in range(300):
        await asyncio.sleep(0)

    assert len(evicted) == count
    assert all(isinstance(result, list | StoreClosedError) for result in results), results
    assert count == max(sum(50 for result in results if isinstance(result, list)) + 1 - 10, 0)


def is_closed(store: Any) -> bool:
    return bool(store._guard.is_closed)
