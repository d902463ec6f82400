"""Queries repair indexes of sessions that the server has lost. Ids move from one tenant to another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex import ScopeFilter, TenantMismatchError
from sessiondex.stores.redis import keys, maintenance
from tests.support.builders import AGENT, CUSTOMER, OTHER_TENANT, SCENARIO, TENANT, at_step, make_session
from tests.support.redis.internals import prefix_of, registered_tenants, until_background_done
from tests.support.redis.recount import differences
from tests.support.redis.servers import Servers


def remove(servers: Servers, *names: bytes) -> int:
    """Delete the keys on all nodes, as an eviction by the server would."""
    return sum(node.client().delete(name) for node in servers.nodes for name in names if _has(node, name))


def _has(node: Any, name: bytes) -> bool:
    return name in set(node.client().scan_iter(count=1_000))


def keys_of(servers: Servers, pattern: str) -> set[bytes]:
    return {key for node in servers.nodes for key in node.client().scan_iter(match=pattern, count=1_000)}


def row_of(store: Any, session: Any) -> bytes:
    return keys.base(prefix_of(store), session.tenant_id) + f"s:{session.session_id.hex}".encode()


QUERIES: dict[str, Any] = {
    "get_by_channel": lambda store: store.get_by_channel(TENANT, "webchat", "user-1"),
    "list_by_agent": lambda store: store.list_by_agent(TENANT, AGENT),
    "list_by_agent with a status": lambda store: store.list_by_agent(TENANT, AGENT, status="active"),
    "list_by_channel": lambda store: store.list_by_channel(TENANT, "webchat", "user-1"),
    "list_by_tenant": lambda store: store.list_by_tenant(TENANT),
    "list_by_customer": lambda store: store.list_by_customer(TENANT, CUSTOMER),
    "find": lambda store: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
}


async def answers_of(store: Any) -> dict[str, Any]:
    """Run every query, which meets each index, and wait until the indexes are repaired."""
    found = {name: await query(store) for name, query in QUERIES.items()}
    await until_background_done(store)
    return found


async def test_index_entries_of_lost_sessions(make_redis: Any, servers: Servers) -> None:
    """Every query skips and removes them. Afterwards the counts are right again."""
    store, sessions = make_redis(), [at_step(customer_profile_id=CUSTOMER) for _ in range(6)]
    for session in sessions:
        await store.save(session)
    lost, left = sessions[3:], sessions[2::-1]
    assert remove(servers, *(row_of(store, session) for session in lost)) == 3
    make_redis.may_leave |= {"locators"}
    assert differences(servers, prefix_of(store), make_redis.may_leave)
    found = await answers_of(store)

    assert found == {name: left[0] if name == "get_by_channel" else left for name in QUERIES}
    assert await store.count_by_agent(TENANT, AGENT) == await store.count_by_customer(TENANT, CUSTOMER) == 3
    assert await store.count_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == 3


async def test_a_page_after_entries_of_lost_sessions(make_redis: Any, servers: Servers) -> None:
    """It is full."""
    store, sessions = make_redis(), [make_session() for _ in range(8)]
    await store.save_many(sessions)
    remove(servers, *(row_of(store, session) for session in sessions[5:]))
    make_redis.may_leave |= {"locators"}

    assert await store.list_by_agent(TENANT, AGENT, limit=4) == sessions[4:0:-1]
    assert (await answers_of(store))["get_by_channel"] == sessions[4]


async def test_a_lost_session_that_is_saved_again(make_redis: Any, servers: Servers) -> None:
    """It is a new session."""
    store, session = make_redis(), at_step()
    await store.save(session)
    await store.save(session)
    remove(servers, row_of(store, session))
    await store.save(session, expected_revision=0)

    assert session.revision == 1
    assert await store.list_by_agent(TENANT, AGENT) == [session]


async def test_lost_indexes_of_a_session_that_is_saved_again(make_redis: Any, servers: Servers) -> None:
    """The save restores all of them, although the index keys of the session are the same."""
    store, session = make_redis(), at_step(customer_profile_id=CUSTOMER)
    await store.save(session)
    base = keys.base(prefix_of(store), TENANT)
    names = keys_of(servers, f"{prefix_of(store)}:*")
    kept = (base + b"s:", base + b"meta", f"{prefix_of(store)}:l:".encode(), f"{prefix_of(store)}:tenants".encode())
    lost = [name for name in names if not name.startswith(kept)]
    assert remove(servers, *lost) == len(lost) >= 8
    assert not await store.list_by_agent(TENANT, AGENT)
    await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT) == [session]
    scope = ScopeFilter(include_current_nodes=["pay"])
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1", scope) == [session]


async def test_a_lost_last_stamp(make_redis: Any, servers: Servers, clock: Any) -> None:
    """Stamps still increase, even if the clock stands still: the newest session shows the last stamp."""
    store, session, other = make_redis(clock=clock), make_session(), make_session()
    await store.save(session)
    remove(servers, keys.base(prefix_of(store), TENANT) + b"meta")
    await store.save(other)

    assert other.last_activity_at > session.last_activity_at
    assert await store.list_by_agent(TENANT, AGENT) == [other, session]


async def test_a_session_whose_locator_was_lost(make_redis: Any, servers: Servers) -> None:
    """It is found and deleted if the tenant is given."""
    store, session = make_redis(), make_session()
    await store.save(session)
    remove(servers, keys.locator(prefix_of(store), session.session_id))

    assert await store.get(session.session_id) is None
    assert await store.get(session.session_id, tenant_id=TENANT) == session
    assert await store.delete(session.session_id, tenant_id=TENANT)


async def test_a_locator_of_a_lost_session(make_redis: Any, servers: Servers) -> None:
    """The call that follows it releases it."""
    store, session = make_redis(), make_session()
    await store.save(session)
    remove(servers, row_of(store, session))
    assert await store.get(session.session_id) is None
    await until_background_done(store)

    assert not keys_of(servers, f"{prefix_of(store)}:l:*")
    await answers_of(store)


# -- ids move from one tenant to another --


async def test_the_id_of_a_deleted_session(make_redis: Any) -> None:
    """It is free for any tenant, even before its locator is released."""
    store, mine = make_redis(), make_session()
    for _ in range(3):
        theirs = mine.model_copy(update={"tenant_id": OTHER_TENANT})
        for session in (mine, theirs):
            await store.save(session)
            assert await store.get(mine.session_id) == session
            assert await store.delete(mine.session_id)


async def test_two_tenants_that_save_one_id_concurrently(make_redis: Any) -> None:
    """One save succeeds and the other raises. The id leads to the session of the first."""
    one = make_redis()
    other = make_redis(prefix=prefix_of(one))
    for _ in range(60):
        mine = make_session()
        theirs = mine.model_copy(update={"tenant_id": OTHER_TENANT})
        answers = await asyncio.gather(one.save(mine), other.save(theirs), return_exceptions=True)

        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert [type(error) for error in refused] == [TenantMismatchError], [str(error) for error in refused]
        winner = mine if isinstance(answers[1], BaseException) else theirs
        assert await one.get(mine.session_id) == await other.get(mine.session_id) == winner


@pytest.mark.parametrize("seed", range(5))
async def test_concurrent_saves_and_deletes_of_two_tenants(make_redis: Any, seed: int) -> None:
    """One tenant at a time has an id. In the end its locator names that tenant."""
    one = make_redis()
    other = make_redis(prefix=prefix_of(one))
    ids = [make_session().session_id for _ in range(3)]

    async def work(store: Any, tenant: Any, number: int) -> None:
        session_id = ids[(number * 7 + seed) % 3]
        try:
            if (number + seed) % 3:
                await store.save(make_session(session_id=session_id, tenant_id=tenant))
            else:
                await store.delete(session_id, tenant_id=tenant)
        except TenantMismatchError:
            pass

    for number in range(30):
        workers = [(store, tenant) for store in (one, other) for tenant in (TENANT, OTHER_TENANT)]
        await asyncio.gather(*(work(store, tenant, number + at) for at, (store, tenant) in enumerate(workers)))
    for session_id in ids:
        owners = [tenant for tenant in (TENANT, OTHER_TENANT) if await one.get(session_id, tenant_id=tenant)]
        found = await other.get(session_id)

        assert owners == ([] if found is None else [found.tenant_id])
    await until_background_done(one)
    await until_background_done(other)


async def test_a_tenant_that_was_lost_from_the_registry(
    make_redis: Any, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later save registers it again. A failover can lose the registry and keep the tenant."""
    monkeypatch.setattr(maintenance, "REGISTRATION_SECONDS", 0)
    store = make_redis()
    await store.save(make_session())
    await until_background_done(store)
    assert remove(servers, f"{prefix_of(store)}:tenants".encode()) == 1
    assert await registered_tenants(store) == []
    await store.save(make_session())
    await until_background_done(store)

    assert await registered_tenants(store) == [TENANT]


async def test_a_registry_that_cannot_be_written(
    make_redis: Any, servers: Servers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Saves of known tenants succeed: the registry may be on another node, which may be away."""
    monkeypatch.setattr(maintenance, "REGISTRATION_SECONDS", 0)
    store = make_redis()
    await store.save(make_session())
    await store.aclose()
    key = f"{prefix_of(store)}:tenants".encode()
    node = next(node for node in servers.nodes if _has(node, key))
    store = make_redis(prefix=prefix_of(store))
    await store.save(make_session())
    node.client().delete(key)
    node.client().rpush(key, "something else")
    await store.save(make_session())
    await store.aclose()
    node.client().delete(key)
    node.client().zadd(key, {TENANT.hex: 0})

    assert "WRONGTYPE" in caplog.text
