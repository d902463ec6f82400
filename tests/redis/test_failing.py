"""A server that cannot be reached, or cannot do what it is asked: tried again where that is safe, else raised."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from sessiondex import Channel
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session
from tests.support.redis.connections import connections, named
from tests.support.redis.failures import failure, failure_facts, timing_out
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import HOST, OneServer, refusing_port
from tests.support.redis.stores import RedisStores
from tests.support.waiting import until, until_background_done


@pytest.fixture
def servers() -> Iterator[OneServer]:
    """Start a server that the test may do with as it likes."""
    server = OneServer()
    yield server
    server.close()


@pytest.fixture
async def saved(make_redis: RedisStores) -> Any:
    """A session that is on the server."""
    session = make_session(customer_profile_id=CUSTOMER)
    await make_redis(prefix="p").save(session)
    return session


READS: dict[str, Callable[[Any, Any], Coroutine[Any, Any, Any]]] = {
    "get": lambda store, session: store.get(session.session_id, tenant_id=TENANT),
    "latest": lambda store, session: store.get_by_channel(TENANT, Channel.WEBCHAT, session.user_channel_id),
    "list": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "count": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count_step": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "hash"),
    "count_steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "step": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash"),
}
"""Reads, by the name of what they ask the server."""


WRITES: dict[str, Callable[[Any, Any], Coroutine[Any, Any, Any]]] = {
    "save": lambda store, session: store.save(session),
    "delete": lambda store, session: store.delete(session.session_id, tenant_id=TENANT),
}
CALLS = READS | WRITES


# -- nobody there --


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_nobody_listens(make_redis: RedisStores, scheme: str) -> None:
    """Every call says so, after it tried some times; nothing was done."""
    with refusing_port() as port:
        store = make_redis(url=f"{scheme}://{HOST}:{port}")
        calls = [call(store, make_session()) for call in CALLS.values()]
        errors = await asyncio.gather(*map(failure, calls))

        assert {failure_facts(error) for error in errors} == {(f"{HOST}:{port}", "open", False)}
        assert {error.reason for error in errors} == {"it refuses connections, or cannot be reached"}
        assert not await store.health_check()


async def test_a_server_that_went_away(make_redis: RedisStores, saved: Any, servers: OneServer) -> None:
    """Each says what it could not ask."""
    store = make_redis(prefix="p")
    await store.get(saved.session_id)
    servers.kill()
    calls = {name: call(store, saved) for name, call in CALLS.items()}
    errors = await asyncio.gather(*map(failure, calls.values()))
    servers.start()

    assert [failure_facts(error) for error in errors] == [(f"{HOST}:{servers.port}", name, False) for name in calls]


async def test_a_server_that_comes_back_shortly(make_redis: RedisStores, saved: Any, servers: OneServer) -> None:
    """What it was never asked is asked again, writes as well."""
    proxy = Proxy(servers.port)
    async with proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.get(saved.session_id)
    saving = [asyncio.ensure_future(store.save(saved)), asyncio.ensure_future(store.save(make_session()))]
    for _ in range(20):
        await asyncio.sleep(0)
    async with proxy:
        await asyncio.gather(*saving)
        found = await store.get(saved.session_id)
        await store.aclose()

    assert found == saved
    assert saved.revision == 2


async def test_a_connection_that_the_server_closed_meanwhile(make_redis: RedisStores, servers: OneServer) -> None:
    """Is not used."""
    store = make_redis(url=named(servers))
    session = make_session()
    await store.save(session)
    await until_background_done(store)
    servers.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: not connections(servers))
    for _ in range(5):  # as much as any service lets its loop run
        await asyncio.sleep(0)
    await store.save(session)

    assert session.revision == 2


# -- no answer --


@pytest.mark.parametrize("name", READS)
async def test_a_read_that_is_not_answered(make_redis: RedisStores, saved: Any, servers: OneServer, name: str) -> None:
    """The error says so, and that nothing was changed. `test_retries.py` counts the attempts."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.save(saved)
        await until_background_done(store)
        proxy.heard.clear()
        proxy.is_mute = True
        with timing_out(store, lambda: TENANT.hex.encode() in proxy.heard):
            error = await failure(READS[name](store, saved))
        await store.aclose()

    assert failure_facts(error) == (proxy.host, name, False)
    assert error.reason.endswith("in time")


