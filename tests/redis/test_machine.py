"""Run the state machine of the kit on one server and on a cluster, in a size for every run."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sessiondex.stores.redis import RedisSessionStore
from sessiondex.stores.redis.codec import EncodedSession, SessionCodec
from sessiondex.testing import ContractViolation
from tests.support.redis.servers import Cluster, OneServer
from tests.support.redis.state_machine import ClusterMachine, RedisMachine
from tests.support.sizes import search_size

SIZE = settings(
    max_examples=search_size(50),
    stateful_step_count=40,
    deadline=None,
    # Failing examples are not shrunk: that takes minutes against a server.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
CALLS = search_size(1_500)


@pytest.mark.search
def test_one_server_against_the_scan_store(standalone: OneServer) -> None:
    """Contents, order, changes and errors are equal after any operations, and the indexes agree with the rows."""

    class Machine(RedisMachine):
        servers = standalone

    run_state_machine_as_test(Machine, settings=SIZE)

    assert Machine.steps > CALLS


@pytest.mark.search
def test_a_cluster_against_the_scan_store(cluster: Cluster) -> None:
    """The same holds, with a change feed for each tenant."""

    class Machine(ClusterMachine):
        servers = cluster

    run_state_machine_as_test(Machine, settings=SIZE)

    assert Machine.steps > CALLS


# -- control: the machine finds planted faults --


class ForgetsTheStatus(RedisSessionStore[Any]):
    """Lists sessions of any status."""

    async def list_by_agent(self, tenant_id: UUID, agent_id: UUID, **options: Any) -> Any:
        return await super().list_by_agent(tenant_id, agent_id, **{**options, "status": None})


class AddingCodec(SessionCodec[Any]):
    def encode(self, session: Any) -> EncodedSession:
        encoded = super().encode(session)
        packed = encoded.data[: encoded.index_size] + (7).to_bytes(4) + b"a:extra"
        return encoded._replace(data=packed + encoded.data[encoded.index_size :], index_size=len(packed))


class AddsAnEntry(RedisSessionStore[Any]):
    """Adds an index entry to each session, in a list that no query reads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._codec = AddingCodec(options["session_classes"], "")


@pytest.mark.search
@pytest.mark.parametrize(
    ("cls", "error", "text"),
    [
        (ForgetsTheStatus, ContractViolation, "_by_agent"),
        (AddsAnEntry, AssertionError, "a:extra"),
    ],
)
def test_a_planted_fault_is_found(standalone: OneServer, cls: Any, error: type[Exception], text: str) -> None:
    class Machine(RedisMachine):
        servers = standalone
        store_class = cls

    with pytest.raises(error, match=text):
        run_state_machine_as_test(Machine, settings=settings(SIZE, max_examples=300, derandomize=True))
