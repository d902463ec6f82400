"""Kill a primary of a cluster under load, and let its replica take over. `nox -s servers` runs this."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from sessiondex.stores.redis import RedisSessionStore, maintenance
from tests.support.redis.load import Load, check_it_works
from tests.support.redis.servers import Cluster, until

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def register_tenants_at_each_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the tenant at every save, not once a minute: a crash may lose the registry of tenants."""
    monkeypatch.setattr(maintenance, "REGISTRATION_SECONDS", 0)


async def test_a_replica_takes_over(record_testsuite_property: Any) -> None:
    """Every tenant is served again. Saves that had not reached the replica are lost; `-rP` shows how many."""
    cluster = Cluster(replicas=3, node_timeout=5_000)
    store = RedisSessionStore[Any](cluster.url)
    load = Load(store)
    async with load.running():
        await load.each_served()
        cluster.nodes[0].kill()
        cluster.nodes = cluster.nodes[1:]
        await asyncio.to_thread(until, lambda: sum(node.is_primary() for node in cluster.nodes) == 3, "a new primary")
        await load.each_served()
    lost = await load.lost()
    found = f"{lost} of {len(load.acknowledged)} acknowledged saves were lost, {load.failed} writes failed"
    record_testsuite_property("failover", found)
    sys.stdout.write(f"{found}\n")

    await check_it_works(store, cluster)
    cluster.close()
