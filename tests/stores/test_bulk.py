"""Law 5 in bulk: all or nothing, and the loop runs in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from itertools import cycle, pairwise
from typing import Any, Self
from uuid import UUID, uuid4

import pytest

from sessiondex import InvalidArgumentError, InvalidSessionError, Session, SessionStatus, TenantMismatchError
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    SCENARIO,
    START,
    TENANT,
    Clock,
    NotedSession,
    TaggedSession,
    at_step,
    make_session,
)
from tests.support.exact_values import exact
from tests.support.slice_time import ITEMS_PER_SLICE

MICROSECOND = timedelta(microseconds=1)
SAVE_ALL: dict[str, Callable[[Any, Any], Any]] = {
    "save_many": lambda store, sessions: store.save_many(sessions),
    "load": lambda store, sessions: store.load(sessions),
}
in_bulk = pytest.mark.parametrize("save_all", SAVE_ALL.values(), ids=SAVE_ALL)


def mixed(count: int) -> list[Any]:
    """Return sessions at a step, of a customer, of several classes."""
    classes = [NotedSession, TaggedSession, Session]
    return [at_step(cls=classes[number % 3], customer_profile_id=CUSTOMER) for number in range(count)]


async def all_of(store: Any, tenant: UUID = TENANT) -> list[Any]:
    """Return all sessions of the two agents, newest first."""
    found = [
        session for agent in (AGENT, OTHER_AGENT) for session in await store.list_by_agent(tenant, agent, limit=10_000)
    ]
    return sorted(found, key=lambda session: session.last_activity_at, reverse=True)


class Ticker:
    """Counts the turns that other tasks get, and takes note of what they see, the last time when all is done."""

    def __init__(self, look: Callable[[], Any] | None = None) -> None:
        self.turns = 0
        self.seen: list[Any] = []
        self._look = look
        self._is_done = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_done = True
        await self._task
        if self._look is not None:
            self.seen.append(await self._look())

    async def _tick(self) -> None:
        while not self._is_done:
            self.turns += 1
            if self._look is not None:
                self.seen.append(await self._look())
            await asyncio.sleep(0)


# -- save_many --


@pytest.mark.parametrize("of", [list, tuple, iter, lambda sessions: (session for session in sessions)])
async def test_many_are_saved_as_one_after_another(store: Any, of: Callable[[Any], Any]) -> None:
    """All are found by all queries, in the order given, the last as the newest; each has a stamp of its own."""
    sessions = mixed(60)
    ids = await store.save_many(of(sessions))

    assert ids == [session.session_id for session in sessions]
    assert [session.last_activity_at for session in sessions] == [START + n * MICROSECOND for n in range(60)]
    newest_first = [exact(session) for session in reversed(sessions)]
    for found in (
        await store.list_by_agent(TENANT, AGENT),
        await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
        await store.list_by_customer(TENANT, CUSTOMER),
        await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    ):
        assert [exact(session) for session in found] == newest_first
    for session in sessions:
        assert await store.get(session.session_id) == session


async def test_many_replace_what_was_there(store: Any) -> None:
    """New and known, as they are now, and nowhere else."""
    sessions = mixed(3)
    await store.save_many(sessions)
    sessions[0].agent_id = OTHER_AGENT
    sessions[2].variables["x"] = 1
    await store.save_many([sessions[2], *mixed(1), sessions[0]])

    assert await store.list_by_agent(TENANT, OTHER_AGENT) == [sessions[0]]
    assert len(await store.list_by_agent(TENANT, AGENT)) == 3
    assert (await store.get(sessions[2].session_id)).variables == {"x": 1}


async def test_stamps_go_on_where_they_were_and_from_there(store: Any, clock: Clock) -> None:
    first, many, last = make_session(), mixed(3), make_session()
    await store.save(first)
    clock.move(seconds=-60)
    await store.save_many(many)
    await store.save(last)

    stamps = [session.last_activity_at for session in (first, *many, last)]
    assert stamps == [START + n * MICROSECOND for n in range(5)]


async def test_a_clock_that_runs_gives_stamps_that_increase(make_store: Any) -> None:
    """The clock may stand still, jump ahead and step back within a batch."""
    instants = cycle([START, START, START + timedelta(hours=1), START, START + timedelta(hours=2), START])
    store = make_store(clock=lambda: next(instants))
    many = [make_session() for _ in range(12)]
    await store.save_many(many)

    stamps = [session.last_activity_at for session in many]
    assert all(before < after for before, after in pairwise(stamps))
    assert {START + timedelta(hours=1), START + timedelta(hours=2)} <= set(stamps)


@in_bulk
async def test_of_duplicates_the_last_wins(store: Any, save_all: Any) -> None:
    """Each has its own stamp, as if saved one after another, and the last is what is stored."""
    first, other = make_session(variables={"n": 1}), make_session()
    last = first.model_copy(update={"variables": {"n": 2}, "agent_id": OTHER_AGENT}, deep=True)
    await save_all(store, [first, other, last])

    assert await store.get(first.session_id) == last
    assert await all_of(store) == [last, other]
    assert [session.last_activity_at for session in (first, other, last)] == [START + n * MICROSECOND for n in range(3)]


@in_bulk
async def test_the_same_object_twice_is_saved_once_with_the_later_stamp(store: Any, save_all: Any) -> None:
    session, other = make_session(), make_session()
    await save_all(store, [session, other, session])

    assert session.last_activity_at == START + 2 * MICROSECOND
    assert await all_of(store) == [session, other]


@in_bulk
@pytest.mark.parametrize("nothing", [[], (), iter([])])
async def test_nothing_is_saved_of_nothing(store: Any, save_all: Any, nothing: Any) -> None:
    session = make_session()

    assert await save_all(store, nothing) in ([], 0)
    await store.save(session)
    assert session.last_activity_at == START


@in_bulk
async def test_what_was_given_in_bulk_can_be_spoilt(store: Any, save_all: Any) -> None:
    sessions = [make_session(variables={"a": [1]}) for _ in range(3)]
    expected = [session.model_copy(deep=True) for session in sessions]
    await save_all(store, sessions)
    for session, copy in zip(sessions, expected, strict=True):
        copy.last_activity_at, copy.revision = session.last_activity_at, session.revision
        session.variables["a"].append(2)
        session.__dict__["agent_id"] = OTHER_AGENT

    assert await all_of(store) == expected[::-1]


@in_bulk
async def test_the_stamp_counts_as_a_set_field(store: Any, save_all: Any) -> None:
    session = make_session()
    await save_all(store, [session])

    assert "last_activity_at" in session.model_fields_set


# -- what cannot be saved --


def bad_in_the_middle(count: int, place: int) -> list[Any]:
    sessions = mixed(count)
    sessions[place].variables["x"] = float("nan")
    return sessions


@in_bulk
@pytest.mark.parametrize("place", [0, 1, 24, 25, 59])
async def test_one_that_cannot_be_kept_leaves_all_as_it_was(store: Any, save_all: Any, place: int) -> None:
    """Sessions before it, after it and of before: all objects, indexes and stamps; the error says which it was."""
    known = mixed(3)
    await store.save_many(known)
    stored = await all_of(store)
    sessions = bad_in_the_middle(60, place)
    sessions[2] = known[1]
    if place != 2:
        known[1].agent_id = OTHER_AGENT
    before = [exact(session) for session in sessions]
    fields_set = [set(session.model_fields_set) for session in sessions]
    with pytest.raises(InvalidSessionError, match=r"variables\.x") as error:
        await save_all(store, sessions)

    assert error.value.__notes__ == [
        f"It was session number {place}, counted from 0; nothing of its batch is saved.",
    ]
    assert [exact(session) for session in sessions] == before
    assert [session.model_fields_set for session in sessions] == fields_set
    assert await all_of(store) == stored
    later = make_session()
    await store.save(later)
    assert later.last_activity_at == START + 3 * MICROSECOND


@in_bulk
@pytest.mark.parametrize("thing", [None, "text", {"session_id": uuid4()}, object()])
async def test_one_that_is_no_session_leaves_all_as_it_was(store: Any, save_all: Any, thing: Any) -> None:
    session = make_session()
    before = exact(session)
    with pytest.raises(InvalidSessionError, match=r"takes a sessiondex\.Session") as error:
        await save_all(store, [session, thing])

    assert error.value.__notes__[0].startswith("It was session number 1,")
    assert exact(session) == before
    assert await all_of(store) == []


@in_bulk
async def test_an_id_of_another_tenant_leaves_all_as_it_was(store: Any, save_all: Any) -> None:
    theirs, mine = make_session(tenant_id=OTHER_TENANT), mixed(4)
    await store.save(theirs)
    mine[2].session_id = theirs.session_id
    before = [exact(session) for session in mine]
    with pytest.raises(TenantMismatchError) as error:
        await save_all(store, mine)

    assert error.value.__notes__[0].startswith("It was session number 2,")
    assert error.value.session_id == theirs.session_id
    assert [exact(session) for session in mine] == before
    assert await store.get(theirs.session_id) == theirs
    assert await all_of(store) == []


@in_bulk
async def test_an_id_of_two_tenants_in_one_batch_leaves_all_as_it_was(store: Any, save_all: Any) -> None:
    """Saved one after another, the second would have been refused as well."""
    mine = make_session()
    theirs = make_session(session_id=mine.session_id, tenant_id=OTHER_TENANT)
    with pytest.raises(TenantMismatchError) as error:
        await save_all(store, [mine, make_session(), theirs])

    assert error.value.__notes__[0].startswith("It was session number 2,")
    assert await all_of(store) == await all_of(store, OTHER_TENANT) == []


@in_bulk
async def test_a_clock_that_breaks_midway_leaves_all_as_it_was(make_store: Any, save_all: Any) -> None:
    instants = [START, START]

    def breaking() -> Any:
        return instants.pop()

    store, sessions = make_store(clock=breaking), mixed(3)
    before = [exact(session) for session in sessions]
    with pytest.raises(IndexError):
        await save_all(store, sessions)

    assert [exact(session) for session in sessions] == before
    assert await all_of(store) == []


def raising_after(sessions: list[Any]) -> Iterator[Any]:
    yield from sessions
    raise RuntimeError("no more")


async def test_sessions_that_end_in_an_error_are_not_saved(store: Any) -> None:
    sessions = mixed(3)
    with pytest.raises(RuntimeError, match="no more"):
        await store.save_many(raising_after(sessions))

    assert await all_of(store) == []


@in_bulk
@pytest.mark.parametrize("thing", [make_session(), "text", b"bytes", None, 5, object()], ids=type)
async def test_what_is_not_many_is_refused(store: Any, save_all: Any, thing: Any) -> None:
    """A session and a text can be iterated over, but are not meant to be."""
    with pytest.raises(InvalidArgumentError, match=r"must be an iterable, not .*; for a single one, save\(\)") as error:
        await save_all(store, thing)

    assert error.value.argument == "sessions"


async def as_async(sessions: Any) -> AsyncIterator[Any]:
    for session in sessions:
        await asyncio.sleep(0)
        yield session


class NoIterator:
    """Something to iterate over asynchronously, which need not be closed."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return as_async([])


