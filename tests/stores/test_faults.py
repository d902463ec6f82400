"""Law 5 under interruption: an exception at every opcode of every commit, in reads, and twice in a row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from sessiondex import ChangesLostError, InMemorySessionStore, InvariantError, ScanSessionStore, SessionStatus
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_CUSTOMER,
    SCENARIO,
    TENANT,
    Clock,
    NotedSession,
    at_step,
    visit,
)
from tests.support.interrupted_writers import FAULTS, Plant, interrupt_first_commit, planted
from tests.support.opcode_faults import Fault, raising
from tests.support.stores import check_indexes, feed_of, share_codec, writer_of
from tests.support.waiting import HANG_SECONDS, until_notified

IDS = [UUID(int=number) for number in range(1, 7)]
Write = Callable[[Any, Clock], Awaitable[Any]]


def session(number: int, **fields: Any) -> Any:
    defaults = {"session_id": IDS[number], "customer_profile_id": CUSTOMER, "variables": {"n": [number]}, "note": "a"}
    made = at_step(cls=NotedSession, **{**defaults, **fields})
    made.step_history = [visit("hash-1", step_id=UUID(int=7))]
    return made


def moved(number: int) -> Any:
    """Return the session with every key changed."""
    made = session(
        number, agent_id=OTHER_AGENT, customer_profile_id=OTHER_CUSTOMER, user_channel_id="another", note="b"
    )
    made.active_scenario_version = 2
    made.status = SessionStatus.IDLE if number % 2 else SessionStatus.ACTIVE
    return made


def expire(store: Any, clock: Clock) -> Awaitable[Any]:
    """Save a session when all others have expired: it evicts two of them."""
    clock.move(minutes=61)
    return store.save(session(5))  # type: ignore[no-any-return]  # it is a coroutine


WRITES: dict[str, Write] = {
    "insert": lambda store, _: store.save(session(5)),
    "update with the same keys": lambda store, _: store.save(session(1, variables={"n": "another"})),
    "update of all keys": lambda store, _: store.save(moved(1)),
    "update without touch": lambda store, _: store.save(moved(1), touch=False),
    "touch": lambda store, _: store.touch(IDS[1]),
    "delete": lambda store, _: store.delete(IDS[1]),
    "erase": lambda store, _: store.delete_by_customer(TENANT, CUSTOMER),
    "expire": expire,
    "bulk save": lambda store, _: store.save_many([moved(0), session(1), session(5), moved(0)]),
    "bulk delete": lambda store, _: store.delete_many([IDS[0], IDS[2], IDS[5], IDS[0]]),
    "read": lambda store, _: store.get(IDS[0]),
}

EXCEPTIONS = MemoryError, KeyboardInterrupt, ValueError
STORES: dict[str, Callable[..., Any]] = {
    "all cached": InMemorySessionStore,
    "two cached": lambda **options: InMemorySessionStore(cache_size=2, **options),
    "none cached": lambda **options: InMemorySessionStore(cache_size=0, **options),
    "scan": ScanSessionStore,
}


async def filled(make: Callable[..., Any], clock: Clock, evicted: list[Any]) -> tuple[Any, Any]:
    """Return a store of five sessions, some of them read twice, and a reader of its changes."""
    clock.time = Clock().time
    store = make(clock=clock, idle_ttl=timedelta(hours=1), on_evict=lambda *eviction: evicted.append(eviction))
    share_codec(store)
    reader = store.changes()
    for number in range(5):
        clock.move(seconds=1)
        await store.save(session(number))
    for number in (1, 3, 1, 3, 0):
        await store.get(IDS[number])
    return store, reader


async def content(store: Any) -> Any:
    """Return the answers to all queries, and check that the store agrees with itself."""
    sessions = [await store.get(session_id) for session_id in IDS]
    check_indexes(store)
    answers = {
        "agents": [await store.list_by_agent(TENANT, agent) for agent in (AGENT, OTHER_AGENT)],
        "customers": [await store.list_by_customer(TENANT, customer) for customer in (CUSTOMER, OTHER_CUSTOMER)],
        "users": [await store.get_by_channel(TENANT, "webchat", user) for user in ("user-1", "another")],
        "steps": [await store.count_steps(TENANT, SCENARIO, version) for version in (1, 2)],
        "notes": [await store.list_by_field(TENANT, "note", note) for note in ("a", "b")],
        "tenant": [await store.list_by_tenant(TENANT), await store.count_by_tenant(TENANT)],
        "counts": [await store.count_by_agent(TENANT, agent) for agent in (AGENT, OTHER_AGENT)],
    }
    return sessions, answers


async def changes_of(store: Any, reader: Any) -> list[Any]:
    """Return all changes so far. Their number must be that of the writer."""
    last_sequence = feed_of(store).last_sequence
    assert last_sequence == writer_of(store).last_sequence, "changes are numbered wrongly"
    return [await asyncio.wait_for(anext(reader), HANG_SECONDS) for _ in range(last_sequence)]


async def outcome_of(make: Callable[..., Any], write: Write, fault: Fault | None = None) -> tuple[Any, ...]:
    """Return content, changes and evictions after that write; check that the next write works."""
    clock, evicted = Clock(), list[Any]()
    store, reader = await filled(make, clock, evicted)
    writing = write(store, clock)  # its arguments are made here, where nothing is interrupted
    if fault is None:
        await writing
    else:
        try:
            with raising(fault):
                await writing
        except EXCEPTIONS as error:
            if not str(error).endswith("out of the blue"):  # the index of a field names the field of a `ValueError`
                raise
    now = await content(store)
    changes = await changes_of(store, reader)
    await until_notified(store)
    last = session(4)
    await store.save(last)
    assert all(last.last_activity_at > one.last_activity_at for one in now[0] if one is not None)
    assert await store.get(IDS[4]) == last
    assert (await anext(reader)).stamp == last.last_activity_at
    check_indexes(store)
    return now, changes, evicted


async def nothing(_store: Any, _clock: Clock) -> None:
    pass


async def nothing_for_an_hour(_store: Any, clock: Clock) -> None:
    clock.move(minutes=61)


class Places(NamedTuple):
    """The opcodes at which a write can be interrupted, in the order in which they run."""

    within: list[Hashable]
    """In commits."""
    outside: list[Hashable]


async def places_of(make: Callable[..., Any], name: str, *, thorough: bool = False) -> Places:
    found = []
    for in_commit in (True, False):
        watch = Fault(ValueError, None, in_commit=in_commit, thorough=thorough)
        await outcome_of(make, WRITES[name], watch)
        found.append(watch.places)
    return Places(*found)


async def interrupt_everywhere(
    make: Callable[..., Any],
    name: str,
    fault_at: Callable[[int, Hashable], type[BaseException] | None],
    *,
    thorough: bool = False,
) -> Places:
    """Interrupt the write at each place, and return the places.

    `fault_at` gets the number of a place and the place, and returns the exception to raise there, or `None` to leave it
    out. Raises `AssertionError` unless the outcome is that before the write or that after it.
    """
    write = WRITES[name]
    before = await outcome_of(make, nothing_for_an_hour if name == "expire" else nothing)
    after = await outcome_of(make, write)
    places = await places_of(make, name, thorough=thorough)
    for some, in_commit in ((places.within, True), (places.outside, False)):
        for number, place in enumerate(some):
            exception = fault_at(number, place)
            if exception is None:
                continue
            fault = Fault(exception, number, in_commit=in_commit, thorough=thorough)
            await check_interrupted(make, write, fault, before, after)
    return places


async def check_interrupted(
    make: Callable[..., Any], write: Write, fault: Fault, before: Sequence[Any], after: Sequence[Any]
) -> None:
    """Raise `AssertionError`, with a note of the place, unless the outcome is one of the two."""
    try:
        outcome = await outcome_of(make, write, fault)
        assert outcome in (before, after), _compared(outcome, before, after)
    except BaseException as error:
        error.add_note(f"after {fault}: {fault.where}")
        raise
    assert fault.where, f"{fault}: the place was not reached again"


def _compared(outcome: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> str:
    """Return how each part of the outcome compares with that before the write and that after it."""
    parts = "content", "changes", "on_evict"
    return ", ".join(
        f"{part} {'as before' if one == old else 'as after' if one == new else 'as neither'}"
        for part, one, old, new in zip(parts, outcome, before, after, strict=True)
    )


def check_that_there_are_enough(places: Places, kind: str, name: str) -> None:
    """Raise `AssertionError` if there are fewer places than on any Python: then other code was traced."""
    if name == "read":  # which commits nothing
        assert not places.within
        assert len(places.outside) >= 100
        return
    assert len(places.within) >= (150 if kind == "scan" else 400)
    assert len(places.outside) >= 10


QUICK = ("update of all keys", "delete", "bulk save")
"""The writes that each run of the tests interrupts. `tests/stress` interrupts all, on every store."""


def each_fourth(number: int, _: Hashable) -> type[BaseException] | None:
    return None if number % 4 else EXCEPTIONS[number // 4 % len(EXCEPTIONS)]


@pytest.mark.search
@pytest.mark.parametrize("name", QUICK)
async def test_a_write_is_interrupted_anywhere(name: str) -> None:
    """The store is as before or as after, its indexes are whole, and the next operation works: each fourth opcode."""
    kind = "two cached"
    places = await interrupt_everywhere(STORES[kind], name, each_fourth)

    check_that_there_are_enough(places, kind, name)


@pytest.mark.search
@pytest.mark.parametrize("kind", ["two cached", "none cached"])
async def test_a_read_is_interrupted_anywhere(kind: str) -> None:
    """It changes nothing, also where it adds the session to the cache: every fourth opcode."""
    places = await interrupt_everywhere(STORES[kind], "read", each_fourth, thorough=True)

    check_that_there_are_enough(places, kind, "read")


# -- twice in a row --


async def interrupt_recovery_everywhere(
    make: Callable[..., Any], name: str, fault_at: Callable[[int, Hashable], type[BaseException] | None], **how: bool
) -> list[Hashable]:
    """Interrupt a commit, and then its recovery at each place; return the places."""

    async def write(store: Any, clock: Clock) -> Any:
        with interrupt_first_commit(store, KeyboardInterrupt, **how):
            return await WRITES[name](store, clock)

    before, after = await outcome_of(make, nothing), await outcome_of(make, WRITES[name])
    watch = Fault(ValueError, None, in_commit=True, commit_name="recover")
    outcome = await outcome_of(make, write, watch)
    assert outcome == after, _compared(outcome, before, after)
    for number, place in enumerate(watch.places):
        exception = fault_at(number, place)
        if exception is not None:
            fault = Fault(exception, number, in_commit=True, commit_name="recover")
            await check_interrupted(make, write, fault, before, after)
    return watch.places


@pytest.mark.search
@pytest.mark.parametrize("is_applied", [False, True])
@pytest.mark.parametrize("name", QUICK)
async def test_a_recovery_is_interrupted_anywhere(name: str, *, is_applied: bool) -> None:
    """The next call recovers again; the commit is complete then, and published once: each fourth opcode."""
    places = await interrupt_recovery_everywhere(STORES["two cached"], name, each_fourth, is_applied=is_applied)

    assert len(places) >= 200


# -- planted faults --


@pytest.mark.search
@pytest.mark.parametrize(("plant", "cls", "complaint"), FAULTS)
async def test_a_store_that_leaves_a_write_half_done_is_found(plant: Plant, cls: Any, complaint: str) -> None:
    """The failure names the place of the interruption."""

    def fault_at(number: int, _: Hashable) -> type[BaseException] | None:
        return None if number % 4 else KeyboardInterrupt

    with pytest.raises((AssertionError, InvariantError, ChangesLostError), match=complaint) as found:
        await interrupt_everywhere(planted(plant, cls), "update of all keys", fault_at)

    assert "KeyboardInterrupt at opcode" in found.value.__notes__[-1]
