"""`stats` is exact after every kind of save and deletion, and walks over no session."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from sessiondex import (
    IndexStats,
    InMemorySessionStore,
    InvalidArgumentError,
    InvalidSessionError,
    SessionStatus,
    StoreStats,
)
from sessiondex.engine.sharded_dict import ShardedDict
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    Clock,
    IndexedSession,
    TaggedSession,
    at_step,
    make_session,
    visit,
)
from tests.support.recount import recount
from tests.support.stores import is_cached, size_of_rows


def is_exact(store: InMemorySessionStore, *sessions: Any) -> bool:
    """Return whether the statistics are true, if these are all stored sessions."""
    stats = store.stats()
    cached_sessions = sum(is_cached(store, session) for session in sessions)
    counts = (stats.sessions, stats.cached_sessions, stats.packed_bytes, dict(stats.indexes))
    return counts == (len(sessions), cached_sessions, size_of_rows(store), recount(sessions))


async def test_an_empty_store_has_nothing_in_any_index(indexed: InMemorySessionStore) -> None:
    assert indexed.stats() == StoreStats(
        sessions=0,
        cached_sessions=0,
        packed_bytes=0,
        indexes={
            name: IndexStats(entries=0, keys=0)
            for name in ("channel identity", "agent and status", "customer", "tenant and status", "step", "own fields")
        },
    )


async def test_sessions_under_shared_keys(indexed: InMemorySessionStore) -> None:
    for session in (
        at_step(customer_profile_id=CUSTOMER),
        at_step(customer_profile_id=CUSTOMER, status=SessionStatus.IDLE),
        at_step(agent_id=OTHER_AGENT, user_channel_id="user-2"),
        make_session(tenant_id=OTHER_TENANT),
        make_session(IndexedSession, tenant_id=OTHER_TENANT, email="Ann@x", order_ids=["1", "2", "1"]),
    ):
        await indexed.save(session)

    assert indexed.stats().indexes == {
        "channel identity": IndexStats(entries=5, keys=3),
        "agent and status": IndexStats(entries=5, keys=4),
        "customer": IndexStats(entries=2, keys=1),
        "tenant and status": IndexStats(entries=5, keys=3),
        "step": IndexStats(entries=2, keys=1),
        "own fields": IndexStats(entries=3, keys=3),
    }


@pytest.mark.parametrize("cache_size", [0, 1, 2, 10_000])
async def test_counts_are_exact_after_every_kind_of_write(make_indexed: Any, cache_size: int) -> None:
    """New, changed, refused, packed, deleted, in bulk: each leaves the counts as a recount has them."""
    store = make_indexed(cache_size=cache_size)
    one, two = at_step(customer_profile_id=CUSTOMER), at_step(cls=IndexedSession, email="a")
    three = make_session(TaggedSession, tags={"a"})
    for session in (one, two, three, one, two, one, three):
        await store.save(session)
        await store.get(session.session_id)
    assert is_exact(store, one, two, three)

    one.customer_profile_id = None
    two.step_history.append(visit("hash-2"))
    two.email, two.order_ids = None, ["1", "2"]
    three.agent_id = OTHER_AGENT
    for _ in range(2):
        await store.save_many([one, two, three])
        assert is_exact(store, one, two, three)

    two.variables["x"] = float("nan")
    with pytest.raises(InvalidSessionError):
        await store.save_many([at_step(), two])
    del two.variables["x"]
    assert is_exact(store, one, two, three)

    await store.delete(two.session_id)
    assert is_exact(store, one, three)
    await store.delete_many([one.session_id, two.session_id])
    assert is_exact(store, three)
    await store.load([one, two], batch=1)
    assert is_exact(store, one, two, three)
    await store.delete_many([session.session_id for session in (one, two, three)])
    assert is_exact(store)


@pytest.mark.parametrize("cache_size", [0, 1, 3])
async def test_cached_sessions_are_counted_up_to_the_size_of_the_cache(make_indexed: Any, cache_size: int) -> None:
    store = make_indexed(cache_size=cache_size)
    sessions = [make_session() for _ in range(5)]
    await store.save_many(sessions)
    assert store.stats().cached_sessions == 0

    for session in sessions:
        await store.get(session.session_id)
        await store.get(session.session_id)
    assert store.stats().cached_sessions == cache_size


@pytest.mark.parametrize("cache_size", [0, 1])
async def test_a_session_of_10_000_bytes_is_saved_and_deleted(make_indexed: Any, cache_size: int) -> None:
    """A row has the packed session, whether it is cached as well or not."""
    store = make_indexed(cache_size=cache_size)
    session = make_session(variables={"text": "x" * 10_000})
    await store.save(session)
    for _ in range(2):
        await store.get(session.session_id)
    assert 10_000 < store.stats().packed_bytes < 11_000
    await store.save(session)
    assert 10_000 < store.stats().packed_bytes < 11_000
    await store.delete(session.session_id)

    assert store.stats().packed_bytes == 0


async def test_stats_are_of_their_instant_and_can_be_exported(indexed: InMemorySessionStore) -> None:
    await indexed.save(make_session(agent_id=AGENT))
    stats = indexed.stats()
    await indexed.save(make_session(agent_id=OTHER_AGENT))

    assert (stats.sessions, stats.indexes["agent and status"]) == (1, IndexStats(1, 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.sessions = 5  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.indexes["agent and status"].keys = 5  # type: ignore[misc]  # wrong on purpose
    assert dataclasses.asdict(stats)["indexes"]["agent and status"] == {"entries": 1, "keys": 1}
    assert pickle.loads(pickle.dumps(stats)) == stats  # noqa: S301  # its own


async def test_jumps_of_the_clock_are_counted(make_indexed: Any, clock: Clock) -> None:
    store = make_indexed(clock=clock)
    await store.save(make_session())
    assert store.stats().clock_jumps == 0
    for _ in range(2):
        clock.move(days=1)
        await store.save(make_session())

    assert store.stats().clock_jumps == 2


async def test_stats_walk_over_no_session(indexed: InMemorySessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await indexed.save_many([at_step() for _ in range(3)])

    def walked(_: Any) -> Any:
        raise AssertionError("walked over")

    with monkeypatch.context() as patched:
        patched.setattr(ShardedDict, "__iter__", walked)
        patched.setattr(ShardedDict, "items", walked)
        stats = indexed.stats()

    assert (stats.sessions, stats.indexes["step"]) == (3, IndexStats(3, 1))


@pytest.mark.parametrize(("value", "reason"), [(-1, "negative"), (True, "int"), (1.5, "int"), (None, "int")])
def test_a_cache_size_that_is_no_count_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason) as error:
        InMemorySessionStore(cache_size=value)

    assert error.value.argument == "cache_size"
