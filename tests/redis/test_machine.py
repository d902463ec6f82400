"""The state machine of the kit, at a size for every run, on one server and on a cluster."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sessiondex.stores.redis import RedisSessionStore
from sessiondex.testing import ContractViolation
from tests.support.redis.servers import Cluster, OneServer
from tests.support.redis.state_machine import ClusterMachine, RedisMachine
from tests.support.sizes import search_size

SIZE = settings(
    max_examples=search_size(50),
    stateful_step_count=40,
    deadline=None,
    # A failing example is told as it was: to make it smaller takes minutes, against a server.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
CALLS = search_size(1_500)


@pytest.mark.search
def test_one_server_says_what_the_scan_store_says(standalone: OneServer) -> None:
    """Contents, order, stamps, changes and errors, after any operations; and the indexes are what the rows say."""

    class Machine(RedisMachine):
        servers = standalone

    run_state_machine_as_test(Machine, settings=SIZE)

    assert Machine.steps > CALLS


@pytest.mark.search
def test_a_cluster_says_what_the_scan_store_says(cluster: Cluster) -> None:
    """The same, with the changes of each tenant by themselves."""

    class Machine(ClusterMachine):
        servers = cluster

    run_state_machine_as_test(Machine, settings=SIZE)

    assert Machine.steps > CALLS


# -- the machine finds what is planted --


class ForgetsTheStatus(RedisSessionStore[Any]):
    """Whose lists have sessions of any."""

    async def list_by_agent(self, tenant_id: UUID, agent_id: UUID, **options: Any) -> Any:
        return await super().list_by_agent(tenant_id, agent_id, **{**options, "status": None})


class KeepsAnEntry(RedisSessionStore[Any]):
    """Which gives the server an entry that the session does not have, under which nobody looks."""

    def _prepare(self, session: Any) -> Any:
        write = super()._prepare(session)
        entries, step = json.loads(write.row[: write.size])
        filed = json.dumps([[*entries, "a:beside"], step]).encode()
        return write._replace(row=filed + write.row[write.size :], size=len(filed))


@pytest.mark.search
@pytest.mark.parametrize(
    ("cls", "error", "told"),
    [
        (ForgetsTheStatus, ContractViolation, "_by_agent"),
        (KeepsAnEntry, AssertionError, "a:beside"),
    ],
)
def test_a_planted_bug_is_found(standalone: OneServer, cls: Any, error: type[Exception], told: str) -> None:
    class Machine(RedisMachine):
        servers = standalone
        store_class = cls

    with pytest.raises(error, match=told):
        run_state_machine_as_test(Machine, settings=settings(SIZE, max_examples=300, derandomize=True))