async def test_an_async_iterable_is_for_load(store: Any) -> None:
    sessions = as_async([])
    with pytest.raises(InvalidArgumentError, match=r"asynchronous iterable; load\(\) takes one"):
        await store.save_many(sessions)
    await store.load(sessions)


# -- beside other tasks --


@pytest.mark.usefixtures("short_slices")
async def test_readers_see_none_or_all(store: Any) -> None:
    """While they are checked the loop runs, and other tasks see nothing of them; then all at once."""
    known = mixed(3)
    await store.save_many(known)
    async with Ticker(lambda: all_of(store)) as ticker:
        await store.save_many([*mixed(150), *known])

    counts = [len(seen) for seen in ticker.seen]
    assert set(counts) == {3, 153}
    assert counts.count(3) > 150 // ITEMS_PER_SLICE


async def test_readers_see_none_or_all_deleted(store: Any) -> None:
    sessions = mixed(100)
    await store.save_many(sessions)
    async with Ticker(lambda: all_of(store)) as ticker:
        await store.delete_many([session.session_id for session in sessions[10:]])

    assert {len(seen) for seen in ticker.seen} == {10, 100}


@pytest.mark.usefixtures("short_slices")
async def test_another_save_while_many_are_prepared(store: Any) -> None:
    """It does not wait: sessions are prepared without the lock, and stamped together when all are."""
    session, many = make_session(), mixed(100)
    saving = asyncio.ensure_future(store.save_many(many))
    await asyncio.sleep(0)
    await store.save(session)
    assert not saving.done()
    await saving

    assert session.last_activity_at < min(other.last_activity_at for other in many)


