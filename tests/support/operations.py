"""Run every operation of a store on a prepared stage, for tests that cancel or interrupt it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex import Channel, ConflictError, SessionStatus, StoreClosedError, TurnTimeoutError
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, START, TENANT, Clock, NotedSession, at_step, visit
from tests.support.stores import lock_of, put_without_lock

VISITS = [visit("hash-1", step_id=UUID(int=41))]
IDS = [UUID(int=1_000 + name) for name in range(160)]
FIRST = IDS[0]
IDENTITY = TENANT, Channel.WEBCHAT, "new"


def session(name: int, **fields: Any) -> Any:
    """Return the same session each time."""
    return at_step(
        **{
            "session_id": IDS[name],
            "customer_profile_id": CUSTOMER,
            "user_channel_id": f"user-{name}",
            "step_history": VISITS,
            "cls": NotedSession,
            "note": "same",
            **fields,
        }
    )


STORED = [session(name) for name in range(103)]
"""More than are read without a break. A store keeps copies, so these serve for each."""


class Stage:
    """A store with some sessions, and everything that an operation is given or leaves behind."""

    def __init__(self, make_store: Callable[..., Any], options: dict[str, Any]) -> None:
        self.clock = Clock()
        self.notified: list[UUID] = []
        self._has_expiry = "idle_ttl" in options
        self.is_open = "on_evict" in options
        if self.is_open:
            options = {**options, "on_evict": self._on_evict}
        self.store = make_store(clock=self.clock, **options)
        self.given: list[Any] = []
        self.reader: Any = None
        self.created: list[bool] = []
        self.inside = 0

    async def fill(self, stored: int) -> None:
        await self.store.save_many(STORED[:stored])
        if self._has_expiry:  # exactly these sessions have expired
            self.clock.move(hours=2)
        if self.is_open:
            await self.store.__aenter__()
            await asyncio.sleep(0)  # the sweeper starts
        self.reader = self.store.changes()
        self.given = [session(name, turn_count=5) for name in range(30)]

    async def _on_evict(self, evicted: Any, _reason: Any) -> None:
        await asyncio.sleep(0)
        self.notified.append(evicted.session_id)
        await asyncio.sleep(0)

    async def content(self) -> Any:
        """Return the contents of the store and of the given sessions, without stamps."""
        store = self.store
        try:
            found = await store.list_by_agent(TENANT, AGENT, limit=1_000)
        except StoreClosedError:
            return "closed", sorted(self.notified)
        for one in found:
            assert await store.get(one.session_id) == one, "a list and get differ"
            assert await store.get_by_channel(TENANT, one.channel, one.user_channel_id) == one, "a channel is lost"
        assert found == await store.list_by_customer(TENANT, CUSTOMER, limit=1_000), "the lists differ"
        assert found == await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE, limit=1_000)
        assert found == await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1")
        assert found == await store.list_by_field(TENANT, "note", "same", limit=1_000)
        assert found == await store.list_by_tenant(TENANT, limit=1_000)
        counts = [await count(self) for count in COUNTS.values()]
        known = {one.session_id for one in found}
        assert not [name for name in IDS if name not in known and await store.get(name)], "a list lacks a session"
        given = [(one.revision, one == await store.get(one.session_id)) for one in self.given]
        return [one.model_copy(update={"last_activity_at": START}) for one in found], counts, given


COUNTS: dict[str, Callable[[Stage], Coroutine[Any, Any, Any]]] = {
    "count_by_agent": lambda stage: stage.store.count_by_agent(TENANT, AGENT),
    "count_by_customer": lambda stage: stage.store.count_by_customer(TENANT, CUSTOMER),
    "count_by_tenant": lambda stage: stage.store.count_by_tenant(TENANT),
    "count_by_channel": lambda stage: stage.store.count_by_channel(TENANT, Channel.WEBCHAT, "user-0"),
    "count_by_field": lambda stage: stage.store.count_by_field(TENANT, "note", "same"),
    "count_by_step_hash": lambda stage: stage.store.count_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    "count_steps": lambda stage: stage.store.count_steps(TENANT, SCENARIO, 1),
}


# -- what other tasks do at the same time --


async def _hold_lock(stage: Stage) -> None:
    """Hold the lock for some turns of the loop, then save the session that the operations are about, and others."""
    async with lock_of(stage.store):
        for _ in range(3):
            await asyncio.sleep(0)
        put_without_lock(stage.store, [session(name, turn_count=7) for name in (*range(110, 140), 0)])


async def _hold_session_lock(stage: Stage) -> None:
    async with stage.store.exclusive(FIRST):
        stage.inside += 1
        await asyncio.sleep(1)  # in virtual time
        stage.inside -= 1


async def _create(stage: Stage, name: int = 150) -> None:
    async def create() -> Any:
        for _ in range(3):
            await asyncio.sleep(0)
        return session(name, user_channel_id="new")

    stage.created.append((await stage.store.get_or_create(*IDENTITY, create))[1])


CONTENTION: dict[str, Callable[[Stage], Coroutine[Any, Any, None]] | None] = {
    "alone": None,
    "lock": _hold_lock,
    "session lock": _hold_session_lock,
    "creation": _create,
}


# -- the operations --


class Operation(NamedTuple):
    """An operation, and the outcomes besides all or nothing that an interruption may leave."""

    run: Callable[[Stage], Coroutine[Any, Any, Any]]
    waits: frozenset[str] = frozenset()
    """Under which contention it yields to the loop, and nowhere else."""
    parts: tuple[Callable[[Stage], Coroutine[Any, Any, Any]], ...] = ()
    is_undone: bool = True
    """Whether nothing may be left of it."""
    stored: int = 3
    options: dict[str, Any] = {}
    contention: tuple[str, ...] = ("alone", "lock")


ALWAYS, LOCKED = frozenset(CONTENTION), frozenset({"lock"})
LONG: dict[str, Any] = {"waits": ALWAYS, "stored": 103, "contention": ("alone",)}
BOTH: dict[str, Any] = {"contention": ("alone", "lock")}
EXPIRED: dict[str, Any] = {"waits": ALWAYS, "stored": 25, "options": {"idle_ttl": timedelta(hours=1)}}
BACKGROUND: dict[str, Any] = {
    **EXPIRED,
    "options": {"idle_ttl": timedelta(hours=1), "on_evict": None},
    "is_undone": False,
}


async def _save_expected(stage: Stage) -> None:
    with suppress(ConflictError):  # raised if the task that holds the lock saves it
        await stage.store.save(stage.given[0], expected_revision=1)


def _load(count: int, *, is_async: bool = False) -> Callable[[Stage], Coroutine[Any, Any, Any]]:
    def each(stage: Stage) -> Iterator[Any]:
        yield from stage.given[:count]

    async def each_later(stage: Stage) -> AsyncIterator[Any]:
        for number, one in enumerate(each(stage)):
            if number % 10 == 5:
                await asyncio.sleep(0)
            yield one

    return lambda stage: stage.store.load(each_later(stage) if is_async else each(stage), batch=10)


async def _iterate(sessions: Any) -> list[Any]:
    return [one async for one in sessions]


async def _iterate_and_leave(stage: Stage) -> None:
    async with aclosing(stage.store.iter_by_agent(TENANT, AGENT, page_size=101)) as sessions:
        async for one in sessions:
            if one.session_id == IDS[0]:  # the last one, on the second page
                break


def _change(found: Any) -> None:
    found.turn_count += 10


async def _interfere(stage: Stage) -> None:
    await stage.store.save(session(0, turn_count=100))


async def _update_in_conflict(stage: Stage) -> None:
    attempts = 0

    async def change(found: Any) -> Any:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        if attempts == 1:
            await _interfere(stage)
        await asyncio.sleep(0)
        _change(found)

    await stage.store.update(FIRST, change)


async def _save_in_exclusive(stage: Stage) -> None:
    async with stage.store.exclusive(FIRST):
        assert not stage.inside, "two hold the lock"
        await asyncio.sleep(0)
        await stage.store.save(stage.given[0])
        await asyncio.sleep(0)


async def _exclusive_in_time(stage: Stage) -> None:
    with suppress(TurnTimeoutError):
        async with stage.store.exclusive(FIRST, timeout=0.5):
            assert not stage.inside, "two hold the lock"


async def _read_change(stage: Stage) -> None:
    change = await anext(stage.reader)
    assert change.sequence == 4, "a change was lost"  # three were stored before
    stage.reader = stage.store.changes(since=3)


async def _open_and_close(stage: Stage) -> None:
    with suppress(StoreClosedError):  # raised by the second call
        async with stage.store:
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def _restore(stage: Stage) -> None:
    """Restore sessions of another store, with later stamps than the stored ones."""
    later = stage.clock() + timedelta(days=1)
    saved = [
        one.model_copy(update={"revision": 7, "last_activity_at": later + timedelta(seconds=number)})
        for number, one in enumerate(stage.given)
    ]
    await stage.store.restore(saved)


OPERATIONS: dict[str, Operation] = {
    "get": Operation(lambda stage: stage.store.get(FIRST)),
    "get_by_channel": Operation(lambda stage: stage.store.get_by_channel(TENANT, Channel.WEBCHAT, "user-0")),
    "get_by_field": Operation(lambda stage: stage.store.get_by_field(TENANT, "note", "same")),
    "list_by_channel": Operation(lambda stage: stage.store.list_by_channel(TENANT, Channel.WEBCHAT, "user-0")),
    "iter_by_channel": Operation(
        lambda stage: _iterate(stage.store.iter_by_channel(TENANT, Channel.WEBCHAT, "user-0"))
    ),
    "health_check": Operation(lambda stage: stage.store.health_check()),
    "save": Operation(lambda stage: stage.store.save(stage.given[0]), LOCKED),
    "touch": Operation(lambda stage: stage.store.touch(FIRST), LOCKED),
    "save_new": Operation(lambda stage: stage.store.save(stage.given[-1]), LOCKED),
    "save_expected": Operation(_save_expected, LOCKED),
    "delete": Operation(lambda stage: stage.store.delete(FIRST), LOCKED),
    "save_many": Operation(lambda stage: stage.store.save_many(stage.given), ALWAYS),
    "delete_many": Operation(lambda stage: stage.store.delete_many([one.session_id for one in stage.given]), LOCKED),
    "delete_by_tenant": Operation(lambda stage: stage.store.delete_by_tenant(TENANT), LOCKED, stored=103),
    "delete_by_customer": Operation(lambda stage: stage.store.delete_by_customer(TENANT, CUSTOMER), LOCKED, stored=103),
    "delete_by_channel": Operation(
        lambda stage: stage.store.delete_by_channel(TENANT, Channel.WEBCHAT, "user-0"), LOCKED
    ),
    "load": Operation(_load(30), ALWAYS, (_load(10), _load(20))),
    "load_async": Operation(_load(30, is_async=True), ALWAYS, (_load(10), _load(20))),
    "list_by_agent": Operation(lambda stage: stage.store.list_by_agent(TENANT, AGENT, limit=900), **LONG | BOTH),
    "list_by_customer": Operation(lambda stage: stage.store.list_by_customer(TENANT, CUSTOMER, limit=900), **LONG),
    "get_many": Operation(lambda stage: stage.store.get_many(IDS), **LONG),
    "list_by_tenant": Operation(lambda stage: stage.store.list_by_tenant(TENANT, limit=900), **LONG),
    "list_by_field": Operation(lambda stage: stage.store.list_by_field(TENANT, "note", "same", limit=900), **LONG),
    "iter_by_tenant": Operation(lambda stage: _iterate(stage.store.iter_by_tenant(TENANT, page_size=101)), **LONG),
    "iter_by_field": Operation(
        lambda stage: _iterate(stage.store.iter_by_field(TENANT, "note", "same", page_size=101)), **LONG
    ),
    "find_sessions_by_step_hash": Operation(
        lambda stage: stage.store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"), **LONG
    ),
    "iter_by_agent": Operation(
        lambda stage: _iterate(stage.store.iter_by_agent(TENANT, AGENT, page_size=101)), **LONG | BOTH
    ),
    "iter_by_customer": Operation(
        lambda stage: _iterate(stage.store.iter_by_customer(TENANT, CUSTOMER, page_size=101)), **LONG
    ),
    "iter_and_leave": Operation(_iterate_and_leave, **LONG),
    **{name: Operation(count, **EXPIRED) for name, count in COUNTS.items()},
    "update": Operation(lambda stage: stage.store.update(FIRST, _change), LOCKED),
    "update_in_conflict": Operation(_update_in_conflict, ALWAYS, (_interfere,)),
    "get_or_create": Operation(_create, ALWAYS, contention=("alone", "lock", "creation")),
    "exclusive": Operation(_save_in_exclusive, ALWAYS, contention=("alone", "lock", "session lock")),
    "exclusive_in_time": Operation(
        _exclusive_in_time, frozenset({"session lock"}), contention=("alone", "session lock")
    ),
    "changes": Operation(_read_change, ALWAYS, contention=("lock",)),
    "export": Operation(lambda stage: stage.store.export(limit=900), **LONG),
    "restore": Operation(_restore, ALWAYS),
    "reindex": Operation(lambda stage: stage.store.reindex()),
    "aclose": Operation(lambda stage: stage.store.aclose(), **BACKGROUND),
    "async_with": Operation(_open_and_close, **BACKGROUND),
}
