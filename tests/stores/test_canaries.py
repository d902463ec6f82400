"""Law 7: tenants are walls. All that is one tenant's carries a mark, and no answer to another has it.

The change feed, `export`, `reindex` and `on_evict` see all tenants by design, and so does a `get` or `delete` without a
tenant: they are left out. Whether an id is free is known to all as well, which is what `TenantMismatchError` says.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import (
    Channel,
    InMemorySessionStore,
    InvalidArgumentError,
    ScanSessionStore,
    ScopeFilter,
    Session,
    SessiondexError,
    SessionNotFoundError,
    SessionStatus,
    TenantMismatchError,
    TurnTimeoutError,
)
from tests.support.builders import START, Clock, NotedSession
from tests.support.contract_methods import missing_in
from tests.support.leaking_stores import (
    FindsOthers,
    FindsTheOldest,
    ForgetsTheTenant,
    HasACause,
    Logs,
    Merges,
    MixesIn,
    NamesTheOwner,
    ShowsItself,
    Warns,
)
from tests.support.seeds import TryEach, skip_with_seed
from tests.support.sizes import search_size
from tests.support.stores import check_indexes
from tests.support.two_tenants import SHARED_AGENT, SHARED_CUSTOMER, SHARED_SCENARIO, A, B, trace_in
from tests.support.two_tenants_walk import LeakError, Walk


async def drained(sessions: AsyncIterator[Any]) -> list[Any]:
    return [session async for session in sessions]


async def turn(store: Any, session_id: UUID) -> None:
    async with store.exclusive(session_id), store.exclusive(A.id(9)):
        waiting = asyncio.ensure_future(_wait_for_turn(store, session_id))
        await waiting


async def _wait_for_turn(store: Any, session_id: UUID) -> None:
    async with store.exclusive(session_id, timeout=0):
        pass


def theirs(**fields: Any) -> Any:
    """Return a session of A that has something of B's."""
    return A.session(1, **fields)


NUMBER = 1
"""Of a session of B that is not filed under shared ids."""
STOLEN, B_USER, B_HASH, B_NODE = B.id(100 + NUMBER), f"user-{B.mark}-{NUMBER}", f"hash-{B.mark}", f"node-{B.mark}"
B_NOTE = f"note-{B.mark}"
T = A.tenant
LATE = START + timedelta(days=900)

CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "get": lambda s: s.get(STOLEN, tenant_id=T),
    "get_many": lambda s: s.get_many([STOLEN, A.id(101), B.id(102)], tenant_id=T),
    "touch": lambda s: s.touch(STOLEN, tenant_id=T),
    "delete": lambda s: s.delete(STOLEN, tenant_id=T),
    "delete_many": lambda s: s.delete_many([STOLEN, B.id(102), B.id(103)], tenant_id=T),
    "update": lambda s: s.update(STOLEN, lambda _: None, tenant_id=T),
    "update to its id": lambda s: s.update(A.id(100), _with_id(STOLEN), tenant_id=T),
    "update to its tenant": lambda s: s.update(A.id(100), _with_tenant(B.tenant), tenant_id=T),
    "save": lambda s: s.save(theirs(session_id=STOLEN)),
    "save, expecting none": lambda s: s.save(theirs(session_id=STOLEN), expected_revision=0),
    "save, expecting some": lambda s: s.save(theirs(session_id=STOLEN), expected_revision=1),
    "save, expecting many": lambda s: s.save(theirs(session_id=STOLEN), expected_revision=7),
    "save, the long way": lambda s: s.save(A.session(1, NotedSession, session_id=STOLEN)),
    "save_many": lambda s: s.save_many([theirs(), theirs(session_id=STOLEN)]),
    "load": lambda s: s.load([theirs(session_id=STOLEN)]),
    "get_by_channel": lambda s: s.get_by_channel(T, Channel.WEBCHAT, B_USER),
    "get_by_channel, shared": lambda s: s.get_by_channel(T, Channel.WEBCHAT, "user-shared"),
    "list_by_channel": lambda s: s.list_by_channel(T, Channel.WEBCHAT, B_USER),
    "list_by_channel, shared": lambda s: s.list_by_channel(T, Channel.WEBCHAT, "user-shared"),
    "iter_by_channel, shared": lambda s: drained(s.iter_by_channel(T, Channel.WEBCHAT, "user-shared", page_size=1)),
    "count_by_channel": lambda s: s.count_by_channel(T, Channel.WEBCHAT, B_USER),
    "count_by_channel, shared": lambda s: s.count_by_channel(T, Channel.WEBCHAT, "user-shared"),
    "get_by_field": lambda s: s.get_by_field(T, "note", B_NOTE),
    "get_by_field, shared": lambda s: s.get_by_field(T, "note", "note-shared"),
    "list_by_field": lambda s: s.list_by_field(T, "note", B_NOTE),
    "list_by_field, shared": lambda s: s.list_by_field(T, "note", "note-shared"),
    "list_by_field, wrong": lambda s: s.list_by_field(T, "note", B.id(2)),
    "iter_by_field, shared": lambda s: drained(s.iter_by_field(T, "note", "note-shared", page_size=1)),
    "count_by_field": lambda s: s.count_by_field(T, "note", B_NOTE),
    "count_by_field, shared": lambda s: s.count_by_field(T, "note", "note-shared"),
    "get_or_create": lambda s: s.get_or_create(T, Channel.WEBCHAT, B_USER, lambda: theirs(user_channel_id="user-new")),
    "get_or_create, its id": lambda s: s.get_or_create(
        T, Channel.WEBCHAT, "user-new", lambda: theirs(session_id=STOLEN, user_channel_id="user-new")
    ),
    "get_or_create, shared": lambda s: s.get_or_create(T, Channel.WEBCHAT, "user-shared", theirs),
    "list_by_agent": lambda s: s.list_by_agent(T, B.id(2)),
    "list_by_agent, shared": lambda s: s.list_by_agent(T, SHARED_AGENT),
    "list_by_agent, active": lambda s: s.list_by_agent(T, SHARED_AGENT, status=SessionStatus.ACTIVE),
    "list_by_agent, wrong": lambda s: s.list_by_agent(T, B_USER),
    "list_by_customer": lambda s: s.list_by_customer(T, B.id(3)),
    "list_by_customer, shared": lambda s: s.list_by_customer(T, SHARED_CUSTOMER),
    "list_by_customer, later": lambda s: s.list_by_customer(T, SHARED_CUSTOMER, before=START + timedelta(days=9)),
    "list_by_customer, active": lambda s: s.list_by_customer(T, B.id(3), status=SessionStatus.ACTIVE),
    "list_by_tenant, shared": lambda s: s.list_by_tenant(T),
    "iter_by_tenant, shared": lambda s: drained(s.iter_by_tenant(T, page_size=2)),
    "count_by_tenant": lambda s: s.count_by_tenant(T),
    "iter_by_agent": lambda s: drained(s.iter_by_agent(T, B.id(2))),
    "iter_by_agent, shared": lambda s: drained(s.iter_by_agent(T, SHARED_AGENT, page_size=2)),
    "iter_by_customer, shared": lambda s: drained(s.iter_by_customer(T, SHARED_CUSTOMER, page_size=1)),
    "count_by_agent": lambda s: s.count_by_agent(T, B.id(2)),
    "count_by_customer": lambda s: s.count_by_customer(T, B.id(3)),
    "count_by_step_hash": lambda s: s.count_by_step_hash(T, B.id(4), 1, B_HASH),
    "count_steps": lambda s: s.count_steps(T, B.id(4), 1),
    "count_steps, shared": lambda s: s.count_steps(T, SHARED_SCENARIO, 1),
    "find_sessions_by_step_hash": lambda s: s.find_sessions_by_step_hash(T, B.id(4), 1, B_HASH),
    "find_sessions_by_step_hash, shared": lambda s: s.find_sessions_by_step_hash(T, SHARED_SCENARIO, 1, "hash-shared"),
    "find_sessions_by_step_hash, by node": lambda s: s.find_sessions_by_step_hash(
        T, SHARED_SCENARIO, 1, "hash-shared", ScopeFilter(include_current_nodes=[B_NODE, "node-shared"])
    ),
    "restore": lambda s: s.restore([theirs(session_id=STOLEN, revision=9, last_activity_at=LATE)]),
    "exclusive": lambda s: turn(s, STOLEN),
    "health_check": lambda s: s.health_check(),
    "repr": lambda s: _immediately([repr(s), str(s)]),
    "stats": lambda s: _immediately(s.stats() if isinstance(s, InMemorySessionStore) else None),
    "delete_by_customer": lambda s: s.delete_by_customer(T, B.id(3)),
    "delete_by_customer, shared": lambda s: s.delete_by_customer(T, SHARED_CUSTOMER),
    "delete_by_channel": lambda s: s.delete_by_channel(T, Channel.WEBCHAT, B_USER),
    "delete_by_channel, shared": lambda s: s.delete_by_channel(T, Channel.WEBCHAT, "user-shared"),
    "delete_by_tenant, shared": lambda s: s.delete_by_tenant(T),
}
"""Calls of A with ids of B. Each answers `None`, 0, an error about that id, or sessions of A."""

