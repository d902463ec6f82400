"""Calls that are made at a time, on one server: they are sent together, and each gets its own answer."""

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
from tests.support.redis.proxy import Proxy
from tests.support.redis.servers import OneServer
from tests.support.redis.stores import RedisStores
from tests.support.waiting import HANG_SECONDS, until, until_background_done

pytestmark = pytest.mark.parametrize("servers", ["standalone"], indirect=True)


@pytest.fixture
async def proxy(servers: OneServer) -> AsyncIterator[Proxy]:
    async with Proxy(servers.port) as proxy:
        yield proxy


@pytest.fixture
def store(make_redis: RedisStores, proxy: Proxy) -> Any:
    return make_redis(url=proxy.url)


async def test_calls_share_a_connection(store: Any, proxy: Proxy) -> None:
    """Some each; and each call gets its own answer."""
    sessions = [make_session() for _ in range(50)]
    await asyncio.gather(*map(store.save, sessions))
    found = await asyncio.gather(*(store.get(one.session_id, tenant_id=one.tenant_id) for one in sessions))

    assert found == sessions
    assert proxy.accepted < len(sessions) / 4


async def test_one_that_is_refused_is_no_other(store: Any, servers: OneServer) -> None:
    """Each is told of its own, also of those that were sent together."""
    sessions = [make_session() for _ in range(3)]
    await store.save_many(sessions)
    key = keys.base(store._prefix, TENANT) + f"s:{sessions[1].session_id.hex}".encode()
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
async def test_an_error_is_the_answer_of_one(store: Any, code: str) -> None:
    """Also one that redis-py takes for the end of the connection: the others were done, once, and know it."""
    sessions = [make_session() for _ in range(3)]
    await store.save_many(sessions)
    refused = ["EVAL", f"return redis.error_reply('{code} what a server may say')", 0]
    calls = [store.save(session, expected_revision=1) for session in sessions]
    calls.insert(1, store._server._batches.ask(refused))
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers.pop(1), RedisError)
    assert answers == [session.session_id for session in sessions]
    assert [session.revision for session in sessions] == [2, 2, 2]


async def test_what_cannot_be_sent_is_the_fault_of_one(store: Any) -> None:
    await store.health_check()
    calls = [store._server._batches.ask(["EXISTS", key]) for key in ("\ud800", "key")]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(answers[0], UnicodeEncodeError)
    assert answers[1] == 0


async def test_what_is_sent_together_is_sent_in_nobodys_context(store: Any) -> None:
    """As those who trace calls would else see all of them in one."""
    caller = ContextVar("caller", default="nobody")
    seen = []
    await store.health_check()
    batches = store._server._batches
    execute = batches._execute

    async def executed(commands: Any) -> Any:
        seen.append(caller.get())
        return await execute(commands)

    batches._execute = executed
    caller.set("somebody")
    assert await asyncio.gather(*(store.health_check() for _ in range(3))) == [True] * 3

    assert set(seen) == {"nobody"}


async def test_a_waiting_reader_does_not_delay_other_calls(make_redis: RedisStores, servers: OneServer) -> None:
    """A reader has a connection of its own: while it is blocked at the server, the only other one is free."""
    store = make_redis(url=named(servers), max_connections=1)
    changes = store.changes()
    session = make_session()
    waiting = asyncio.ensure_future(anext(changes))
    await until(lambda: has_blocked_client(servers))
    is_taken = store._server._room.locked()
    await store.save(session)

    assert not is_taken
    assert (await waiting).after == session


def has_blocked_client(server: OneServer) -> bool:
    return any("b" in client["flags"] for client in server.client().client_list())


async def test_an_idle_connection_that_was_closed(store: Any, servers: OneServer, proxy: Proxy) -> None:
    """It is noticed before anything is sent on it, so a write is done, and known to be."""
    session = make_session()
    for _ in range(3):
        await store.save(session)
        await until_background_done(store)
        servers.client().execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: not proxy.open_pipes)
    await store.save(session)

    assert session.revision == 4


async def test_no_answer(store: Any, proxy: Proxy) -> None:
    """All that wait are told, and the next call has another connection."""
    sessions = [make_session() for _ in range(5)]
    for _ in range(2):  # of new tenants the server would have to be told first
        await asyncio.gather(*map(store.save, sessions))
    await until_background_done(store)
    proxy.heard.clear()
    proxy.is_mute = True
    with timing_out(store, lambda: all(one.session_id.hex.encode() in proxy.heard for one in sessions)):
        answers = await asyncio.gather(*map(store.save, sessions), return_exceptions=True)
    proxy.is_mute = False

    assert all(isinstance(answer, StoreUnavailableError) and answer.is_outcome_unknown for answer in answers)
    assert [(await store.update(one.session_id, lambda _: None)).revision for one in sessions] == [4] * 5


async def test_who_is_cancelled_before_it_is_sent_is_not_sent(store: Any, proxy: Proxy) -> None:
    session = make_session()
    for _ in range(2):  # of a new tenant the server would have to be told first
        await store.save(session)
    session.user_channel_id = "never-sent"
    first = asyncio.ensure_future(store.health_check())  # which goes by itself
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
    "save of what is new": lambda store, _: store.save(make_session()),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("is_used", [True, False])
async def test_calls_at_the_end(make_redis: RedisStores, servers: OneServer, name: str, *, is_used: bool) -> None:
    """Those that are under way when the store is closed come to an end, and leave no connection."""
    make_redis.may_leave |= {"locators"}
    session = make_session()
    await make_redis(prefix="end").save(session)
    for turns in range(14):
        store = make_redis(url=named(servers), prefix="end")
        if is_used:
            await store.health_check()
        calls = [asyncio.ensure_future(CALLS[name](store, session)) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await store.aclose()
        async with asyncio.timeout(HANG_SECONDS):
            answers = await asyncio.gather(*calls, return_exceptions=True)

        ended = (StoreClosedError, StoreUnavailableError) if "save" in name else StoreClosedError
        assert not [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, ended)]
        await until(lambda: not connections(servers))


async def test_a_cut_connection(store: Any, proxy: Proxy) -> None:
    """Reads are asked again; of writes it is told that nobody knows."""
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
