"""No two sessions of a tenant share a stamp, restored sessions included."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import InMemorySessionStore, TenantMismatchError, copy_sessions
from sessiondex.clock import EPOCH
from sessiondex.stores.redis import keys
from tests.support.builders import AGENT, OTHER_AGENT, OTHER_TENANT, TENANT, Clock, make_session
from tests.support.redis.internals import prefix_of
from tests.support.redis.planted_keys import has_key
from tests.support.redis.servers import Servers

MICROSECOND = timedelta(microseconds=1)
STAMP = Clock()()


def saved(stamp: datetime = STAMP, revision: int = 1, **fields: Any) -> Any:
    """Return a session as another store may have saved it."""
    session = make_session(**fields)
    session.last_activity_at, session.revision = stamp, revision
    return session


async def stamps_of(store: Any, sessions: Sequence[Any]) -> list[int]:
    """Return the stored stamps of the sessions, as microseconds after `STAMP`."""
    found = [await store.get(session.session_id) for session in sessions]
    return [(session.last_activity_at - STAMP) // MICROSECOND for session in found]


async def identities_of(store: Any) -> list[tuple[Any, ...]]:
    """Return id, stamp and revision of all sessions of the store, page by page."""
    found, cursor = await store.export(limit=1)
    while cursor is not None:
        page, cursor = await store.export(cursor=cursor, limit=1)
        found += page
    return sorted((session.session_id, session.last_activity_at, session.revision) for session in found)


async def test_restored_sessions_with_one_stamp(make_redis: Any) -> None:
    """Each gets a stamp of its own, in the order in which they were given. Pages contain all of them."""
    store, sessions = make_redis(), [saved() for _ in range(5)]
    await store.restore(sessions)

    assert await stamps_of(store, sessions) == [0, 1, 2, 3, 4]
    assert [session.last_activity_at for session in sessions] == [STAMP] * 5
    paged = [session.session_id async for session in store.iter_by_agent(TENANT, AGENT, page_size=1)]
    assert paged == [session.session_id for session in reversed(sessions)]
    assert await store.count_by_agent(TENANT, AGENT) == 5


async def test_a_stamp_that_a_stored_session_has(make_redis: Any, clock: Clock) -> None:
    """The restored session moves to the next free microsecond, not just to the next one."""
    store = make_redis(clock=clock)
    stored = [make_session() for _ in range(3)]
    for session in stored:
        await store.save(session)
    gap = make_session()
    clock.move(microseconds=7)
    await store.save(gap)
    restored = [saved(stored[0].last_activity_at), saved(stored[1].last_activity_at), saved(gap.last_activity_at)]
    before = await stamps_of(store, [*stored, gap])
    await store.restore(restored)

    assert before == await stamps_of(store, [*stored, gap]) == [0, 1, 2, 7]
    assert await stamps_of(store, restored) == [3, 4, 8]


async def test_sessions_that_are_restored_twice(make_redis: Any) -> None:
    """The second time changes nothing, also for sessions whose stamps were moved."""
    store, sessions = make_redis(), [saved() for _ in range(4)]
    first = await store.restore(sessions)
    before = await identities_of(store)
    second = await store.restore(sessions)
    reversed_order = await store.restore(sessions[::-1])

    assert (first, second, reversed_order) == (4, 0, 0)
    assert await identities_of(store) == before


async def test_a_save_after_a_restore(make_redis: Any) -> None:
    """Its stamp is later than all restored ones, moved ones included."""
    store, sessions, later = make_redis(clock=Clock()), [saved() for _ in range(3)], make_session()
    await store.restore(sessions)
    await store.save(later)

    assert await stamps_of(store, [later]) == [3]


async def test_a_stamp_that_its_session_has_left(make_redis: Any) -> None:
    """A later save has freed the stamp, in an earlier call or in the same one. The restored session keeps it."""
    store, moved, kept, late = make_redis(clock=Clock()), saved(), saved(), saved(STAMP + 5 * MICROSECOND)
    await store.restore([moved, late])
    newer = moved.model_copy(update={"last_activity_at": STAMP + 20 * MICROSECOND, "revision": 2})
    newest = late.model_copy(update={"last_activity_at": STAMP + 30 * MICROSECOND, "revision": 2})
    await store.restore([newer])
    other = saved(STAMP + 5 * MICROSECOND)
    await store.restore([kept, newest, other])

    assert await stamps_of(store, [newer, kept, newest, other]) == [20, 0, 30, 5]


async def test_equal_stamps_of_two_tenants(make_redis: Any) -> None:
    """They stay: stamps are unique within a tenant."""
    store, sessions = make_redis(), [saved(), saved(tenant_id=OTHER_TENANT)]
    await store.restore(sessions)

    assert await stamps_of(store, sessions) == [0, 0]


@pytest.mark.parametrize("batch", [1, 7, 400])
async def test_a_long_run_of_taken_stamps(make_redis: Any, batch: int) -> None:
    """Two merged stores, each with consecutive stamps, give a store with distinct ones. No session is lost."""
    store = make_redis()
    sessions = [saved(STAMP + number * MICROSECOND) for number in range(200)]
    others = [saved(STAMP + number * MICROSECOND) for number in range(200)]
    await store.restore(sessions)
    for start in range(0, 200, batch):
        await store.restore(others[start : start + batch])

    assert await stamps_of(store, sessions) == list(range(200))
    assert sorted(await stamps_of(store, others)) == list(range(200, 400))


async def test_a_copy_of_a_copy(make_redis: Any) -> None:
    """It is identical, though the sources of the first copy had equal stamps."""
    sources: list[Any] = [InMemorySessionStore[Any](clock=Clock()) for _ in range(2)]
    for source in sources:
        for _ in range(30):
            await source.save(make_session())
    first, second, third = make_redis(), make_redis(), make_redis()
    for source in sources:
        await copy_sessions(source, first, page_size=7)
    await copy_sessions(first, second, page_size=1)
    await copy_sessions(second, third, page_size=7)

    assert len(await identities_of(first)) == 60
    assert await identities_of(first) == await identities_of(second) == await identities_of(third)


async def test_an_export_of_sessions_with_equal_stamps(make_redis: Any, servers: Servers) -> None:
    """Pages contain every session once, of any size. Only another program can store equal stamps."""
    store, sessions = make_redis(), [saved() for _ in range(6)]
    await store.restore(sessions)
    key = keys.base(prefix_of(store), TENANT) + b"all"
    members = {session.session_id.hex: 1 for session in sessions}
    (client,) = (node.client() for node in servers.nodes if has_key(node, key))
    before = client.zrange(key, 0, -1, withscores=True)
    client.zadd(key, members)
    pages = {}
    for size in (1, 2, 4, 6, 100):
        found, cursor = await store.export(limit=size)
        while cursor is not None:
            page, cursor = await store.export(cursor=cursor, limit=size)
            found += page
        pages[size] = sorted(session.session_id.hex for session in found)
    client.zadd(key, dict(before))

    assert pages == dict.fromkeys((1, 2, 4, 6, 100), sorted(members))


@pytest.mark.parametrize("seed", range(8))
async def test_restores_give_the_same_stamps_as_in_memory(make_redis: Any, seed: int) -> None:
    """Batches of few ids and fewer stamps: the same sessions keep their stamps, and the others get the same ones."""
    draw = random.Random(seed)
    server, memory = make_redis(clock=Clock()), InMemorySessionStore(clock=Clock(), debug=True)
    ids = [UUID(int=number) for number in range(1, 13)]
    for _ in range(12):
        batch = [
            saved(STAMP + draw.randrange(10) * MICROSECOND, draw.randrange(1, 4), session_id=draw.choice(ids))
            for _ in range(draw.randrange(1, 9))
        ]
        counts = await server.restore(batch), await memory.restore(batch)

        assert counts[0] == counts[1]
        assert await identities_of(server) == await identities_of(memory)


async def test_a_session_with_the_first_of_all_stamps(make_redis: Any) -> None:
    """It is restored and counted."""
    store, session = make_redis(), saved(EPOCH)
    count = await store.restore([session])

    assert count == 1
    assert await store.get(session.session_id) == session
    assert await store.restore([session]) == 0


async def test_a_restored_id_that_another_tenant_has(make_redis: Any) -> None:
    """The error names the position in the batch, whether the tenant is in the store or in the batch."""
    store, theirs = make_redis(), saved(tenant_id=OTHER_TENANT)
    await store.restore([theirs])
    ours = saved(session_id=theirs.session_id)
    with pytest.raises(TenantMismatchError) as in_store:
        await store.restore([saved(), ours])
    both = saved(), saved()
    with pytest.raises(TenantMismatchError) as in_batch:
        await store.restore([both[0], both[1], saved(session_id=both[0].session_id, tenant_id=OTHER_TENANT)])

    assert in_store.value.__notes__ == ["It was session number 1, counted from 0; nothing of its batch is saved."]
    assert in_batch.value.__notes__ == ["It was session number 2, counted from 0; nothing of its batch is saved."]
    assert [session async for session in store.iter_by_agent(TENANT, AGENT)] == []


async def test_a_session_that_a_restore_skips_keeps_its_stamp(store: Any) -> None:
    """Another session that wants it in the same call gets the next one."""
    stored = make_session()
    await store.save(stored)
    wants_it = make_session(last_activity_at=stored.last_activity_at, revision=1)

    assert await store.restore([wants_it, stored]) == 1
    assert len({one.last_activity_at for one in await store.list_by_tenant(stored.tenant_id)}) == 2


@pytest.mark.parametrize("read", ["list", "sweep"])
async def test_expired_sessions_do_not_come_back_when_the_clock_has_caught_up(make_redis: Any, read: str) -> None:
    """The clock was three hours ahead for one save. Then a session is gone an hour after it was saved, for ever."""
    clock = Clock()
    store = make_redis(clock=clock, idle_ttl=timedelta(hours=1))
    clock.move(seconds=3 * 3_600)
    await store.save(make_session())
    clock.move(seconds=-3 * 3_600)
    await store.save_many([make_session() for _ in range(6)])
    clock.move(seconds=3_601)
    assert await store.list_by_tenant(TENANT) == []
    if read == "list":
        await store.save(make_session(agent_id=OTHER_AGENT))  # notes what has expired, and evicts two
    else:
        assert await store.count_by_tenant(TENANT) == 0
    clock.move(seconds=2 * 3_600)

    assert await store.list_by_agent(TENANT, AGENT) == []