FOUND = {name for name in CALLS if name.endswith(("shared", "later", "node"))}
"""Those that find what A has of its own under an id that both have."""


LEFT_OUT = frozenset({"changes", "export", "reindex", "aclose"})
"""The first three see all tenants by design; the last has no answer."""


def test_every_method_is_called() -> None:
    assert missing_in({name.partition(",")[0].partition(" ")[0] for name in CALLS}, left_out=LEFT_OUT) == set()


def _with_id(session_id: UUID) -> Callable[[Any], Any]:
    return lambda session: session.model_copy(update={"session_id": session_id})


def _with_tenant(tenant: UUID) -> Callable[[Any], Any]:
    return lambda session: session.model_copy(update={"tenant_id": tenant})


async def _immediately(answer: Any) -> Any:
    return answer


async def furnish(store: Any) -> None:
    """Save some sessions of both tenants, some of them twice: what is hot, and what is not."""
    for number in range(12):
        for marked in (A, B):
            await store.save(marked.session(number, (Session, NotedSession)[number % 2]))
            if number % 4:
                await store.get(marked.id(100 + number))
    for marked in (A, B):
        await store.save(marked.session(1))


async def asked(store: Any, name: str) -> tuple[Any, str | None]:
    """Make the call; return its answer or error, and what gives B away in it."""
    try:
        answer = await CALLS[name](store)
    except SessiondexError as error:
        answer = error
    return answer, trace_in(answer, B, STOLEN)


async def all_of_b(store: Any) -> list[Any]:
    return [await store.get(B.id(100 + number)) for number in range(12)]