@pytest.mark.parametrize("name", ["save", "delete"])
@pytest.mark.parametrize("is_deaf", [False, True])
async def test_a_write_that_is_not_answered(
    make_redis: RedisStores, saved: Any, servers: OneServer, name: str, *, is_deaf: bool
) -> None:
    """A write sent once may have been done. The error says so, and the write is not sent again."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.save(saved)
        await until_background_done(store)
        before = saved.model_copy(deep=True)
        proxy.heard.clear()
        proxy.is_mute, proxy.is_deaf = True, is_deaf
        with timing_out(store, lambda: saved.session_id.hex.encode() in proxy.heard):
            error = await failure(WRITES[name](store, saved))
        asked = proxy.heard.count(f"_{name}".encode()) + proxy.heard.count(b"EVALSHA")
        await store.aclose()
    found = await make_redis(prefix="p").get(saved.session_id, tenant_id=TENANT)
    make_redis.may_leave = frozenset({"locators"})

    assert failure_facts(error) == (proxy.host, name, True)
    assert "the write may have been done: read before you repeat it" in str(error)
    assert asked == 1
    assert saved == before
    if is_deaf:
        assert found == before
    else:
        assert (found is None) if name == "delete" else (found.revision == before.revision + 1)


@pytest.mark.parametrize("name", ["save", "delete"])
async def test_a_connection_that_is_cut_after_a_write(
    make_redis: RedisStores, saved: Any, servers: OneServer, name: str
) -> None:
    """It was done, and the answer was lost: nobody knows."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.list_by_agent(TENANT, AGENT)  # by now it knows how functions are called there
        proxy.cut_after = name.encode()
        error = await failure(WRITES[name](store, saved))
        found = await store.get(saved.session_id, tenant_id=TENANT)
        await store.aclose()
    make_redis.may_leave = frozenset({"locators"})

    assert failure_facts(error) == (proxy.host, name, True)
    assert error.reason == "the connection was lost"
    assert (found is None) if name == "delete" else (found.revision == 2)


@pytest.mark.parametrize("function", ["GET", "list", "claim", "release", "take_turn", "pass_turn"])
async def test_a_connection_that_is_cut_after_what_may_be_done_twice(
    make_redis: RedisStores, saved: Any, servers: OneServer, function: str
) -> None:
    """It is asked again."""
    session = make_session()
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.get(saved.session_id)
        proxy.heard.clear()
        proxy.cut_after = function.encode()
        async with store.exclusive(saved.session_id):
            await store.save(session)
            found = await store.get(session.session_id)
            assert session in await store.list_by_agent(TENANT, AGENT)
            await store.delete(session.session_id)
        await store.aclose()

    assert proxy.has_cut
    assert found == session


async def test_a_server_that_hangs_up_at_once(make_redis: RedisStores, saved: Any, servers: OneServer) -> None:
    """Nothing was asked of it, so nothing was done."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.get(saved.session_id)
        proxy.greets = False
        await proxy.cut()
        error = await failure(store.save(saved))
        proxy.greets = True
        await store.save(saved)
        await store.aclose()

    assert failure_facts(error) == (proxy.host, "save", False)
    assert saved.revision == 2


async def test_a_server_that_never_says_anything(make_redis: RedisStores, servers: OneServer) -> None:
    """Nothing is asked of a server that was not looked at first."""
    async with Proxy(servers.port) as proxy:
        proxy.is_mute = True
        store = make_redis(url=proxy.url, timeout=0.1)
        error = await failure(store.save(make_session()))
        is_healthy = await store.health_check()
        await store.aclose()

    assert failure_facts(error) == (proxy.host, "open", False)
    assert not is_healthy
