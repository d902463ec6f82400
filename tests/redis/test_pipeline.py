"""Concurrent calls on one server are sent together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest
from redis.exceptions import RedisError

from sessiondex import StoreClosedError, StoreUnavailableError
from sessiondex.stores.redis import keys
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.redis.connections import connections, named
from tests.support.redis.failures import timing_out
from tests.support.redis.internals import client_of, idle_connections_are_lost, prefix_of, until_background_done
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import OneServer
from tests.support.redis.stores import RedisStores
from tests.support.waiting import HANG_SECONDS, until

pytestmark = pytest.mark.parametrize("servers", ["standalone"], indirect=True)


@pytest.fixture
async def proxy(servers: OneServer) -> AsyncIterator[Proxy]:
    async with Proxy(servers.port) as proxy:
        yield proxy


@pytest.fixture
def store(make_redis: RedisStores, proxy: Proxy) -> Any:
    return make_redis(url=proxy.url)


async def test_calls_share_a_connection(store: Any, proxy: Proxy) -> None:
    """Fifty calls need fewer than a quarter as many connections, and each gets its own answer."""
    sessions = [make_session() for _ in range(50)]
    await asyncio.gather(*map(store.save, sessions))
    found = await asyncio.gather(*(store.get(one.session_id, tenant_id=one.tenant_id) for one in sessions))

    assert found == sessions
    assert proxy.accepted < len(sessions) / 4


async def test_an_error_of_one_call_does_not_affect_calls_sent_with_it(store: Any, servers: OneServer) -> None:
    """A key of the wrong type fails the call that reads it, and no other."""
    sessions = [make_session() for _ in range(3)]
    await store.save_many(sessions)
    key = keys.base(prefix_of(store), TENANT) + f"s:{sessions[1].session_id.hex}".encode()
    servers.client().delete(key)
    servers.client().rpush(key, "something else")
    gets = [store.get(session.session_id, tenant_id=TENANT) for session in sessions]
    found = await asyncio.gather(*gets, return_exceptions=True)

    assert found[::2] == sessions[::2]
    assert isinstance(found[1], StoreUnavailableError)
    assert "WRONGTYPE" in found[1].reason
    servers.client().delete(key)
    await store.save(sessions[1])


@pytest.mark.parametrize("code", ["LOADING", "NOAUTH", "NOPERM", "WRONGPASS", "ERR", "OOM"])
async def test_an_error_code_fails_only_its_own_command(store: Any, code: str) -> None:
    """This includes codes after which redis-py closes the connection. The other saves are executed once, and return."""
    sessions = [make_session() for _ in range(3)]
    await store.save_many(sessions)
    refused = ["EVAL", f"return redis.error_reply('{code} what a server may say')", 0]
    calls = [store.save(session, expected_revision=1) for session in sessions]
    calls.insert(1, client_of(store)._pipeline.execute(refused))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers.pop(1), RedisError)
    assert answers == [session.session_id for session in sessions]
    assert [session.revision for session in sessions] == [2, 2, 2]


async def test_text_without_an_encoding_fails_only_its_own_call(store: Any) -> None:
    await store.health_check()
    calls = [client_of(store)._pipeline.execute(["EXISTS", key]) for key in ("\ud800", "key")]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers[0], UnicodeEncodeError)
    assert answers[1] == 0


async def test_a_pipeline_runs_in_the_context_of_no_caller(store: Any) -> None:
    """Tracing would otherwise attribute all commands to one caller."""
    caller = ContextVar("caller", default="no caller")
    seen = []
    await store.health_check()
    pipeline = client_of(store)._pipeline
    send = pipeline._send

    async def recorded(commands: Any) -> Any:
        seen.append(caller.get())
        return await send(commands)

    pipeline._send = recorded
    caller.set("a caller")
    assert await asyncio.gather(*(store.health_check() for _ in range(3))) == [True] * 3

    assert set(seen) == {"no caller"}


async def test_a_waiting_reader_does_not_delay_other_calls(make_redis: RedisStores, servers: OneServer) -> None:
    """A reader has a connection of its own. While it blocks, the only other connection stays free."""
    store = make_redis(url=named(servers), max_connections=1)
    changes = store.changes()
    session = make_session()
    waiting = asyncio.ensure_future(anext(changes))
    await until(lambda: has_blocked_client(servers))
    is_taken = client_of(store)._permits.locked()
    await store.save(session)

    assert not is_taken
    assert (await waiting).session_id == session.session_id


def has_blocked_client(server: OneServer) -> bool:
    return any("b" in client["flags"] for client in server.client().client_list())


async def test_an_idle_connection_that_the_server_closed(store: Any, servers: OneServer, proxy: Proxy) -> None:
    """The client detects it before it sends anything, so writes succeed."""
    session = make_session()
    for _ in range(3):
        await store.save(session)
        await until_background_done(store)
        servers.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: not proxy.open_pipes and idle_connections_are_lost(store))
    await store.save(session)

    assert session.revision == 4


async def test_a_pipeline_without_an_answer(store: Any, proxy: Proxy) -> None:
    """All of its calls raise, and the next call uses another connection."""
    sessions = [make_session() for _ in range(5)]
    for _ in range(2):  # the first round registers the tenants
        await asyncio.gather(*map(store.save, sessions))
    await until_background_done(store)
    proxy.heard.clear()
    proxy.is_mute = True
    with timing_out(store, lambda: all(one.session_id.hex.encode() in proxy.heard for one in sessions)):
        answers = await asyncio.gather(*map(store.save, sessions), return_exceptions=True)
    proxy.is_mute = False

    assert all(isinstance(answer, StoreUnavailableError) and answer.is_outcome_unknown for answer in answers)
    assert [(await store.update(one.session_id, lambda _: None)).revision for one in sessions] == [4] * 5


async def test_a_call_that_is_cancelled_before_it_is_sent(store: Any, proxy: Proxy) -> None:
    """It is never sent."""
    session = make_session()
    for _ in range(2):  # the first round registers the tenant
        await store.save(session)
    session.user_channel_id = "never-sent"
    first = asyncio.ensure_future(store.health_check())  # sent directly, so the next call is queued
    saving = asyncio.ensure_future(store.save(session))
    await asyncio.sleep(0)
    saving.cancel()
    with suppress(asyncio.CancelledError):
        await saving
    assert await first
    for _ in range(3):
        await store.health_check()

    assert b"never-sent" not in proxy.heard
    session.user_channel_id = "sent"
    await store.save(session)
    assert b"sent" in proxy.heard


CALLS: dict[str, Any] = {
    "get": lambda store, session: store.get(session.session_id, tenant_id=TENANT),
    "get without a tenant": lambda store, session: store.get(session.session_id),
    "list": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "save of a new session": lambda store, _: store.save(make_session()),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("is_used", [True, False])
async def test_calls_under_way_when_the_store_is_closed(
    make_redis: RedisStores, servers: OneServer, name: str, *, is_used: bool
) -> None:
    """They end, and leave no connection open, however far they have got."""
    make_redis.may_leave |= {"locators"}
    session = make_session()
    await make_redis(prefix="end").save(session)
    for loop_turns in range(14):
        store = make_redis(url=named(servers), prefix="end")
        if is_used:
            await store.health_check()
        calls = [asyncio.ensure_future(CALLS[name](store, session)) for _ in range(3)]
        for _ in range(loop_turns):
            await asyncio.sleep(0)
        await store.aclose()
        async with asyncio.timeout(HANG_SECONDS):
            answers = await asyncio.gather(*calls, return_exceptions=True)

        ended = (StoreClosedError, StoreUnavailableError) if "save" in name else StoreClosedError
        assert not [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, ended)]
        await until(lambda: not connections(servers))


async def test_a_connection_that_is_cut(store: Any, proxy: Proxy) -> None:
    """Reads are retried. A write raises an error with an unknown outcome."""
    session = make_session()
    await store.save(session)
    await until_background_done(store)
    proxy.heard.clear()
    proxy.cut_after = b"GET"
    reads = [store.get(session.session_id, tenant_id=session.tenant_id) for _ in range(5)]

    assert [session] * 5 == await asyncio.gather(*reads)
    assert proxy.has_cut
    proxy.heard.clear()
    proxy.cut_after = b"never-known"
    with pytest.raises(StoreUnavailableError, match="the connection was lost") as caught:
        await store.save(session.model_copy(update={"user_channel_id": "never-known"}))
    assert caught.value.is_outcome_unknown