@pytest.mark.parametrize("name", CALLS)
async def test_no_answer_shows_another_tenant(store: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does an error, its causes, a log record or a warning; and nothing of the other tenant changes."""
    caplog.set_level(logging.DEBUG)
    await furnish(store)
    before = await all_of_b(store)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        answer, trace = await asked(store, name)

    assert trace is None
    assert all(trace_in(record, B) is None for record in caplog.records)
    assert all(trace_in(warning.message, B) is None for warning in warned)
    assert await all_of_b(store) == before
    if name in FOUND:
        assert answer


ERRORS: dict[str, type[SessiondexError]] = {
    "update": SessionNotFoundError,
    "update to its id": InvalidArgumentError,
    "update to its tenant": InvalidArgumentError,
    **dict.fromkeys((name for name in CALLS if name.startswith(("save", "load"))), TenantMismatchError),
    "get_or_create": InvalidArgumentError,
    "get_or_create, its id": TenantMismatchError,
    "list_by_agent, wrong": InvalidArgumentError,
    "list_by_field, wrong": InvalidArgumentError,
    "restore": TenantMismatchError,
    "exclusive": TurnTimeoutError,
}


async def test_the_answers_are_those_of_a_store_without_the_other_tenant(store: Any) -> None:
    """Or errors, where an id is not free."""
    await furnish(store)
    alone = type(store)(clock=Clock())
    for number in range(12):
        await alone.save(A.session(number, (Session, NotedSession)[number % 2]))
    await alone.save(A.session(1))
    for name in CALLS:
        if name in ERRORS:
            assert isinstance((await asked(store, name))[0], ERRORS[name]), name
        elif name not in {"repr", "stats"}:
            assert bare((await asked(store, name))[0]) == bare((await asked(alone, name))[0]), name


def bare(answer: Any) -> Any:
    """Return the answer without the stamps, which both tenants share."""
    if isinstance(answer, Session):
        return {**vars(answer), "last_activity_at": None}
    return [bare(one) for one in answer] if isinstance(answer, list | tuple) else answer


# -- at random --

WALKS: dict[str, tuple[Callable[[], Any], int]] = {
    "indexed": (
        lambda: InMemorySessionStore(clock=Clock(), cache_size=8, session_classes=[NotedSession]),
        search_size(50_000),
    ),
    "packed": (
        lambda: InMemorySessionStore(clock=Clock(), cache_size=0, session_classes=[NotedSession]),
        search_size(50_000),
    ),
    "scan": (lambda: ScanSessionStore(clock=Clock(), session_classes=[NotedSession]), search_size(10_000)),
}
SEED = 7


async def walk(make: Callable[[], Any], seed: int, count: int) -> Walk:
    store = make()
    walk = Walk(store, seed)
    await walk.go(count)
    check_indexes(store)
    return walk


@pytest.mark.search
@pytest.mark.parametrize("name", WALKS)
def test_random_operations_of_two_tenants_show_neither_the_other(
    name: str, caplog: pytest.LogCaptureFixture, try_each: TryEach
) -> None:
    """Each sees its own sessions, as many as it has, and nothing that the other does changes them."""
    caplog.set_level(logging.DEBUG)
    make, count = WALKS[name]

    def context(seed: int) -> None:
        with asyncio.Runner() as runner:
            runner.get_loop()
            caplog.clear()  # of what asyncio says of the loop
            walked = runner.run(walk(make, seed, count))
        assert not caplog.records
        assert sum(walked.done.values()) == count
        assert min(walked.done.values()) > count // 100, walked.done
        assert walked.refused > count // 50

    try_each([SEED], context)


# -- the checks find what is planted --


CONTROLS: list[tuple[type[ScanSessionStore[Any]], str]] = [
    (ForgetsTheTenant, "get"),
    (NamesTheOwner, "save"),
    (HasACause, "save"),
    (Logs, "get"),
    (Warns, "delete"),
    (Merges, "list_by_agent, shared"),
    (Merges, "count_steps"),
    (ShowsItself, "repr"),
]


@pytest.mark.parametrize(("cls", "name"), CONTROLS)
async def test_a_leak_is_found(cls: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AssertionError):
        await test_no_answer_shows_another_tenant(cls(clock=Clock()), name, caplog)


@skip_with_seed
@pytest.mark.parametrize(
    ("cls", "operation"),
    [
        (ForgetsTheTenant, "get"),
        (NamesTheOwner, "save"),
        (HasACause, "save"),
        (Merges, "."),
        (MixesIn, "get"),
        (FindsTheOldest, "get"),
        (FindsOthers, "step"),
    ],
)
def test_a_leak_is_found_at_random(cls: Any, operation: str, try_each: TryEach) -> None:
    """And the failure says how to repeat it."""
    with pytest.raises(LeakError, match=rf"^{operation}.*; operation \d+") as error:
        try_each(
            [SEED],
            lambda seed: asyncio.run(walk(lambda: cls(clock=Clock(), session_classes=[NotedSession]), seed, 5_000)),
        )

    assert error.value.__notes__[-1].startswith("Repeat it by: SESSIONDEX_SEED=7 nox -s tests -- 'tests/stores/")
