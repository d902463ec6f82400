"""The cache of live sessions: when it keeps a session, when it drops one, and that no answer depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiondex import Channel, InMemorySessionStore, InvalidSessionError, InvariantError, Session, TenantMismatchError
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    NotedSession,
    TaggedSession,
    at_step,
    make_session,
    visit,
)
from tests.support.cached_sessions import QUERIES, cache, first_found, replace_in_cache, save_and_cache
from tests.support.exact_values import exact
from tests.support.mutable_containers import CLASSES, containers, session_with_everything, spoil
from tests.support.stores import backend_of, cached_snapshot, check_indexes, is_cached

READS: dict[str, Callable[[Any, Any], Any]] = {
    "get": lambda store, session: store.get(session.session_id),
    "get_by_channel": lambda store, _: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "list_by_agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "list_by_customer": lambda store, _: store.list_by_customer(TENANT, CUSTOMER),
}


# -- what is cached --


@pytest.mark.parametrize("read", READS)
async def test_a_session_is_cached_at_its_second_read(make_indexed: Any, read: str) -> None:
    """So a session that is read once leaves no live object behind."""
    store, session = make_indexed(cache_size=10), at_step(customer_profile_id=CUSTOMER)
    await store.save(session)
    was_cached = []
    for _ in range(2):
        await READS[read](store, session)
        was_cached.append(is_cached(store, session))

    assert was_cached == [False, True]


@pytest.mark.parametrize("save", ["save", "save_many", "load", "restore", "update"])
async def test_a_save_drops_the_session_and_its_reads(make_indexed: Any, save: str) -> None:
    """It takes two more reads to be cached again."""
    store, session = make_indexed(cache_size=10), make_session()
    await save_and_cache(store, session)
    session.last_activity_at = session.last_activity_at.replace(year=session.last_activity_at.year + 1)
    saves: dict[str, Callable[[], Any]] = {
        "save": lambda: store.save(session),
        "save_many": lambda: store.save_many([session]),
        "load": lambda: store.load([session]),
        "restore": lambda: store.restore([session]),
        "update": lambda: store.update(session.session_id, lambda _: None),
    }
    await saves[save]()
    was_cached = [is_cached(store, session)]
    for _ in range(2):
        await store.get(session.session_id)
        was_cached.append(is_cached(store, session))

    assert was_cached[:1] == [False]
    assert was_cached[-1]


async def test_a_turn_of_a_conversation_caches_nothing(make_indexed: Any) -> None:
    """It reads once and saves once."""
    store, session = make_indexed(cache_size=10), make_session()
    await store.save(session)
    for _ in range(3):
        await store.save(await store.get(session.session_id))

    assert store.stats().cached_sessions == 0


async def test_a_walk_over_many_evicts_no_session_that_is_read_again_and_again(make_indexed: Any) -> None:
    store, busy = make_indexed(cache_size=2), [make_session(agent_id=OTHER_AGENT) for _ in range(2)]
    await store.load([at_step() for _ in range(250)])
    for session in busy:
        await save_and_cache(store, session)
    await store.list_by_agent(TENANT, AGENT, limit=250)
    await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1")

    assert all(is_cached(store, session) for session in busy)


async def test_the_least_recently_read_is_evicted_first(make_indexed: Any) -> None:
    store = make_indexed(cache_size=4)
    sessions = [make_session(user_channel_id=f"user-{n}", customer_profile_id=UUID(int=n)) for n in range(4)]
    for session in reversed(sessions):
        await save_and_cache(store, session)
    await store.get(sessions[0].session_id)
    await store.get(sessions[1].session_id, tenant_id=TENANT)
    await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-2")
    await store.list_by_customer(TENANT, UUID(int=3))
    order = []
    for _ in range(3):
        await save_and_cache(store, make_session(agent_id=OTHER_AGENT))
        order.append([is_cached(store, session) for session in sessions])

    assert order == [[False, True, True, True], [False, False, True, True], [False, False, False, True]]


async def test_a_cache_of_size_0(make_indexed: Any) -> None:
    """All queries answer from packed sessions."""
    store, session = make_indexed(cache_size=0), at_step(customer_profile_id=CUSTOMER)
    for _ in range(3):
        await store.save(session)
        for query in QUERIES:
            assert await first_found(query, store, session) == session

    assert store.stats().cached_sessions == 0


operations = st.lists(
    st.tuples(st.sampled_from(["save", "get", "list", "bulk", "delete"]), st.integers(0, 5)), min_size=1, max_size=40
)


@given(operations, st.integers(0, 3))
def test_the_cache_keeps_to_its_size(operations: list[tuple[str, int]], cache_size: int) -> None:
    store: InMemorySessionStore = InMemorySessionStore(cache_size=cache_size)
    sessions = [make_session() for _ in range(6)]
    calls: dict[str, Callable[[Session], Any]] = {
        "save": store.save,
        "get": lambda session: store.get(session.session_id),
        "list": lambda session: store.list_by_agent(session.tenant_id, session.agent_id),
        "bulk": lambda session: store.save_many([session, *sessions[:2]]),
        "delete": lambda session: store.delete(session.session_id),
    }

    async def run() -> None:
        for call, number in operations:
            await calls[call](sessions[number])
            assert store.stats().cached_sessions <= cache_size
            check_indexes(store)

    asyncio.run(run())


# -- what a cached session answers --


async def test_a_cached_session_of_another_tenant(make_indexed: Any) -> None:
    """It is neither found, deleted nor replaced, whether it is cached or packed."""
    store, session = make_indexed(cache_size=1), make_session()
    await save_and_cache(store, session)
    for _ in range(2):
        assert await store.get(session.session_id, tenant_id=OTHER_TENANT) is None
        assert not await store.delete(session.session_id, tenant_id=OTHER_TENANT)
        with pytest.raises(TenantMismatchError):
            await store.save(make_session(session_id=session.session_id, tenant_id=OTHER_TENANT))
        assert await store.get(session.session_id, tenant_id=TENANT) == session
        await replace_in_cache(store, session)


@pytest.mark.parametrize("cls", [Session, NotedSession, TaggedSession])
@pytest.mark.parametrize("is_bulk", [False, True])
async def test_a_cached_session_is_changed(make_indexed: Any, cls: type[Session], *, is_bulk: bool) -> None:
    """All queries find the last version: at once, when it is cached again, and when it is packed."""
    store, session = make_indexed(cache_size=1), at_step(cls=cls, customer_profile_id=CUSTOMER)
    await save_and_cache(store, session)
    session.variables["n"] = 1
    session.agent_id = OTHER_AGENT
    session.step_history.append(visit("hash-1", "again"))
    await (store.save_many([session]) if is_bulk else store.save(session))
    for _ in range(2):
        for query in QUERIES:
            assert exact(await first_found(query, store, session)) == exact(session)
    await replace_in_cache(store, session)

    for query in QUERIES:
        assert exact(await first_found(query, store, session)) == exact(session)
    assert await store.list_by_agent(TENANT, AGENT) == []


async def test_a_cached_session_gets_another_class(make_indexed: Any) -> None:
    store, plain = make_indexed(cache_size=1), make_session()
    tagged = make_session(TaggedSession, session_id=plain.session_id, tags={"a"})
    for session in (plain, tagged, plain):
        await save_and_cache(store, session)
        assert exact(await store.get(plain.session_id)) == exact(session)


async def test_a_save_of_a_cached_session_is_refused(make_indexed: Any) -> None:
    """The stored version is found as before, cached and packed."""
    store, session = make_indexed(cache_size=1), make_session()
    await save_and_cache(store, session)
    saved = session.model_copy(deep=True)
    session.variables["x"] = float("nan")
    with pytest.raises(InvalidSessionError):
        await store.save(session)
    assert exact(await store.get(session.session_id)) == exact(saved)
    await replace_in_cache(store, session)

    assert exact(await store.get(session.session_id)) == exact(saved)


@pytest.mark.parametrize("delete", ["delete", "delete_many"])
async def test_a_cached_session_is_deleted(make_indexed: Any, delete: str) -> None:
    store, session = make_indexed(cache_size=1), at_step(customer_profile_id=CUSTOMER)
    await save_and_cache(store, session)
    if delete == "delete":
        assert await store.delete(session.session_id)
    else:
        assert await store.delete_many([session.session_id]) == 1

    assert [await query(store, session) for query in QUERIES] == [None, None, None, [], [], [], []]
    assert store.stats().cached_sessions == 0
    await store.save(session)
    assert await store.get(session.session_id) == session


# -- isolation --


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("is_bulk", [False, True])
async def test_every_read_is_an_object_of_its_own(make_indexed: Any, cls: type[Session], *, is_bulk: bool) -> None:
    """Reads of the packed and of the cached session share nothing mutable, neither with each other nor the cache."""
    store, session = make_indexed(cache_size=2), session_with_everything(cls)
    await (store.save_many([session]) if is_bulk else store.save(session))
    reads = [await store.get(session.session_id) for _ in range(4)]
    snapshot = cached_snapshot(store, session)
    assert snapshot is not None

    found = [session, snapshot, *reads]
    parts = [{id(part) for part in (*containers(one), vars(one))} for one in found]
    assert all(not mine & other for n, mine in enumerate(parts) for other in parts[n + 1 :])
    for read in reads:
        assert exact(read) == exact(session)
        assert spoil(read) >= 11
        read.model_fields_set.clear()
        again = await store.get(session.session_id)
        assert exact(again) == exact(session)
        assert again.model_fields_set == set(cls.model_fields)


# -- the store's own check --


def _swap(store: Any, one: Session, other: Session) -> None:
    _cache_of(store).put(one.session_id.bytes, cached_snapshot(store, other))


def _cache_of(store: Any) -> Any:
    return backend_of(store)._cache


PLANTED: dict[str, tuple[Callable[..., Any], str]] = {
    "a session that is not stored": (
        lambda store, cached, _: _cache_of(store).put(b"x" * 16, cached_snapshot(store, cached)),
        "cached sessions that are not stored",
    ),
    "another session": (lambda store, cached, packed: _swap(store, packed, cached), "cached session"),
    "a change": (lambda store, cached, _: vars(cached_snapshot(store, cached)).update(turn_count=9), "cached session"),
}


@pytest.mark.parametrize("fault", PLANTED)
async def test_a_cache_that_differs_from_the_rows_fails_the_check(fault: str) -> None:
    store: InMemorySessionStore = InMemorySessionStore(cache_size=3)
    cached, packed = make_session(), make_session()
    await store.save(packed)
    await save_and_cache(store, cached)
    check_indexes(store)
    plant, where = PLANTED[fault]
    plant(store, cached, packed)

    with pytest.raises(InvariantError) as found:
        check_indexes(store)
    assert where in found.value.where


async def test_a_cached_session_is_read_by_a_list_and_cached_again(make_indexed: Any) -> None:
    """A list uses the snapshot of a cached session, and makes it the most recently read."""
    store, first, second = make_indexed(cache_size=2), make_session(), make_session(agent_id=OTHER_AGENT)
    for session in (first, second):
        await save_and_cache(store, session)
    assert await store.list_by_agent(TENANT, AGENT) == [first]
    await save_and_cache(store, make_session(tenant_id=OTHER_TENANT))

    assert (is_cached(store, first), is_cached(store, second)) == (True, False)
    await cache(store, second)


async def test_a_list_that_was_overtaken_by_a_save_caches_nothing(make_indexed: Any, short_slices: Any) -> None:
    """The list returns the session as it was found; the cache must not keep that."""
    store = make_indexed(cache_size=1_000)
    sessions = [make_session() for _ in range(100)]
    await store.save_many(sessions)
    oldest = sessions[0]
    listing = asyncio.ensure_future(store.list_by_agent(TENANT, AGENT))
    await asyncio.sleep(0)
    oldest.variables["is_new"] = True
    await store.save(oldest)
    await store.get(oldest.session_id)  # the first read since the save, so the list has the second
    assert not listing.done()
    listed = await listing

    assert "is_new" not in listed[-1].variables
    assert await store.get(oldest.session_id) == oldest
