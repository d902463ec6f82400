"""Use a cluster while its slots are served by no node, or move to another node. `nox -s servers` runs this."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import StoreUnavailableError
from tests.support.builders import AGENT, make_session
from tests.support.redis.failures import failure, failure_facts
from tests.support.redis.internals import prefix_of, until_background_done
from tests.support.redis.recount import contents
from tests.support.redis.servers import HOST, Cluster, OneServer, until
from tests.support.redis.stores import RedisStores

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Start a cluster for the tests of this file. Each of them leaves it complete."""
    servers = Cluster()
    yield servers
    servers.close()


@pytest.fixture
def servers(cluster: Cluster) -> Cluster:
    return cluster


class Slot:
    """Moves the slot of a tenant from its owner to the heir, the next node."""

    def __init__(self, cluster: Cluster, store: Any, tenant_id: UUID) -> None:
        self.cluster = cluster
        self.key = f"{prefix_of(store)}:{{{tenant_id.hex}}}:all"
        self.number = int(_ask(cluster.nodes[0], "KEYSLOT", self.key))
        place = self.number * 3 // 16384
        self.owner, self.heir = cluster.nodes[place], cluster.nodes[(place + 1) % 3]

    def set(self, node: OneServer, *state: str) -> None:
        _ask(node, "SETSLOT", self.number, *state)

    def begin(self) -> None:
        """Begin to migrate the slot."""
        self.set(self.heir, "IMPORTING", _id(self.owner))
        self.set(self.owner, "MIGRATING", _id(self.heir))

    def move(self, count: int) -> int:
        """Move up to `count` keys, and return how many were moved."""
        keys = _ask(self.owner, "GETKEYSINSLOT", self.number, count)
        if keys:
            client: Any = self.owner.client()
            client.execute_command("MIGRATE", HOST, self.heir.port, "", 0, 60_000, "KEYS", *keys)
        return len(keys)

    def end(self) -> None:
        """Move the remaining keys, and have the heir serve the slot. It becomes the owner."""
        while self.move(100):
            pass
        for node in (self.heir, self.owner, *self.cluster.nodes):
            self.set(node, "NODE", _id(self.heir))
        self.owner, self.heir = self.heir, self.owner


def _ask(node: OneServer, *command: Any) -> Any:
    return node.raw_client().execute_command("CLUSTER", *command)


def _id(node: OneServer) -> str:
    return str(_ask(node, "MYID").decode())


async def prepared(make_redis: RedisStores) -> tuple[Any, list[Any], Slot]:
    """Return a store, sessions of one tenant in it, and the tenant's slot."""
    store, tenant_id = make_redis(), uuid4()
    sessions = [make_session(tenant_id=tenant_id) for _ in range(6)]
    await store.save_many(sessions)
    await until_background_done(store)
    assert isinstance(make_redis.servers, Cluster)
    return store, sessions, Slot(make_redis.servers, store, tenant_id)


async def test_a_slot_that_moved(make_redis: RedisStores) -> None:
    """The store follows it, there and back, and no call fails."""
    store, sessions, slot = await prepared(make_redis)
    tenant_id = sessions[0].tenant_id
    for revision in range(2, 4):
        slot.begin()
        slot.end()
        found = await store.list_by_agent(tenant_id, AGENT)
        for session in sessions:
            await store.save(session)

        assert len(found) == 6
        assert [session.revision for session in sessions] == [revision] * 6


async def test_a_slot_that_moves_under_load(make_redis: RedisStores) -> None:
    """Each save is executed once or not at all, and its outcome is known."""
    store, sessions, slot = await prepared(make_redis)
    unknown: list[bool] = []
    is_over = False

    async def work(session: Any) -> None:
        while not is_over:
            expected = session.revision
            try:
                await store.save(session, expected_revision=expected)
            except StoreUnavailableError as error:
                unknown.append(error.is_outcome_unknown)
            else:
                assert session.revision == expected + 1

    working = [asyncio.create_task(work(session)) for session in sessions]
    for _ in range(3):
        await asyncio.to_thread(slot.begin)
        await asyncio.to_thread(slot.move, 3)
        await asyncio.to_thread(slot.end)
    is_over = True
    await asyncio.gather(*working)

    assert not any(unknown)
    assert await store.list_by_agent(sessions[0].tenant_id, AGENT) == sorted(
        sessions, key=lambda session: session.last_activity_at, reverse=True
    )
    if slot.number * 3 // 16384 != slot.cluster.nodes.index(slot.owner):
        slot.begin()
        slot.end()


async def test_a_slot_whose_keys_are_on_two_nodes(make_redis: RedisStores) -> None:
    """Calls raise and change nothing until the move has ended."""
    store, sessions, slot = await prepared(make_redis)
    session = sessions[0]
    before = [one.model_copy() for one in reversed(sessions)]
    held, count = contents(slot.cluster), len(_ask(slot.owner, "GETKEYSINSLOT", slot.number, 1_000))
    slot.begin()
    slot.move(count // 2)
    errors = await asyncio.gather(failure(store.save(session)), failure(store.list_by_agent(session.tenant_id, AGENT)))
    slot.end()

    assert contents(slot.cluster) == held
    assert {failure_facts(error)[2] for error in errors} == {False}
    assert {error.reason for error in errors} == {"it is not ready (ClusterError)"}
    assert await store.list_by_agent(session.tenant_id, AGENT) == before
    slot.begin()
    slot.end()


async def test_a_slot_that_no_node_serves(make_redis: RedisStores) -> None:
    """Calls raise after some retries, and change nothing."""
    store, sessions, slot = await prepared(make_redis)
    held = contents(slot.cluster)
    _ask(slot.owner, "DELSLOTS", slot.number)
    until(lambda: b"cluster_state:fail" in _ask(slot.owner, "INFO"), "a cluster that is down")
    # One after another: when a call finds the cluster down, redis-py cuts the connections of all calls.
    errors = [
        await failure(store.save(sessions[0])),
        await failure(store.get(sessions[0].session_id, tenant_id=sessions[0].tenant_id)),
    ]
    _ask(slot.owner, "ADDSLOTS", slot.number)
    until(lambda: b"cluster_state:ok" in _ask(slot.owner, "INFO"), "a cluster that is whole")

    assert [error.operation for error in errors] == ["save", "get"]
    assert not any(error.is_outcome_unknown for error in errors)
    assert all(error.reason.startswith("it is not ready (") for error in errors)
    assert contents(slot.cluster) == held


async def test_a_slot_that_is_served_again(make_redis: RedisStores) -> None:
    """Writes raise while no node serves it, and succeed afterwards. `test_retries.py` counts the attempts."""
    store, sessions, slot = await prepared(make_redis)
    session = sessions[0]
    _ask(slot.owner, "DELSLOTS", slot.number)
    until(lambda: b"cluster_state:fail" in _ask(slot.owner, "INFO"), "a cluster that is down")
    error = await failure(store.save(session))
    _ask(slot.owner, "ADDSLOTS", slot.number)
    until(lambda: all(b"cluster_state:ok" in _ask(node, "INFO") for node in slot.cluster.nodes), "a whole cluster")
    await store.save(session)

    assert not error.is_outcome_unknown
    assert session.revision == 2
