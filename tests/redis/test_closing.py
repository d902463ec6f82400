"""A closed store has no connections, whatever was under way. A free lock is acquired without a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sessiondex import ChangesLostError
from tests.support.builders import TENANT, make_session
from tests.support.redis.connections import connections, named
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
