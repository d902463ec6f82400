"""Kill servers under load, restart them, and check that the store recovers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex.stores.redis import RedisSessionStore, maintenance
from tests.support.builders import make_session
from tests.support.redis.internals import until_background_done
from tests.support.redis.load import Load, check_it_works
from tests.support.redis.servers import OneServer


@pytest.fixture(autouse=True)
def register_tenants_at_each_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the tenant at every save, not once a minute: a crash may lose the registry of tenants."""
    monkeypatch.setattr(maintenance, "REGISTRATION_SECONDS", 0)


async def test_a_server_that_is_killed_and_comes_back_empty() -> None:
    """The store continues without data. It loads the functions again, and calls under way raise."""
    server = OneServer()
    store = RedisSessionStore[Any](server.url)
    load = Load(store)
    async with load.running():
        await load.more(100)
        server.kill()
        await asyncio.to_thread(server.start)
        await load.more(100)
    assert await store.health_check()
    await check_it_works(store, server)
    server.close()


async def test_a_server_with_a_synchronous_append_only_file() -> None:
    """A crash loses no acknowledged save."""
    server = OneServer("--appendonly", "yes", "--appendfsync", "always")
    store = RedisSessionStore[Any](server.url)
    load = Load(store)
    async with load.running():
        await load.more(100)
        server.kill()
        await asyncio.to_thread(server.start)
        await load.more(100)

    assert load.acknowledged
    assert await load.lost() == 0
    await check_it_works(store, server)
    server.close()


async def test_a_server_that_was_restarted() -> None:
    """The client detects cut connections before it sends anything on them, so calls succeed."""
    server = OneServer("--appendonly", "yes", "--appendfsync", "always")
    store = RedisSessionStore[Any](server.url)
    session = make_session()
    await store.save(session)
    await until_background_done(store)
    server.kill()
    await asyncio.to_thread(server.start)
    reading = asyncio.create_task(store.get(session.session_id))
    writing = asyncio.create_task(store.save(make_session()))

    assert await reading == session
    await writing
    await store.aclose()
    server.close()


@pytest.mark.parametrize("kind", ["standalone"])
async def test_a_session_deleted_in_between_counts_as_lost(kind: str, request: pytest.FixtureRequest) -> None:
    """This is the control: the load counts sessions that are gone."""
    server: Any = request.getfixturevalue(kind)
    store = RedisSessionStore[Any](server.url, prefix="counted")
    load = Load(store)
    async with load.running():
        await load.more(50)
    session_id, session = next(iter(load.acknowledged.items()))
    await store.delete(session_id, tenant_id=session.tenant_id)

    assert await load.lost() == 1
    await store.aclose()
    server.flush()
