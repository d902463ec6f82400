"""Follow the changes of all processes through the server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex import Change, ChangeKind
from sessiondex.changes import EvictionReason
from tests.support.builders import OTHER_TENANT, TENANT, NotedSession, make_session
from tests.support.redis.internals import feed_base_of, prefix_of
from tests.support.redis.recount import contents
from tests.support.redis.servers import Cluster, Servers


def change_of(session: Any, kind: ChangeKind, sequence: int) -> Change:
    """Return the change that a commit of the session should publish."""
    return Change(sequence, kind, session.tenant_id, session.session_id, session.revision, session.last_activity_at)


async def read(changes: Any, count: int) -> list[Change]:
    return [await anext(changes) for _ in range(count)]


async def test_changes_of_another_process(make_redis: Any) -> None:
    """They come in the order of commits, with id, revision and stamp. A removal has those of the removed session."""
    reader = make_redis()
    writer = make_redis(prefix=prefix_of(reader))
    changes = reader.changes(tenant_id=TENANT)
    waiting = asyncio.ensure_future(anext(changes))
    await reader.get(make_session().session_id)  # fixes the position of the reader
    session = make_session()
    expected = []
    for sequence in range(1, 4):
        await writer.save(session)
        expected.append(change_of(session, ChangeKind.SAVED, sequence))
    await writer.delete(session.session_id)
    expected.append(change_of(session, ChangeKind.DELETED, 4))

    assert [await waiting, *await read(changes, 3)] == expected


async def test_a_reader_that_continues_after_a_sequence(make_redis: Any) -> None:
    """It gets the changes that another reader got after that one."""
    store = make_redis()
    changes = store.changes(tenant_id=TENANT)
    for _ in range(3):
        await store.save(make_session())
    found = await read(changes, 3)

    assert await read(store.changes(since=found[0].sequence, tenant_id=TENANT), 2) == found[1:]


async def test_an_eviction(make_redis: Any) -> None:
    """Its change has revision and stamp of the evicted session."""
    evicted: list[Any] = []

    def on_evict(session: Any, _: EvictionReason) -> None:
        evicted.append(session)

    store = make_redis(max_sessions=1, on_evict=on_evict)
    changes = store.changes(tenant_id=TENANT)
    first = make_session()
    await store.save(first)
    await store.save(first)
    await store.save(make_session())
    *_, last = await read(changes, 4)

    assert last == change_of(first, ChangeKind.EVICTED, 4)


async def test_a_restored_session_whose_stamp_was_moved(make_redis: Any) -> None:
    """Its change has the stamp that is stored."""
    source, target = make_redis(), make_redis()
    session = make_session()
    await source.save(session)
    twin = make_session()
    twin.last_activity_at, twin.revision = session.last_activity_at, session.revision
    changes = target.changes(tenant_id=TENANT)
    await target.restore([session, twin])
    stored = await target.get(twin.session_id)
    found = await read(changes, 2)

    assert found == [change_of(session, ChangeKind.SAVED, 1), change_of(stored, ChangeKind.SAVED, 2)]


async def test_a_reader_of_one_tenant_on_a_server_of_many(make_redis: Any, servers: Servers) -> None:
    """It gets that tenant's changes only. Other tenants' sessions may be of classes that it does not know."""
    writer = make_redis()
    reader = make_redis(prefix=prefix_of(writer))
    changes = reader.changes(tenant_id=TENANT)
    await reader.get(make_session().session_id)
    theirs, ours = make_session(NotedSession, tenant_id=OTHER_TENANT, note="n"), make_session()
    await writer.save(theirs)
    await writer.save(ours)
    found = await anext(changes)

    assert (found.tenant_id, found.session_id) == (TENANT, ours.session_id)
    assert found.sequence == (1 if isinstance(servers, Cluster) else 2)


async def test_the_stream_contains_no_sessions(make_redis: Any, servers: Servers) -> None:
    """Its entries have a fixed size, however large the sessions are."""
    store = make_redis()
    store.changes(tenant_id=TENANT)
    session = make_session(user_channel_id="x" * 10_000)
    await store.save(session)
    await store.delete(session.session_id, tenant_id=TENANT)
    stream = feed_base_of(store, TENANT) + b"changes"
    entries = [fields for _, fields in contents(servers)[stream.decode()]]

    assert [set(fields) for fields in entries] == [{b"kind", b"tenant", b"id", b"revision", b"stamp"}] * 2
    assert max(len(value) for fields in entries for value in fields.values()) <= 32


async def test_the_feed_of_a_cluster_without_a_tenant(make_redis: Any, servers: Servers) -> None:
    """A cluster has a feed for each tenant, so `changes` raises. A single server has one for all."""
    if isinstance(servers, Cluster):
        with pytest.raises(NotImplementedError, match="give tenant_id"):
            make_redis().changes()
    else:
        store = make_redis()
        changes = store.changes()
        await store.save(make_session(tenant_id=OTHER_TENANT))

        assert (await anext(changes)).tenant_id == OTHER_TENANT
