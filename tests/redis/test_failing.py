"""A server that cannot be reached, or does not answer: calls are retried where that is safe, or else raise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session
from tests.support.redis.connections import connections, named
from tests.support.redis.failures import failure, failure_facts, timing_out
from tests.support.redis.internals import until_background_done
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import HOST, OneServer, refusing_port
from tests.support.redis.stores import RedisStores
from tests.support.waiting import until


@pytest.fixture
def servers() -> Iterator[OneServer]:
    """Start a server for this test alone."""
    server = OneServer()
    yield server
    server.close()


@pytest.fixture
async def saved(make_redis: RedisStores) -> Any:
    """Return a session that is stored on the server."""
    session = make_session(customer_profile_id=CUSTOMER)
    await make_redis(prefix="p").save(session)
    return session


READS: dict[str, Callable[[Any, Any], Coroutine[Any, Any, Any]]] = {
    "get": lambda store, session: store.get(session.session_id, tenant_id=TENANT),
    "list": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "count": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count_step": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "hash"),
    "count_steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "step": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash"),
}
"""Reads, by the operation that their errors name."""


WRITES: dict[str, Callable[[Any, Any], Coroutine[Any, Any, Any]]] = {
    "save": lambda store, session: store.save(session),
    "delete": lambda store, session: store.delete(session.session_id, tenant_id=TENANT),
}
CALLS = READS | WRITES


# -- no server --


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_no_server_listens(make_redis: RedisStores, scheme: str) -> None:
    """Every call raises after some attempts, with a known outcome."""
    with refusing_port() as port:
        store = make_redis(url=f"{scheme}://{HOST}:{port}")
        calls = [call(store, make_session()) for call in CALLS.values()]
        errors = await asyncio.gather(*map(failure, calls))

        assert {failure_facts(error) for error in errors} == {(f"{HOST}:{port}", "open", False)}
        assert {error.reason for error in errors} == {"it cannot be reached; does it run, is the URL right?"}
        assert not await store.health_check()


async def test_a_server_that_was_killed(make_redis: RedisStores, saved: Any, servers: OneServer) -> None:
    """Each error names the operation."""
    store = make_redis(prefix="p")
    await store.get(saved.session_id)
    servers.kill()
    calls = {name: call(store, saved) for name, call in CALLS.items()}
    errors = await asyncio.gather(*map(failure, calls.values()))
    servers.start()

    assert [failure_facts(error) for error in errors] == [(f"{HOST}:{servers.port}", name, False) for name in calls]


async def test_a_server_that_is_back_in_time(make_redis: RedisStores, saved: Any, servers: OneServer) -> None:
    """Calls that were never sent are retried, including writes."""
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


async def test_a_connection_that_the_server_closed(make_redis: RedisStores, servers: OneServer) -> None:
    """The client does not use it again."""
    store = make_redis(url=named(servers))
    session = make_session()
    await store.save(session)
    await until_background_done(store)
    servers.client().execute_command("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: not connections(servers))
    for _ in range(5):  # the loop needs a turn to notice
        await asyncio.sleep(0)
    await store.save(session)

    assert session.revision == 2


# -- no answer --


@pytest.mark.parametrize("name", READS)
async def test_a_read_that_is_not_answered(make_redis: RedisStores, saved: Any, servers: OneServer, name: str) -> None:
    """The error says that the outcome is known. `test_retries.py` counts the attempts."""
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
    """The write may have been executed. The error says so, and the write is not sent again."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.save(saved)
        await until_background_done(store)
        before = saved.model_copy(deep=True)
        proxy.heard.clear()
        proxy.is_mute, proxy.is_deaf = True, is_deaf
        with timing_out(store, lambda: saved.session_id.hex.encode() in proxy.heard):
            error = await failure(WRITES[name](store, saved))
        sent = proxy.heard.count(f"_{name}".encode()) + proxy.heard.count(b"EVALSHA")
        await store.aclose()
    found = await make_redis(prefix="p").get(saved.session_id, tenant_id=TENANT)
    make_redis.may_leave = frozenset({"locators"})

    assert failure_facts(error) == (proxy.host, name, True)
    assert "the write may have been done: read before you repeat it" in str(error)
    assert sent == 1
    assert saved == before
    if is_deaf:
        assert found == before
    else:
        assert (found is None) if name == "delete" else (found.revision == before.revision + 1)


@pytest.mark.parametrize("name", ["save", "delete"])
async def test_a_connection_that_is_cut_after_a_write(
    make_redis: RedisStores, saved: Any, servers: OneServer, name: str
) -> None:
    """It was executed, and the answer was lost: the error says that the outcome is unknown."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.list_by_agent(TENANT, AGENT)  # so that the functions are loaded
        proxy.cut_after = name.encode()
        error = await failure(WRITES[name](store, saved))
        found = await store.get(saved.session_id, tenant_id=TENANT)
        await store.aclose()
    make_redis.may_leave = frozenset({"locators"})

    assert failure_facts(error) == (proxy.host, name, True)
    assert error.reason == "the connection was lost"
    assert (found is None) if name == "delete" else (found.revision == 2)


@pytest.mark.parametrize("function", ["GET", "list", "claim", "release_claim", "acquire_lock", "release_lock"])
async def test_a_connection_that_is_cut_after_an_idempotent_call(
    make_redis: RedisStores, saved: Any, servers: OneServer, function: str
) -> None:
    """The call is retried."""
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


async def test_a_server_that_closes_each_new_connection(
    make_redis: RedisStores, saved: Any, servers: OneServer
) -> None:
    """Nothing was sent, so the outcome is known."""
    async with Proxy(servers.port) as proxy:
        store = make_redis(url=proxy.url, prefix="p")
        await store.get(saved.session_id)
        proxy.accepts = False
        await proxy.cut()
        error = await failure(store.save(saved))
        proxy.accepts = True
        await store.save(saved)
        await store.aclose()

    assert failure_facts(error) == (proxy.host, "save", False)
    assert saved.revision == 2


async def test_a_server_that_never_answers(make_redis: RedisStores, servers: OneServer) -> None:
    """The first request checks the server, so nothing else was sent."""
    async with Proxy(servers.port) as proxy:
        proxy.is_mute = True
        store = make_redis(url=proxy.url, timeout=0.1)
        error = await failure(store.save(make_session()))
        is_healthy = await store.health_check()
        await store.aclose()

    assert failure_facts(error) == (proxy.host, "open", False)
    assert not is_healthy
