"""A store that was closed has no connections, whatever was under way; and a turn that is free is had at once."""

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


async def with_a_reader_that_is_lost(store: Any, _: AsyncExitStack) -> None:
    with pytest.raises(ChangesLostError):
        await anext(store.changes(since=10**6, tenant_id=TENANT))


async def with_a_reader_that_waits(store: Any, stack: AsyncExitStack) -> None:
    changes = store.changes(tenant_id=TENANT)
    await store.get(make_session().session_id)
    waiting = asyncio.ensure_future(anext(changes, None))
    stack.push_async_callback(lambda: waiting)
    await asyncio.sleep(0)


async def with_a_turn(store: Any, stack: AsyncExitStack) -> None:
    for _ in range(3):
        await stack.enter_async_context(store.exclusive(make_session().session_id))


async def with_errands(store: Any, _: AsyncExitStack) -> None:
    sessions = [make_session() for _ in range(20)]
    await store.save_many(sessions)
    await store.delete_many([session.session_id for session in sessions])


WAYS: dict[str, Callable[[Any, AsyncExitStack], Any]] = {
    "a reader": with_a_reader,
    "a reader that is lost": with_a_reader_that_is_lost,
    "a reader that waits": with_a_reader_that_waits,
    "turns": with_a_turn,
    "errands": with_errands,
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_store_that_is_closed_has_no_connections(make_redis: RedisStores, servers: Servers, way: str) -> None:
    """Nor makes any when it is closed again, or when what it was used for ends after it."""
    store = make_redis(url=named(servers))
    async with AsyncExitStack() as stack:
        await WAYS[way](store, stack)
        used = connections(servers)
        await store.aclose()
        await store.aclose()

    assert used > 0
    await until(lambda: not connections(servers))


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_a_turn_that_is_free_is_had_however_slow_the_server_is(
    make_redis: RedisStores, servers: OneServer
) -> None:
    """The timeout is for the wait until others leave."""
    async with Proxy(servers.port, rounds=lambda: 200) as proxy:
        store = make_redis(url=proxy.url)
        async with store.exclusive(make_session().session_id, timeout=0):
            pass
        await store.aclose()
