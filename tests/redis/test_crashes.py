"""Servers that are killed, under load, and come back; and a cluster in which a replica takes over."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from sessiondex import StoreUnavailableError
from sessiondex.stores.redis import RedisSessionStore, home
from tests.support.builders import AGENT, make_session
from tests.support.redis.recount import check_indexes
from tests.support.redis.servers import Cluster, OneServer, Servers

TENANTS = [UUID(int=number) for number in range(1, 13)]  # so many that each node of a cluster has some
LEFT = frozenset({"locators", "lost locators"})  # by writes that were cut short


class Load:
    """Saves and deletes of some tasks, of which it knows what was acknowledged."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.acknowledged: dict[UUID, Any] = {}
        """Sessions that were saved, and of which nothing else was begun since."""
        self.writes = self.failed = self.unknown = self._wanted = 0
        self._enough = asyncio.Event()

    async def _work(self, tenant_id: UUID) -> None:
        while True:
            session = make_session(tenant_id=tenant_id)
            for _ in range(3):
                try:
                    await self._store.save(session)
                except StoreUnavailableError as error:
                    self.failed += 1
                    self.unknown += error.is_outcome_unknown
                    self.acknowledged.pop(session.session_id, None)
                    break
                self.writes += 1
                if self.writes >= self._wanted:
                    self._enough.set()
                self.acknowledged[session.session_id] = session.model_copy()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._work(tenant_id)) for tenant_id in TENANTS]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [error for error in ended if not isinstance(error, asyncio.CancelledError)] == []
            for session_id in list(self.acknowledged)[-len(tasks) :]:  # one of each task may be under way
                del self.acknowledged[session_id]

    async def more(self, count: int) -> None:
        """Wait until so many more writes were acknowledged."""
        self._wanted = self.writes + count
        self._enough.clear()
        async with asyncio.timeout(60):
            await self._enough.wait()

    async def lost(self) -> int:
        """Return how many acknowledged saves are not there any more, or only earlier ones."""
        count = 0
        for session_id, session in self.acknowledged.items():
            found = await self._store.get(session_id, tenant_id=session.tenant_id)
            count += found is None or found.revision < session.revision
        return count


@pytest.fixture(autouse=True)
def told_at_each_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost may be which tenants there are, too: a save tells of its tenant again, here each and not one a minute."""
    monkeypatch.setattr(home, "_KNOWN_FOR", 0)


async def works(store: Any, servers: Servers) -> None:
    """Hold the store to what it is for, after all that."""
    for tenant_id in TENANTS:
        await store.save(make_session(tenant_id=tenant_id))
    session = make_session(tenant_id=TENANTS[0])
    await store.save(session)
    assert (await store.list_by_agent(TENANTS[0], AGENT))[0] == await store.get(session.session_id) == session
    await store.aclose()
    check_indexes(servers, store._prefix, LEFT)


async def test_a_server_that_is_killed_and_comes_back_empty() -> None:
    """The store goes on, with nothing: functions are loaded anew, and what was under way says so."""
    server = OneServer()
    store = RedisSessionStore[Any](server.url, timeout=2)
    load = Load(store)
    async with load.running():
        await load.more(100)
        server.kill()
        await asyncio.to_thread(server.start)
        await load.more(100)
    assert await store.health_check()
    await works(store, server)
    server.close()


async def test_a_server_that_writes_all_down_loses_nothing_that_it_acknowledged() -> None:
    """With an append-only file that is written through, a crash loses no acknowledged save."""
    server = OneServer("--appendonly", "yes", "--appendfsync", "always")
    store = RedisSessionStore[Any](server.url, timeout=2)
    load = Load(store)
    async with load.running():
        await load.more(100)
        server.kill()
        await asyncio.to_thread(server.start)
        await load.more(100)

    assert len(load.acknowledged) > 40
    assert await load.lost() == 0
    await works(store, server)
    server.close()


async def test_a_server_that_is_away_for_a_moment_is_waited_for() -> None:
    """Reads, and writes that were never sent, are tried again, so nobody notices."""
    server = OneServer("--appendonly", "yes", "--appendfsync", "always")
    store = RedisSessionStore[Any](server.url)
    session = make_session()
    await store.save(session)
    server.kill()
    reading = asyncio.create_task(store.get(session.session_id))
    writing = asyncio.create_task(store.save(make_session()))
    await asyncio.sleep(0)
    await asyncio.to_thread(server.start)

    assert await reading == session
    await writing
    await store.aclose()
    server.close()


async def test_a_replica_takes_over(record_testsuite_property: Any) -> None:
    """The store goes on. Acknowledged writes that had not reached the replica are lost: `-rP` shows how many."""
    cluster = Cluster(replicas=3)
    store = RedisSessionStore[Any](cluster.url, timeout=2)
    load = Load(store)
    async with load.running():
        await load.more(200)
        cluster.nodes[0].kill()
        await load.more(400)
    lost = await load.lost()
    found = f"{lost} of {len(load.acknowledged)} acknowledged saves were lost, {load.failed} writes failed"
    record_testsuite_property("failover", found)
    sys.stdout.write(f"{found}\n")

    assert load.unknown <= load.failed
    cluster.nodes = cluster.nodes[1:]
    await works(store, cluster)
    for node in cluster.nodes:
        node.close()


@pytest.mark.parametrize("kind", ["standalone"])
async def test_what_was_lost_would_be_counted(kind: str, request: pytest.FixtureRequest) -> None:
    """The control of the above: a session that goes behind the store's back is one."""
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
