"""Put a store under load while servers crash, and count lost saves that were acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sessiondex import StoreUnavailableError
from tests.support.builders import AGENT, make_session
from tests.support.redis.internals import prefix_of
from tests.support.redis.recount import check_indexes
from tests.support.redis.servers import Servers
from tests.support.waiting import HANG_SECONDS, until

TENANTS = [UUID(int=number) for number in range(1, 13)]  # enough for each node of a cluster to have some
LEFTOVERS = frozenset({"locators", "lost locators"})  # of interrupted writes


class Load:
    """Saves sessions in one task for each tenant, and records which saves were acknowledged."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.acknowledged: dict[UUID, Any] = {}
        """Sessions whose last save was acknowledged."""
        self.writes = self.failed = self.unknown = self._wanted = 0
        self._enough = asyncio.Event()
        self._served: set[UUID] = set()

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
                self._served.add(tenant_id)
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
            for session_id in list(self.acknowledged)[-len(tasks) :]:  # each task may have been cancelled in a save
                del self.acknowledged[session_id]

    async def more(self, count: int) -> None:
        """Wait until `count` more writes were acknowledged."""
        self._wanted = self.writes + count
        self._enough.clear()
        async with asyncio.timeout(HANG_SECONDS):
            await self._enough.wait()

    async def each_served(self) -> None:
        """Wait until a new save of every tenant was acknowledged."""
        self._served.clear()
        await until(lambda: self._served == set(TENANTS))

    async def lost(self) -> int:
        """Return the number of sessions whose last acknowledged save is lost."""
        count = 0
        for session_id, session in self.acknowledged.items():
            found = await self._store.get(session_id, tenant_id=session.tenant_id)
            count += found is None or found.revision < session.revision
        return count


async def check_it_works(store: Any, servers: Servers) -> None:
    """Check that the store saves and finds sessions of every tenant after the crash."""
    for tenant_id in TENANTS:
        await store.save(make_session(tenant_id=tenant_id))
    session = make_session(tenant_id=TENANTS[0])
    await store.save(session)
    assert (await store.list_by_agent(TENANTS[0], AGENT))[0] == await store.get(session.session_id) == session
    await store.aclose()
    check_indexes(servers, prefix_of(store), LEFTOVERS)
