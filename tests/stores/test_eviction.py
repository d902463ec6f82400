"""Law 17: no query finds an expired session, and a store keeps to its cap."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Channel, EvictionReason, InvalidArgumentError, SessionStatus
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    Clock,
    NotedSession,
    at_step,
    make_session,
)
from tests.support.stores import writer_of
from tests.support.waiting import until, until_notified

HOUR = timedelta(hours=1)


async def _found_of_many(store: Any, session: Any) -> list[Any]:
    return [one for one in await store.get_many([session.session_id]) if one is not None]


QUERIES: dict[str, Any] = {
    "get": lambda store, session: store.get(session.session_id),
    "get of a tenant": lambda store, session: store.get(session.session_id, tenant_id=TENANT),
    "channel": lambda store, _: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "agent and status": lambda store, _: store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
    "customer": lambda store, _: store.list_by_customer(TENANT, CUSTOMER),
    "step": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    "many": _found_of_many,
    "tenant": lambda store, _: store.list_by_tenant(TENANT),
    "all of the channel": lambda store, _: store.list_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "customer and status": lambda store, _: store.list_by_customer(TENANT, CUSTOMER, status=SessionStatus.ACTIVE),
    "first by field": lambda store, _: store.get_by_field(TENANT, "note", "same"),
    "field": lambda store, _: store.list_by_field(TENANT, "note", "same"),
    "count by tenant": lambda store, _: store.count_by_tenant(TENANT),
    "count by channel": lambda store, _: store.count_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "count by field": lambda store, _: store.count_by_field(TENANT, "note", "same"),
    "touch": lambda store, session: store.touch(session.session_id),
    "count by agent": lambda store, _: store.count_by_agent(TENANT, AGENT),
    "count by agent and status": lambda store, _: store.count_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
    "count by customer": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count by step": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    "count steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "delete": lambda store, session: store.delete(session.session_id),
    "erase of the tenant": lambda store, _: store.delete_by_tenant(TENANT),
    "erase of the customer": lambda store, _: store.delete_by_customer(TENANT, CUSTOMER),
    "erase of the channel": lambda store, _: store.delete_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "delete many": lambda store, session: store.delete_many([session.session_id]),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("late", [0, 1])
async def test_a_session_is_gone_once_it_was_idle_for_longer(
    make_store: Any, clock: Clock, query: Any, late: int, *, is_cached: bool
) -> None:
    """An hour after its save all queries find it; a microsecond later none does."""
    store = make_store(idle_ttl=HOUR)
    session = at_step(cls=NotedSession, note="same", customer_profile_id=CUSTOMER)
    await store.save(session)
    for _ in range(2 if is_cached else 0):
        await store.get(session.session_id)
    clock.time = session.last_activity_at + HOUR
    clock.move(microseconds=late)

    assert bool(await query(store, session)) is not bool(late)


async def test_a_session_saved_after_the_clock_stepped_back(make_store: Any, clock: Clock) -> None:
    """It is there, also if its stamp is before instants that the store has seen."""
    store, session = make_store(idle_ttl=HOUR), make_session()
    await store.save(make_session())
    clock.move(hours=5)
    assert await store.count_by_agent(TENANT, AGENT) == 0
    clock.move(hours=-6)
    await store.save(session)

    assert await store.get(session.session_id) == session
    assert await store.list_by_agent(TENANT, AGENT) == [session]
    assert await store.count_by_agent(TENANT, AGENT) == 1


async def test_after_a_clock_was_ahead_sessions_expire_by_the_corrected_clock(make_store: Any, clock: Clock) -> None:
    """Those saved and touched since, each in its time, though their stamps are a year ahead."""
    store = make_store(idle_ttl=HOUR)
    sessions = [make_session() for _ in range(3)]
    clock.move(days=365)
    await store.save_many(sessions)
    clock.move(days=-365)
    await store.save(sessions[1])
    clock.move(minutes=30)
    await store.touch(sessions[2].session_id)

    found = []
    for _ in range(4):
        found.append([one.session_id for one in await store.list_by_tenant(TENANT)])
        assert await store.count_by_tenant(TENANT) == len(found[-1])
        clock.move(minutes=20)
    assert found == [
        [one.session_id for one in left] for left in ([*sessions[::-1]], [*sessions[::-1]], sessions[2:], sessions[2:])
    ]
    assert await store.list_by_tenant(TENANT) == []


async def test_the_id_of_an_expired_session_is_free(make_store: Any, clock: Clock) -> None:
    """It can be saved as new, also by another tenant, and where no session is expected."""
    evicted: list[Any] = []
    store = make_store(idle_ttl=HOUR, on_evict=lambda session, _: evicted.append(session))
    first, second = make_session(), make_session()
    await store.save_many([first, second, first, second])
    assert first.revision == 2
    clock.move(hours=2)
    other = make_session(session_id=first.session_id, tenant_id=OTHER_TENANT)
    await store.save(other, expected_revision=0)
    await store.save_many([second])

    assert other.revision == second.revision == 1
    await until_notified(store)
    assert {session.session_id for session in evicted} == {first.session_id, second.session_id}
    assert await store.get(first.session_id) == other


async def test_each_save_evicts_two_expired_sessions(make_indexed: Any, clock: Clock) -> None:
    store = make_indexed(idle_ttl=HOUR)
    await store.save_many([make_session() for _ in range(20)])
    clock.move(hours=2)
    sizes = []
    for _ in range(12):
        await store.save(make_session())
        sizes.append(store.stats().sessions)

    assert sizes == [*range(19, 9, -1), 11, 12]


async def test_reads_evict_nothing(make_indexed: Any, clock: Clock) -> None:
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


async def test_beyond_the_cap_those_idle_longest_are_evicted(make_store: Any) -> None:
    evicted: list[Any] = []
    store = make_store(max_sessions=3, on_evict=lambda session, reason: evicted.append((session, reason)))
    sessions = [make_session() for _ in range(5)]
    for session in (*sessions[:3], sessions[0], *sessions[3:]):
        await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT) == [sessions[4], sessions[3], sessions[0]]
    await until_notified(store)
    assert evicted == [(sessions[1], EvictionReason.CAP), (sessions[2], EvictionReason.CAP)]


async def test_a_cap_of_one(make_store: Any) -> None:
    store = make_store(max_sessions=1)
    for _ in range(3):
        session = make_session()
        await store.save(session)
        await store.save(session)
        assert await store.list_by_agent(TENANT, AGENT) == [session]


# -- in the background --


async def test_an_open_store_evicts_expired_sessions_by_itself(make_indexed: Any, clock: Clock) -> None:
    evicted: list[Any] = []
    async with make_indexed(
        idle_ttl=timedelta(milliseconds=5), on_evict=lambda session, _: evicted.append(session)
    ) as store:
        sessions = [make_session() for _ in range(200)]
        await store.save_many(sessions)
        clock.move(seconds=1)
        await until(lambda: len(evicted) == 200)
        assert await store.health_check()
        assert store.stats().sessions == 0
    assert evicted == sessions


@pytest.mark.usefixtures("short_slices")
async def test_the_loop_runs_while_a_count_evicts(make_store: Any, clock: Clock) -> None:
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


async def test_a_clock_that_fails_does_not_end_the_background_task(
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
    assert "evicting expired sessions failed" in caplog.text


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
    assert writer_of(store).last_sequence == session.revision == int(was_saved)


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


async def test_bulk_saves_evict_more_than_they_save(make_indexed: Any, clock: Clock) -> None:
    store = make_indexed(idle_ttl=timedelta(seconds=10))
    for _ in range(60):
        await store.save_many([make_session() for _ in range(20)])
        clock.move(seconds=1)

    assert store.stats().sessions <= 12 * 20


async def test_a_task_that_closes_the_store_is_cancelled(make_store: Any) -> None:
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
