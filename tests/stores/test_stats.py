"""What a store says of its size: exact after every kind of write, and told without counting."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest
from sessiondex.engine.shards import ShardedDict

from sessiondex import (
    IndexStats,
    InMemorySessionStore,
    InvalidArgumentError,
    InvalidSessionError,
    SessionStatus,
    StoreStats,
)
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    TaggedSession,
    at_step,
    make_session,
    visit,
)
from tests.support.recount import recount


def is_exact(store: InMemorySessionStore, *sessions: Any) -> bool:
    """Whether the store says what is true when these are all that it holds."""
    stats = store.stats()
    rows = [len(row) for _, row in store._table._rows.items()]
    counts = (stats.sessions, stats.cached_sessions, stats.packed_bytes, dict(stats.indexes))
    return counts == (len(sessions), len(list(store._hot)), sum(rows), recount(sessions))


async def test_an_empty_store_has_nothing_in_any_index(indexed: InMemorySessionStore) -> None:
    assert indexed.stats() == StoreStats(
        sessions=0,
        cache_size=0,
        packed_bytes=0,
        indexes={
            name: IndexStats(entries=0, keys=0)
            for name in ("channel identity", "agent", "agent and status", "customer", "step")
        },
    )


async def test_every_index_tells_its_sessions_and_its_keys(indexed: InMemorySessionStore) -> None:
    for session in (
        at_step(customer_profile_id=CUSTOMER),
        at_step(customer_profile_id=CUSTOMER, status=SessionStatus.IDLE),
        at_step(agent_id=OTHER_AGENT, user_channel_id="user-2"),
        make_session(tenant_id=OTHER_TENANT),
    ):
        await indexed.save(session)

    assert indexed.stats().indexes == {
        "channel identity": IndexStats(entries=4, keys=3),
        "agent": IndexStats(entries=4, keys=3),
        "agent and status": IndexStats(entries=4, keys=4),
        "customer": IndexStats(entries=2, keys=1),
        "step": IndexStats(entries=2, keys=1),
    }


@pytest.mark.parametrize("cache_size", [0, 1, 2, 10_000])
async def test_counts_are_exact_after_every_kind_of_write(make_indexed: Any, cache_size: int) -> None:
    """New, changed, refused, packed, deleted, in bulk: each leaves the counts as a recount has them."""
    store = make_indexed(cache_size=cache_size)
    one, two, three = at_step(customer_profile_id=CUSTOMER), at_step(), make_session(TaggedSession, tags={"a"})
    for session in (one, two, three, one, two, one, three):
        await store.save(session)
        await store.get(session.session_id)
    assert is_exact(store, one, two, three)

    one.customer_profile_id = None
    two.step_history.append(visit("hash-2"))
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
async def test_hot_sessions_are_counted_up_to_their_bound(make_indexed: Any, cache_size: int) -> None:
    store = make_indexed(cache_size=cache_size)
    sessions = [make_session() for _ in range(5)]
    await store.save_many(sessions)
    assert store.stats().cached_sessions == 0

    for session in sessions:
        await store.get(session.session_id)
        await store.get(session.session_id)
    assert store.stats().cached_sessions == cache_size


async def test_packing_takes_bytes_and_deleting_gives_them_back(make_indexed: Any) -> None:
    store = make_indexed(cache_size=1)
    session = make_session(variables={"text": "x" * 10_000})
    await store.save(session)
    await store.save(session)
    hot = store.stats()
    assert (hot.cached_sessions, hot.packed_bytes < 10_000) == (1, True)

    other = make_session()
    await store.save(other)
    await store.save(other)
    assert store.stats().packed_bytes - hot.packed_bytes > 10_000
    await store.delete_many([session.session_id, other.session_id])
    assert store.stats().packed_bytes == 0


async def test_stats_are_of_their_instant_and_can_be_exported(indexed: InMemorySessionStore) -> None:
    await indexed.save(make_session(agent_id=AGENT))
    stats = indexed.stats()
    await indexed.save(make_session(agent_id=OTHER_AGENT))

    assert (stats.sessions, stats.indexes["agent"]) == (1, IndexStats(1, 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.sessions = 5  # type: ignore[misc]  # wrong on purpose
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.indexes["agent"].keys = 5  # type: ignore[misc]  # wrong on purpose
    assert dataclasses.asdict(stats)["indexes"]["agent"] == {"entries": 1, "keys": 1}
    assert pickle.loads(pickle.dumps(stats)) == stats  # noqa: S301  # its own


async def test_stats_count_nothing_one_by_one(indexed: InMemorySessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of sessions, they are not walked over."""
    await indexed.save_many([at_step() for _ in range(3)])

    def walked(_: Any) -> Any:
        raise AssertionError("walked over")

    with monkeypatch.context() as patched:
        patched.setattr(ShardedDict, "__iter__", walked)
        patched.setattr(ShardedDict, "items", walked)
        stats = indexed.stats()

    assert (stats.sessions, stats.indexes["step"]) == (3, IndexStats(3, 1))


@pytest.mark.parametrize(("value", "reason"), [(-1, "negative"), (True, "int"), (1.5, "int"), (None, "int")])
def test_a_bound_that_is_none_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason) as error:
        InMemorySessionStore(cache_size=value)

    assert error.value.argument == "cache_size"