@pytest.mark.usefixtures("short_slices")
@in_bulk
@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_cancelled_midway_nothing_is_saved(store: Any, save_all: Any, turns: int) -> None:
    """And the lock is free."""
    sessions = mixed(200)
    before = [exact(session) for session in sessions]
    saving = asyncio.ensure_future(save_all(store, sessions))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving

    assert [exact(session) for session in sessions] == before
    assert await all_of(store) == []
    await store.save_many(sessions)
    assert len(await all_of(store)) == 200


async def test_cancelled_while_it_waits_for_the_lock_nothing_is_changed(store: Any) -> None:
    session = make_session()
    await store.save(session)
    async with store._lock:
        waiting = [
            asyncio.ensure_future(store.save_many([make_session()])),
            asyncio.ensure_future(store.load([make_session()])),
            asyncio.ensure_future(store.delete_many([session.session_id])),
        ]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
    assert await all_of(store) == [session]


# -- delete_many --


@pytest.mark.parametrize("of", [list, tuple, set, iter])
async def test_many_are_deleted_and_counted(store: Any, of: Callable[[Any], Any]) -> None:
    """Those that are there, once each, from every index."""
    sessions = mixed(5)
    await store.save_many(sessions)
    ids = [session.session_id for session in sessions]

    assert await store.delete_many(of([ids[0], ids[3], uuid4(), ids[0]])) == 2
    rest = [sessions[4], sessions[2], sessions[1]]
    assert await all_of(store) == await store.list_by_customer(TENANT, CUSTOMER) == rest
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == rest
    assert await store.delete_many([]) == 0


