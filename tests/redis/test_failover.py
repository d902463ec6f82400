"""Kill a primary of a cluster under load, and let its replica take over. `nox -s servers` runs this."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from sessiondex.stores.redis import RedisSessionStore, home
from tests.support.redis.load import Load, check_it_works
from tests.support.redis.servers import Cluster

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def told_at_each_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost may be which tenants there are, too: a save tells of its tenant again, here each and not one a minute."""
    monkeypatch.setattr(home, "_KNOWN_FOR", 0)


async def test_a_replica_takes_over(record_testsuite_property: Any) -> None:
    """The store goes on. Acknowledged writes that had not reached the replica are lost: `-rP` shows how many."""
    cluster = Cluster(replicas=3, node_timeout=1_000)
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
    await check_it_works(store, cluster)
    for node in cluster.nodes:
        node.close()
