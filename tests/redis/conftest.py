"""Provide servers, which start when a test first needs them, and stores on them.

When a test ends, its stores are closed. Then all indexes on the servers are recomputed from the rows and compared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.redis.servers import Cluster, OneServer, Servers
from tests.support.redis.stores import RedisStores


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
    """Run each test on a single server and on a cluster, unless its file has servers of its own."""
    found: Servers = request.getfixturevalue(request.param)
    return found


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
