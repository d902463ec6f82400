"""Fixtures: servers of this process, started when they are first needed, and stores on them.

Whatever was made is closed when its test ends, and then every index on the servers is compared with what the rows say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from sessiondex.stores.redis import RedisSessionStore
from tests.support.redis.recount import check_indexes, contents
from tests.support.redis.servers import Cluster, OneServer, Servers


@pytest.fixture(scope="session")
def standalone() -> Iterator[OneServer]:
    server = OneServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    servers = Cluster()
    yield servers
    servers.close()


@pytest.fixture(params=["standalone", "cluster"])
def servers(request: pytest.FixtureRequest) -> Servers:
    """Where stores are made: in each test on one server, and on a cluster, unless its file has servers of its own."""
    found: Servers = request.getfixturevalue(request.param)
    return found


class RedisStores:
    """Makes stores, each with a prefix that no other has, unless it is given one."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.may_leave: frozenset[str] = frozenset()
        """What of the servers' keys may be left though nothing needs it: see `census.differences`."""
        self._made: list[RedisSessionStore[Any]] = []

    def __call__(
        self, *, url: str | None = None, prefix: str | None = None, cls: Any = RedisSessionStore, **options: Any
    ) -> Any:
        store = cls(url or self.servers.url, prefix=prefix or f"t{uuid4().hex}", **options)
        self._made.append(store)
        return store

    async def close(self) -> None:
        for store in self._made:
            await store.aclose()

    def check(self) -> None:
        held = contents(self.servers)
        for prefix in {store._prefix for store in self._made}:
            check_indexes(self.servers, prefix, self.may_leave, held)


@pytest.fixture
async def make_redis(servers: Servers) -> AsyncIterator[RedisStores]:
    stores = RedisStores(servers)
    yield stores
    await stores.close()
    try:
        stores.check()
    finally:
        servers.flush()


@pytest.fixture
def store(make_redis: RedisStores) -> Any:
    return make_redis()