async def test_with_a_tenant_only_theirs_are_deleted(store: Any) -> None:
    mine, theirs = make_session(), make_session(tenant_id=OTHER_TENANT)
    await store.save_many([mine, theirs])
    ids = [mine.session_id, theirs.session_id]

    assert await store.delete_many(ids, tenant_id=TENANT) == 1
    assert await all_of(store) == []
    assert await all_of(store, OTHER_TENANT) == [theirs]


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (UUID(int=1), r"must be an iterable, not UUID; for a single one, delete\(\)"),
        ("text", "must be an iterable, not str"),
        (None, "must be an iterable, not NoneType"),
        ([None], r"must be a uuid\.UUID"),
        (["text"], r"must be a uuid\.UUID"),
        (NoIterator(), "must not be an asynchronous iterable; collect the ids in a list first"),
    ],
)
async def test_bad_ids_are_refused(store: Any, ids: Any, reason: str) -> None:
    """Also after good ones, of which nothing is deleted then."""
    session = make_session()
    await store.save(session)
    with pytest.raises(InvalidArgumentError, match=reason) as error:
        await store.delete_many([session.session_id, *ids] if isinstance(ids, list) else ids)

    assert error.value.argument == "session_ids"
    assert await store.get(session.session_id) == session


async def test_a_bad_tenant_is_refused(store: Any) -> None:
    session = make_session()
    await store.save(session)
    with pytest.raises(InvalidArgumentError, match="tenant_id"):
        await store.delete_many([session.session_id], tenant_id="acme")

    assert await store.get(session.session_id) == session


async def test_ids_that_end_in_an_error_delete_nothing(store: Any) -> None:
    session = make_session()
    await store.save(session)
    with pytest.raises(RuntimeError, match="no more"):
        await store.delete_many(raising_after([session.session_id]))

    assert await store.get(session.session_id) == session


# -- load --


@pytest.mark.parametrize("of", [list, iter, as_async], ids=["list", "iterator", "async"])
@pytest.mark.parametrize("batch", [1, 7, 25, 500])
async def test_any_number_is_loaded_from_any_iterable(store: Any, of: Callable[[Any], Any], batch: int) -> None:
    sessions = mixed(60)

    assert await store.load(of(sessions), batch=batch) == 60
    assert await all_of(store) == sessions[::-1]
    stamps = [session.last_activity_at for session in sessions]
    assert stamps == [START + n * MICROSECOND for n in range(60)]


async def test_a_batch_is_seen_at_once(store: Any) -> None:
    async with Ticker(lambda: all_of(store)) as ticker:
        await store.load(as_async(mixed(100)), batch=30)

    counts = [len(seen) for seen in ticker.seen]
    assert sorted(set(counts)) == [0, 30, 60, 90, 100]
    assert counts == sorted(counts)


