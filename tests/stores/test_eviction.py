"""Law 17: expired is gone, and a cap is kept."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Channel, EvictionReason, InvalidArgumentError, InvalidSessionError, SessionStatus
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    Clock,
    TaggedSession,
    at_step,
    make_session,
)
from tests.support.waiting import until, until_notified

HOUR = timedelta(hours=1)

QUERIES: dict[str, Any] = {
    "get": lambda store, session: store.get(session.session_id),
    "get of a tenant": lambda store, session: store.get(session.session_id, tenant_id=TENANT),
    "channel": lambda store, _: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "agent and status": lambda store, _: store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
    "customer": lambda store, _: store.list_by_customer(TENANT, CUSTOMER),
    "step": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    "count by agent": lambda store, _: store.count_by_agent(TENANT, AGENT),
    "count by agent and status": lambda store, _: store.count_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
    "count by customer": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count by step": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    "count steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "delete": lambda store, session: store.delete(session.session_id),
    "delete many": lambda store, session: store.delete_many([session.session_id]),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("is_hot", [False, True])
@pytest.mark.parametrize("late", [0, 1])
async def test_a_session_is_gone_once_it_was_idle_for_longer(
    make_store: Any, clock: Clock, query: Any, late: int, *, is_hot: bool
) -> None:
    """An hour after its save it is there, a microsecond later no query sees it."""
    store, session = make_store(idle_ttl=HOUR), at_step(customer_profile_id=CUSTOMER)
    for _ in range(3 if is_hot else 1):
        await store.save(session)
    clock.time = session.last_activity_at + HOUR
    clock.move(microseconds=late)

    assert bool(await query(store, session)) is not bool(late)


async def test_what_is_saved_is_there_though_the_clock_stepped_back(make_store: Any, clock: Clock) -> None:
    """A stamp may then lie before the instants that the store has seen."""
    store, session = make_store(idle_ttl=HOUR), make_session()
    await store.save(make_session())
    clock.move(hours=5)
    assert await store.count_by_agent(TENANT, AGENT) == 0
    clock.move(hours=-6)
    await store.save(session)

    assert await store.get(session.session_id) == session
    assert await store.list_by_agent(TENANT, AGENT) == [session]
    assert await store.count_by_agent(TENANT, AGENT) == 1


async def test_what_expired_is_in_nobodys_way(make_store: Any, clock: Clock) -> None:
    """It is saved as if it were new, also by another tenant, and where none is expected."""
    told: list[Any] = []
    store = make_store(idle_ttl=HOUR, on_evict=lambda session, _: told.append(session))
    first, second = make_session(), make_session()
    await store.save_many([first, second, first, second])
    assert first.revision == 2
    clock.move(hours=2)
    other = make_session(session_id=first.session_id, tenant_id=OTHER_TENANT)
    await store.save(other, expected_revision=0)
    await store.save_many([second])

    assert other.revision == second.revision == 1
    await until_notified(store)
    assert {session.session_id for session in told} == {first.session_id, second.session_id}
    assert await store.get(first.session_id) == other


async def test_writes_sweep_a_little_each(make_indexed: Any, clock: Clock) -> None:
    store = make_indexed(idle_ttl=HOUR)
    await store.save_many([make_session() for _ in range(20)])
    clock.move(hours=2)
    sizes = []
    for _ in range(12):
        await store.save(make_session())
        sizes.append(store.stats().sessions)

    assert sizes == [*range(19, 9, -1), 11, 12]


async def test_reads_sweep_nothing(make_indexed: Any, clock: Clock) -> None:
    store = make_indexed(idle_ttl=HOUR)
    await store.save_many([make_session() for _ in range(20)])
    clock.move(hours=2)
    assert await store.list_by_agent(TENANT, AGENT) == []
    assert store.stats().sessions == 20


async def test_pages_end_where_sessions_have_expired(make_store: Any, clock: Clock) -> None:
    store = make_store(idle_ttl=HOUR)
    sessions = []
    for _ in range(100):
        sessions.append(make_session())
        await store.save(sessions[-1])
        clock.move(minutes=1)
    young = sessions[:39:-1]
    clock.time = young[-1].last_activity_at + HOUR

    assert [session async for session in store.iter_by_agent(TENANT, AGENT, page_size=7)] == young
    assert await store.list_by_agent(TENANT, AGENT, limit=1_000) == young
    assert await store.list_by_agent(TENANT, AGENT, limit=5, before=young[-3].last_activity_at) == young[-2:]
    assert await store.count_by_agent(TENANT, AGENT) == 60


# -- the cap --


async def test_the_longest_idle_go(make_store: Any) -> None:
    told: list[Any] = []
    store = make_store(max_sessions=3, on_evict=lambda session, reason: told.append((session, reason)))
    sessions = [make_session() for _ in range(5)]
    for session in (*sessions[:3], sessions[0], *sessions[3:]):
        await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT) == [sessions[4], sessions[3], sessions[0]]
    await until_notified(store)
    assert told == [(sessions[1], EvictionReason.CAP), (sessions[2], EvictionReason.CAP)]


async def test_a_cap_of_one(make_store: Any) -> None:
    store = make_store(max_sessions=1)
    for _ in range(3):
        session = make_session()
        await store.save(session)
        await store.save(session)
        assert await store.list_by_agent(TENANT, AGENT) == [session]


# -- who is told --


@pytest.mark.parametrize("cls", [TaggedSession, None])
@pytest.mark.parametrize("is_hot", [False, True])
async def test_on_evict_gets_a_session_of_its_own(make_store: Any, clock: Clock, cls: Any, *, is_hot: bool) -> None:
    told: list[Any] = []

    async def on_evict(session: Any, reason: EvictionReason) -> None:
        await asyncio.sleep(0)
        told.append((session, reason))

    store = make_store(idle_ttl=HOUR, on_evict=on_evict)
    session = make_session(**({} if cls is None else {"cls": cls}))
    for _ in range(3 if is_hot else 1):
        await store.save(session)
    clock.move(hours=2)
    await store.save(make_session())

    await until_notified(store)
    assert told == [(session, EvictionReason.IDLE)]
    assert told[0][0] is not session


async def test_what_on_evict_raises_is_logged_and_loses_nothing(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> None:
        raise KeyError("mine")

    store = make_store(max_sessions=1, on_evict=failing)
    sessions = [make_session() for _ in range(3)]
    for session in sessions:
        await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT) == sessions[2:]
    await until_notified(store)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("on_evict" in record.message for record in caplog.records)


async def test_on_evict_runs_without_the_lock(make_store: Any) -> None:
    """So it may use the store, also to bring the session back."""
    kept: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        assert not store._lock.locked()
        assert await store.get(session.session_id) is None
        if not kept:
            kept.append(session)
            await store.save(session)

    store = make_store(max_sessions=2, on_evict=on_evict)
    sessions = [make_session() for _ in range(3)]
    for session in sessions:
        await store.save(session)
    await until_notified(store)

    assert await store.list_by_agent(TENANT, AGENT) == [kept[0], sessions[2]]


async def test_a_cancelled_write_cancels_nothing_that_is_told(make_store: Any) -> None:
    """And does not wait for it."""
    done: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.append(session)

    store = make_store(max_sessions=1, on_evict=on_evict)
    sessions = [make_session() for _ in range(4)]
    writing = asyncio.ensure_future(store.save_many(sessions))
    await asyncio.sleep(0)
    assert writing.done()
    assert not done
    writing.cancel()
    await until_notified(store)
    assert done == sessions[:3]


def test_what_was_being_told_when_a_loop_ended_is_told_again(make_store: Any) -> None:
    begun, done = [], []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        begun.append(session)
        await asyncio.sleep(0.01 if len(begun) > 1 else 3600)
        done.append(session)

    store = make_store(max_sessions=1, on_evict=on_evict)
    sessions = [make_session() for _ in range(3)]

    async def first() -> None:
        await store.save_many(sessions)
        await until(lambda: begun)

    asyncio.run(first())
    asyncio.run(store.aclose())
    assert begun == [sessions[0], *sessions[:2]]
    assert done == sessions[:2]


# -- in the background --


async def test_an_open_store_sweeps_by_itself(make_indexed: Any, clock: Clock) -> None:
    told: list[Any] = []
    async with make_indexed(
        idle_ttl=timedelta(milliseconds=5), on_evict=lambda session, _: told.append(session)
    ) as store:
        sessions = [make_session() for _ in range(200)]
        await store.save_many(sessions)
        clock.move(seconds=1)
        await until(lambda: len(told) == 200)
        assert await store.health_check()
        assert store.stats().sessions == 0
    assert told == sessions


async def test_the_loop_runs_while_it_sweeps(make_store: Any, clock: Clock) -> None:
    store = make_store(idle_ttl=HOUR)
    turns: list[None] = []

    async def tick() -> None:
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    await store.save_many([make_session() for _ in range(500)])
    clock.move(hours=2)
    ticking = asyncio.ensure_future(tick())
    assert await store.count_by_agent(TENANT, AGENT) == 0
    ticking.cancel()
    assert len(turns) >= 10


async def test_the_loop_runs_while_many_are_told(make_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sessiondex.stores.telling._SLICE", 0)
    turns: list[int] = []
    told: list[Any] = []

    async def tick() -> None:
        while True:
            turns.append(len(told))
            await asyncio.sleep(0)

    store = make_store(max_sessions=1, on_evict=lambda session, _: told.append(session))
    ticking = asyncio.ensure_future(tick())
    await store.save_many([make_session() for _ in range(101)])
    await until_notified(store)
    ticking.cancel()
    assert len(told) == 100
    assert len(set(turns)) >= 100


async def test_a_clock_that_fails_does_not_end_the_sweeping(
    make_indexed: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[None] = []

    def odd_clock() -> Any:
        if len(failures) < 3 and store.stats().sessions:
            failures.append(None)
            return None
        return clock()

    store = make_indexed(idle_ttl=timedelta(milliseconds=1), clock=odd_clock)
    failures += [None] * 3
    await store.save(make_session())
    failures.clear()
    async with store:
        clock.move(seconds=1)
        await until(lambda: not store.stats().sessions)
        assert await store.health_check()
    assert "sweeping idle sessions failed" in caplog.text


# -- what goes wrong --


class FailingClock(Clock):
    """Fails at its n-th call."""

    fails_in = 0

    def __call__(self) -> Any:
        self.fails_in -= 1
        return None if self.fails_in == 0 else super().__call__()


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize(
    "write",
    [
        lambda store, session: store.save(session),
        lambda store, session: store.save_many([session]),
        lambda store, session: store.get_or_create(TENANT, Channel.WEBCHAT, "user-1", lambda: session),
    ],
)
async def test_a_clock_that_fails_saves_all_or_nothing(make_store: Any, write: Any, call: int) -> None:
    clock = FailingClock()
    store, session = make_store(idle_ttl=HOUR, clock=clock), make_session()
    clock.fails_in = call
    try:
        await write(store, session)
    except InvalidArgumentError:
        was_saved = bool(session.revision)
    else:
        was_saved = True
    clock.fails_in = 0

    assert bool(await store.get(session.session_id)) is was_saved
    assert store._feed.sequence == session.revision == int(was_saved)


@pytest.mark.parametrize("call", range(1, 5))
async def test_a_clock_that_fails_deletes_all_or_nothing(make_store: Any, call: int) -> None:
    clock = FailingClock()
    store, sessions = make_store(idle_ttl=HOUR, clock=clock), [make_session() for _ in range(3)]
    await store.save_many(sessions)
    clock.fails_in = call
    try:
        left = 3 - await store.delete_many([session.session_id for session in sessions])
    except InvalidArgumentError:
        left = 3
    clock.fails_in = 0

    assert await store.count_by_agent(TENANT, AGENT) == left


async def test_bulk_sweeps_as_much_as_it_saves(make_indexed: Any, clock: Clock) -> None:
    store = make_indexed(idle_ttl=timedelta(seconds=10))
    for _ in range(60):
        await store.save_many([make_session() for _ in range(20)])
        clock.move(seconds=1)

    assert store.stats().sessions <= 12 * 20


async def test_what_a_count_or_a_refused_save_evicts_is_told(make_store: Any, clock: Clock) -> None:
    told: list[Any] = []
    store = make_store(idle_ttl=HOUR, on_evict=lambda session, _: told.append(session))
    sessions = [make_session() for _ in range(50)]
    await store.save_many(sessions)
    clock.move(hours=2)
    sessions[0].variables["x"] = float("nan")
    with pytest.raises(InvalidSessionError):
        await store.save(sessions[0])
    await until_notified(store)
    assert len(told) == 1
    assert await store.count_by_agent(TENANT, AGENT) == 0
    await until_notified(store)
    assert len(told) == 50


async def test_the_reason_is_what_came_first(make_store: Any, clock: Clock) -> None:
    told: list[Any] = []
    store = make_store(idle_ttl=HOUR, max_sessions=2, on_evict=lambda _, reason: told.append(reason))
    await store.save_many([make_session(), make_session()])
    clock.move(hours=2)
    await store.save_many([make_session() for _ in range(3)])
    await until_notified(store)
    assert told == [EvictionReason.IDLE, EvictionReason.IDLE, EvictionReason.CAP]


async def test_what_on_evict_evicts_is_told_by_the_one_who_tells(make_store: Any) -> None:
    """So calls do not nest, however many follow from one another."""
    depth, deepest, told = 0, 0, []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        told.append(session)
        if len(told) < 300:
            await store.save(make_session())
        depth -= 1

    store = make_store(max_sessions=2, on_evict=on_evict)
    for _ in range(300):
        await store.save(make_session())
    await until_notified(store)
    assert deepest == 1
    assert len(told) >= 300


async def test_an_on_evict_that_was_cancelled_within_is_an_error_of_its_own(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_evict(*_: Any) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    store = make_store(max_sessions=1, on_evict=on_evict)
    for _ in range(3):
        await store.save(make_session())
    await until_notified(store)
    assert caplog.text.count("on_evict was cancelled within") == 2


async def test_closing_waits_for_what_is_being_told(make_indexed: Any, clock: Clock) -> None:
    done: list[Any] = []

    is_closing = asyncio.Event()

    async def on_evict(session: Any, _: EvictionReason) -> None:
        await is_closing.wait()
        done.append(session)

    store = make_indexed(idle_ttl=timedelta(milliseconds=1), on_evict=on_evict)
    sessions = [make_session() for _ in range(3)]
    await store.save_many(sessions)
    async with store:
        clock.move(seconds=1)
        await until(lambda: store._teller)
        asyncio.get_running_loop().call_soon(is_closing.set)  # by then it is closing
    assert done == sessions


async def test_who_is_cancelled_while_closing_is_cancelled(make_store: Any) -> None:
    store = make_store(idle_ttl=HOUR)
    await store.__aenter__()
    closing = asyncio.ensure_future(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not await store.health_check()


# -- arguments --


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"idle_ttl": timedelta(0)}, "idle_ttl"),
        ({"idle_ttl": timedelta(seconds=-1)}, "idle_ttl"),
        ({"idle_ttl": 3600}, "idle_ttl"),
        ({"max_sessions": 0}, "max_sessions"),
        ({"max_sessions": -1}, "max_sessions"),
        ({"max_sessions": 1.5}, "max_sessions"),
        ({"on_evict": "x"}, "on_evict"),
        ({"changes_kept": -1}, "changes_kept"),
        ({"changes_kept": "x"}, "changes_kept"),
    ],
)
def test_odd_options_are_refused(make_store: Any, options: Any, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        make_store(**options)


async def test_a_ttl_beyond_the_calendar_keeps_everything(make_store: Any, clock: Clock) -> None:
    store, session = make_store(idle_ttl=timedelta.max), make_session()
    await store.save(session)
    clock.move(days=10_000)
    assert await store.get(session.session_id) == session
    assert await store.count_by_agent(TENANT, AGENT) == 1
