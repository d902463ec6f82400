"""Law 5, whatever comes from outside: an exception at every opcode of every write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from sessiondex.records import Records
from sessiondex.stores.commits import _Intent

from sessiondex import InMemorySessionStore, InvariantError, ScanSessionStore, SessionStatus
from tests.support.builders import AGENT, CUSTOMER, OTHER_AGENT, OTHER_CUSTOMER, SCENARIO, TENANT, Clock, at_step, visit
from tests.support.opcode_faults import Fault, raising
from tests.support.waiting import HANG_SECONDS

IDS = [UUID(int=number) for number in range(1, 7)]
Write = Callable[[Any, Clock], Awaitable[Any]]


def session(number: int, **fields: Any) -> Any:
    made = at_step(
        **{"session_id": IDS[number], "customer_profile_id": CUSTOMER, "variables": {"n": [number]}, **fields}
    )
    made.step_history = [visit("hash-1", step_id=UUID(int=7))]
    return made


def moved(number: int) -> Any:
    """Return the session with every key changed."""
    made = session(number, agent_id=OTHER_AGENT, customer_profile_id=OTHER_CUSTOMER, user_channel_id="another")
    made.active_scenario_version = 2
    made.status = SessionStatus.IDLE if number % 2 else SessionStatus.ACTIVE
    return made


def expire(store: Any, clock: Clock) -> Awaitable[Any]:
    """All but the last, which is saved, have been idle for too long: two go with it."""
    clock.move(minutes=61)
    return store.save(session(5))  # type: ignore[no-any-return]  # it is a coroutine


WRITES: dict[str, Write] = {
    "insert": lambda store, _: store.save(session(5)),
    "update with the same keys": lambda store, _: store.save(session(1, variables={"n": "another"})),
    "update of all keys": lambda store, _: store.save(moved(1)),
    "delete": lambda store, _: store.delete(IDS[1]),
    "expire": expire,
    "bulk save": lambda store, _: store.save_many([moved(0), session(1), session(5), moved(0)]),
    "bulk delete": lambda store, _: store.delete_many([IDS[0], IDS[2], IDS[5], IDS[0]]),
    "read what becomes hot": lambda store, _: store.get(IDS[0]),
}

RECORDS = Records()
EXCEPTIONS = MemoryError, KeyboardInterrupt, ValueError
STORES: dict[str, Callable[..., Any]] = {
    "all hot": InMemorySessionStore,
    "two hot": lambda **options: InMemorySessionStore(cache_size=2, **options),
    "none hot": lambda **options: InMemorySessionStore(cache_size=0, **options),
    "scan": ScanSessionStore,
}


async def filled(make: Callable[..., Any], clock: Clock, told: list[Any]) -> tuple[Any, Any]:
    """Return a store of five sessions, some of them saved and read twice, and its feed."""
    clock.time = Clock().time
    store = make(clock=clock, idle_ttl=timedelta(hours=1), on_evict=lambda *evicted: told.append(evicted))
    store._records = RECORDS  # compiled once for all of them, not for each
    feed = store.changes()
    for number in range(5):
        clock.move(seconds=1)
        await store.save(session(number))
    for number in (1, 3, 1, 3, 0):
        await store.get(IDS[number])
    return store, feed


async def content(store: Any) -> Any:
    """Return all that the store has to say, and that it agrees with itself."""
    store._check()
    sessions = [await store.get(session_id) for session_id in IDS]
    kept = {
        "agents": [await store.list_by_agent(TENANT, agent) for agent in (AGENT, OTHER_AGENT)],
        "customers": [await store.list_by_customer(TENANT, customer) for customer in (CUSTOMER, OTHER_CUSTOMER)],
        "users": [await store.get_by_channel(TENANT, "webchat", user) for user in ("user-1", "another")],
        "steps": [await store.count_steps(TENANT, SCENARIO, version) for version in (1, 2)],
        "counts": [await store.count_by_agent(TENANT, agent) for agent in (AGENT, OTHER_AGENT)],
    }
    return sessions, kept


async def changed(feed: Any, store: Any) -> list[Any]:
    """Return the changes that the feed has, of which there must be as many as it counts."""
    return [await asyncio.wait_for(anext(feed), HANG_SECONDS) for _ in range(store._feed.sequence - feed._since)]


async def settled(store: Any) -> None:
    while store._teller is not None and not store._teller.done():
        await asyncio.wait([store._teller])


async def outcome_of(make: Callable[..., Any], write: Write, fault: Fault | None = None) -> tuple[Any, ...]:
    """Return content, changes and what `on_evict` was told once that was written, and see how the next write goes."""
    clock, told = Clock(), list[Any]()
    store, feed = await filled(make, clock, told)
    writing = write(store, clock)  # what it is given is made here, and not interrupted
    if fault is None:
        await writing
    else:
        try:
            with raising(fault):
                await writing
        except EXCEPTIONS as error:
            if str(error) != "out of the blue":
                raise
    now = await content(store)
    changes = await changed(feed, store)
    await settled(store)
    last = session(4)
    await store.save(last)
    assert all(last.last_activity_at > one.last_activity_at for one in now[0] if one is not None)
    assert await store.get(IDS[4]) == last
    assert (await anext(feed)).stamp == last.last_activity_at
    store._check()
    return now, changes, told


async def nothing(_store: Any, _clock: Clock) -> None:
    pass


async def nothing_for_an_hour(_store: Any, clock: Clock) -> None:
    clock.move(minutes=61)


class Places(NamedTuple):
    """The opcodes at which a write may be interrupted, in the order in which it comes to them."""

    within: list[Hashable]
    """The commits."""
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
    """Have the write interrupted at each place; return which there are.

    `fault_at` tells by which exception, of the number of a place and the place itself; `None` to leave it out. Raises
    `AssertionError` unless all that can be seen then is as before, or as after.
    """
    write = WRITES[name]
    before = await outcome_of(make, nothing_for_an_hour if name == "expire" else nothing)
    after = await outcome_of(make, write)
    allowed = [before] if name == "read what becomes hot" else [before, after]
    places = await places_of(make, name, thorough=thorough)
    for some, in_commit in ((places.within, True), (places.outside, False)):
        for number, place in enumerate(some):
            exception = fault_at(number, place)
            if exception is None:
                continue
            fault = Fault(exception, number, in_commit=in_commit, thorough=thorough)
            try:
                outcome = await outcome_of(make, write, fault)
                assert outcome in allowed, _compared(outcome, before, after)
            except BaseException as error:
                error.add_note(f"after {fault}: {fault.where}")
                raise
            assert fault.where, f"{fault}, which was not there again"
    return places


def _compared(outcome: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> str:
    """Return how the outcome compares with that of no write, and that of a write that nothing interrupted."""
    parts = "content", "changes", "on_evict"
    return ", ".join(
        f"{part} {'as before' if one == old else 'as after' if one == new else 'as neither'}"
        for part, one, old, new in zip(parts, outcome, before, after, strict=True)
    )


def check_that_there_are_enough(places: Places, kind: str, name: str, *, outside: int) -> None:
    """Raise `AssertionError` if there are fewer than on any Python, and so something else was traced.

    `outside` is how many there are outside commits at least, of what deletes.
    """
    within = 150 if kind == "scan" else 450
    if name == "read what becomes hot":  # which commits nothing, but where it may become hot
        within = 150 if kind in {"all hot", "two hot"} else 0
    assert len(places.within) >= within
    assert len(places.outside) >= outside * (1 if "delete" in name or "read" in name else 5)


QUICK = ("update of all keys", "delete", "bulk save")
"""The writes that are interrupted in each run of the tests. `tests/stress` interrupts all of them, on every store."""


@pytest.mark.filterwarnings(
    "ignore:coroutine 'Telling._tell' was never awaited"
)  # it was made, and then the fault came
@pytest.mark.search
@pytest.mark.parametrize("name", QUICK)
async def test_a_write_that_is_interrupted_anywhere_is_done_or_not(name: str) -> None:
    """The store is as before or as after, its indexes are whole, and the next operation works: each fourth opcode."""
    kind = "two hot"

    def fault_at(number: int, _: Hashable) -> type[BaseException] | None:
        return None if number % 4 else EXCEPTIONS[number // 4 % len(EXCEPTIONS)]

    places = await interrupt_everywhere(STORES[kind], name, fault_at)

    check_that_there_are_enough(places, kind, name, outside=15)


# -- what this finds, were it there --


class ForgetsTheRest(InMemorySessionStore[Any]):
    """Goes on as if what was interrupted had been done."""

    def _settle(self) -> None:
        self._intent = None


class UndoesNothing(ScanSessionStore[Any]):
    """Knows of nothing that was interrupted."""

    def _commit(self, parts: Any, evicted: Any = None) -> None:
        for part in parts:
            self._apply(part.plan)
        self._tell_of(_Intent(parts, self._feed.sequence, evicted))


class TellsTwice(InMemorySessionStore[Any]):
    """Tells again what it may have told."""

    def _settle(self) -> None:
        if self._intent is not None:
            self._intent = self._intent._replace(sequence=self._feed.sequence)
        super()._settle()


class NeverCallsOnEvict(InMemorySessionStore[Any]):
    """Does the rest, and tells nobody."""

    def _settle(self) -> None:
        if self._intent is not None:
            self._apply_again([part.plan for part in self._intent.parts])
            self._intent = None


class LeavesKeys(InMemorySessionStore[Any]):
    """Does the rest in the table, and leaves the indexes as they are."""

    def _apply_again(self, plans: Any) -> None:
        for plan in plans:
            self._table.apply_to_row(plan.change)
        self._table._bytes = sum(len(row) for _, row in self._table._rows.items())


FOUND: list[tuple[type[Any], str]] = [
    (ForgetsTheRest, "count of bytes: found"),
    (UndoesNothing, "content as after, changes as before"),
    (TellsTwice, "content as after, changes as neither"),
    (NeverCallsOnEvict, "content as after, changes as before"),
    (LeavesKeys, "index '.*: found"),
]


@pytest.mark.search
@pytest.mark.filterwarnings("ignore:coroutine 'Telling._tell' was never awaited")
@pytest.mark.parametrize(("cls", "complaint"), FOUND)
async def test_a_store_that_leaves_a_write_half_done_is_found(cls: Any, complaint: str) -> None:
    """And the failure says after which fault."""
    with pytest.raises((AssertionError, InvariantError), match=complaint) as found:
        await interrupt_everywhere(cls, "delete", lambda number, _: None if number % 4 else KeyboardInterrupt)

    assert "KeyboardInterrupt at opcode" in found.value.__notes__[-1]