async def never_waiting(sessions: Any) -> AsyncIterator[Any]:
    for session in sessions:
        yield session


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("of", [iter, never_waiting], ids=["iterator", "async"])
@pytest.mark.parametrize("batch", [1, 10, 500])
async def test_the_loop_runs_while_it_loads(store: Any, of: Callable[[Any], Any], batch: int) -> None:
    """However small a batch is, and though nothing has to be waited for."""
    async with Ticker() as ticker:
        await store.load(of(mixed(300)), batch=batch)

    assert ticker.turns >= 300 // ITEMS_PER_SLICE


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("of", [iter, never_waiting], ids=["iterator", "async"])
async def test_the_loop_runs_while_a_batch_is_collected(store: Any, of: Callable[[Any], Any]) -> None:
    """However large it is, though nothing has to be waited for: an error in the end leaves only that."""
    async with Ticker() as ticker:
        with pytest.raises(RuntimeError, match="no more"):
            await store.load(of(raising_after(mixed(300))), batch=1_000)

    assert ticker.turns >= 300 // ITEMS_PER_SLICE


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("batch", [10, 1_000])
async def test_the_loop_runs_while_sessions_are_made(store: Any, batch: int) -> None:
    """To make them takes time too: between two turns of the loop, a few are asked for."""
    made: list[int] = []

    def sessions() -> Iterator[Any]:
        for session in mixed(100):
            made.append(ticker.turns)
            yield session

    async with Ticker() as ticker:
        await store.load(sessions(), batch=batch)

    assert max(made.count(turn) for turn in made) <= ITEMS_PER_SLICE


async def test_no_more_is_taken_from_the_iterable_than_a_batch(store: Any) -> None:
    """What is yet to be loaded need not all be in memory."""
    taken: list[Any] = []
    most, not_yet = 0, START + timedelta(days=1)

    def sessions() -> Iterator[Any]:
        nonlocal most
        for session in mixed(50):
            session.last_activity_at = not_yet
            taken.append(session)
            most = max(most, len(taken) - saved())
            yield session

    def saved() -> int:
        return sum(session.last_activity_at != not_yet for session in taken)

    await store.load(sessions(), batch=10)

    assert len(taken) == 50
    assert most <= 10


@pytest.mark.parametrize("of", [list, iter, as_async], ids=["list", "iterator", "async"])
@pytest.mark.parametrize("place", [0, 9, 10, 24, 25, 31])
async def test_batches_before_one_that_fails_stay(store: Any, of: Callable[[Any], Any], place: int) -> None:
    """The error says which it was, of all; its own batch and what follows is not saved, nor stamped."""
    sessions = bad_in_the_middle(32, place)
    before = [session.last_activity_at for session in sessions]
    with pytest.raises(InvalidSessionError) as error:
        await store.load(of(sessions), batch=10)

    count = place // 10 * 10
    assert error.value.__notes__[0].startswith(f"It was session number {place}, ")
    assert await all_of(store) == sessions[:count][::-1]
    assert [session.last_activity_at for session in sessions[count:]] == before[count:]


async def test_batches_before_the_iterable_fails_stay(store: Any) -> None:
    sessions = mixed(25)
    with pytest.raises(RuntimeError, match="no more"):
        await store.load(raising_after(sessions), batch=10)

    assert await all_of(store) == sessions[:20][::-1]


async def test_batches_before_a_cancellation_stay(store: Any) -> None:
    sessions = mixed(200)

    def source() -> Iterator[Any]:
        for place, session in enumerate(sessions):
            if place == 150:
                loading.cancel()
            yield session

    loading = asyncio.ensure_future(store.load(source(), batch=100))
    with pytest.raises(asyncio.CancelledError):
        await loading

    assert len(await all_of(store)) == 100
    await store.save(sessions[-1])


async def test_others_may_write_between_batches(store: Any) -> None:
    """The lock is held for a batch, not for all."""
    known, sessions = make_session(), mixed(100)

    async def source() -> AsyncIterator[Any]:
        for place, session in enumerate(sessions):
            if place == 50:
                await store.save(known)
            yield session

    await store.load(source(), batch=10)

    assert (await all_of(store))[50] == known


@pytest.mark.parametrize(
    ("batch", "reason"),
    [(0, "at least 1"), (-1, "at least 1"), (True, "int"), ("x", "int"), (1.5, "int"), (None, "int")],
)
async def test_a_batch_of_no_size_is_refused(store: Any, batch: Any, reason: str) -> None:
    """Before anything is taken from the iterable."""
    sessions = iter(mixed(1))
    with pytest.raises(InvalidArgumentError, match=reason) as error:
        await store.load(sessions, batch=batch)

    assert error.value.argument == "batch"
    assert len(list(sessions)) == 1
