"""Law 17: expired sessions are invisible, and the cap is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from sessiondex.changes import EvictionReason
from sessiondex.errors import InvalidArgumentError, SessionNotFoundError
from sessiondex.testing.builders import START
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import COUNTS, LISTS, SINGLE, Marked, Query, expect_in_all_queries
from sessiondex.testing.expectations import expect, expect_error

HOUR = timedelta(hours=1)

BY_ID: dict[str, Query] = {
    "delete": lambda store, session: store.delete(session.session_id),
    "delete_many": lambda store, session: store.delete_many([session.session_id]),
    "count_steps": lambda store, session: store.count_steps(session.tenant_id, session.active_scenario_id, 1),  # type: ignore[arg-type]  # not None here
}


def _expiry_case(name: str, query: Query) -> Case:
    async def run(context: CaseContext) -> None:
        for late in (0, 1):
            store, session = await context.store(clock=context.clock, idle_ttl=HOUR), context.at_step()
            await store.save(session)
            context.clock.time = session.last_activity_at + HOUR
            context.clock.move(microseconds=late)
            there = bool(await query(store, session))
            expect(there, not late, f"{name}, whether it finds a session {late} µs after it was idle for the ttl")

    case_name = f"{name.replace(' ', '-').replace('_', '-')}-sees-nothing-that-has-expired"
    promise = "A session is visible until it has been idle for `idle_ttl`, and invisible a microsecond later."
    return case(17, "clock", "idle_ttl", name=case_name, promise=promise)(run)


GONE = tuple(_expiry_case(name, query) for name, query in {**SINGLE, **LISTS, **COUNTS, **BY_ID}.items())


@case(17, "clock", "idle_ttl")
async def a_save_restarts_the_idle_time(context: CaseContext) -> None:
    """The idle time of a session starts at its last save."""
    store, session = await context.store(clock=context.clock, idle_ttl=HOUR), context.at_step()
    for _ in range(4):
        await store.save(session)
        context.clock.move(minutes=50)
        await expect_in_all_queries(store, session, [session], "50 minutes after a save, of an hour to live")
    context.clock.move(minutes=11)
    await expect_in_all_queries(store, session, [], "61 minutes after a save, of an hour to live")


@case(17, "clock", "idle_ttl")
async def the_id_of_an_expired_session_is_free(context: CaseContext) -> None:
    """A save that expects no session succeeds, for any tenant, and the revision starts at 1."""
    store = await context.store(clock=context.clock, idle_ttl=HOUR)
    first, second = context.session(), context.session()
    for session in (first, second, first, second):
        await store.save(session)
    context.clock.move(hours=2)
    other = context.session(session_id=first.session_id, tenant_id=context.other_tenant_id)
    await store.save(other, expected_revision=0)
    await store.save(second)
    expect((other.revision, second.revision), (1, 1), "revisions of what was saved in place of expired sessions")
    expect(await store.get(first.session_id), other, "get of the id that another tenant has now")


@case(17, "clock", "idle_ttl")
async def get_or_create_and_update_skip_expired_sessions(context: CaseContext) -> None:
    """`get_or_create` creates a new session, and `update` raises `SessionNotFoundError`."""
    store, session = await context.store(clock=context.clock, idle_ttl=HOUR), context.session()
    await store.save(session)
    context.clock.move(hours=2)
    identity = session.tenant_id, session.channel, session.user_channel_id
    made, was_created = await store.get_or_create(*identity, context.session)
    expect(was_created, True, "whether get_or_create creates when the session has expired")
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [made], "list_by_agent, after that")
    with expect_error(SessionNotFoundError, "update of a session that has expired"):
        await store.update(session.session_id, lambda _: None)


@case(17, "clock", "idle_ttl")
async def pages_end_where_sessions_have_expired(context: CaseContext) -> None:
    """Lists, pages, iterators and counts omit the same sessions."""
    store, sessions = await context.store(clock=context.clock, idle_ttl=HOUR), []
    for _ in range(30):
        sessions.append(context.session())
        await store.save(sessions[-1])
        context.clock.move(minutes=4)
    young = sessions[:14:-1]
    context.clock.time = young[-1].last_activity_at + HOUR
    identity = context.tenant_id, context.agent_id
    expect(await store.list_by_agent(*identity), young, "list_by_agent")
    page = await store.list_by_agent(*identity, limit=5, before=young[-3].last_activity_at)
    expect(page, young[-2:], "the last page of list_by_agent")
    seen = [session async for session in store.iter_by_agent(*identity, page_size=4)]
    expect(seen, young, "iter_by_agent")
    expect(await store.count_by_agent(*identity), 15, "count_by_agent")


@case(17, "clock", "idle_ttl")
async def after_the_clock_was_ahead_sessions_expire_by_the_corrected_clock(context: CaseContext) -> None:
    """If the clock is a year ahead at one save, sessions saved after its correction expire in time, and none before."""
    store = await context.store(clock=context.clock, idle_ttl=HOUR)
    ahead, early, late = (context.at_step(user_channel_id=f"user-{number}") for number in range(3))
    context.clock.move(days=365)
    await store.save(ahead)
    context.clock.move(days=-365)
    await store.save(early)
    context.clock.move(minutes=50)
    for session in (early, ahead):
        expect(await store.get(session.session_id), session, "get, 50 minutes after the clock was corrected")
    await store.save(late)
    # A session may expire somewhat later while stamps are ahead of the clock, so these are far from the limit.
    context.clock.move(minutes=30)
    found = await store.list_by_tenant(context.tenant_id)
    expect(found, [late], "list_by_tenant, 80 and 30 minutes after the saves, of an hour to live")
    expect(await store.count_by_tenant(context.tenant_id), 1, "count_by_tenant, after that")
    await expect_in_all_queries(store, late, [late], "30 minutes after a save, of an hour to live")
    context.clock.move(minutes=60)
    await expect_in_all_queries(store, late, [], "90 minutes after a save, of an hour to live")


@case(17, "clock", "idle_ttl", "on_evict")
async def on_evict_is_called_for_each_expired_session(context: CaseContext) -> None:
    """`on_evict` gets a copy of each expired session once, with the reason, before `aclose` returns."""
    calls: list[Any] = []

    async def on_evict(session: Any, reason: EvictionReason) -> None:
        await asyncio.sleep(0)
        calls.append((session, reason))

    store = await context.store(clock=context.clock, idle_ttl=HOUR, on_evict=on_evict)
    sessions = [context.session() for _ in range(5)]
    for session in sessions:
        await store.save(session)
    context.clock.move(hours=2)
    expect(await store.count_by_agent(context.tenant_id, context.agent_id), 0, "count_by_agent, when all have expired")
    await store.aclose()
    expect(calls, [(session, EvictionReason.IDLE) for session in sessions], "the calls of on_evict")


@case(17, "max_sessions")
async def the_cap_evicts_the_longest_idle_sessions(context: CaseContext) -> None:
    """A write that exceeds the cap evicts the sessions that were idle longest from every index, in the same step."""
    store = await context.store(max_sessions=3)
    sessions: list[Any] = [context.at_step(cls=Marked, mark="x") for _ in range(5)]
    for session in (*sessions[:3], sessions[0], *sessions[3:]):
        await store.save(session)
    left = [sessions[4], sessions[3], sessions[0]]
    for name, query in LISTS.items():
        expect(await query(store, sessions[0]), left, f"{name}, with a cap of 3")
    for name, query in COUNTS.items():
        expect(await query(store, sessions[0]), 3, f"{name}, with a cap of 3")
    expect(await store.list_by_field(context.tenant_id, "mark", "x"), left, "list_by_field, with a cap of 3")
    for session in sessions[1:3]:
        expect(await store.get(session.session_id), None, "get of an evicted session")


@case(17, "max_sessions")
async def the_cap_applies_to_bulk_saves(context: CaseContext) -> None:
    """Of a batch larger than the cap the last sessions stay."""
    store, sessions = await context.store(max_sessions=10), [context.session() for _ in range(35)]
    await store.save_many(sessions[:25])
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(found, sessions[24:14:-1], "list_by_agent after save_many of 25, with a cap of 10")
    await store.load(sessions[25:], batch=4)
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(found, sessions[:24:-1], "list_by_agent after load of 10 more, with a cap of 10")


@case(17, "max_sessions")
async def restore_keeps_to_the_cap(context: CaseContext) -> None:
    """Of restored and stored sessions those with the latest stamps stay, in whatever order they are restored."""
    store = await context.store(max_sessions=3)
    sessions = [
        context.session(last_activity_at=START + timedelta(minutes=number), revision=1) for number in (4, 6, 1, 5, 2)
    ]
    await store.restore(sessions)
    expected = [sessions[1], sessions[3], sessions[0]]
    identity = context.tenant_id, context.agent_id
    expect(await store.list_by_agent(*identity), expected, "list_by_agent after a restore of 5, with a cap of 3")
    newer, older = (
        context.session(last_activity_at=START + timedelta(minutes=number), revision=1) for number in (7, 3)
    )
    await store.restore([newer, older])
    found = await store.list_by_agent(*identity)
    expect(found, [newer, *expected[:2]], "list_by_agent after a restore of a later and an earlier session")
    expect(await store.count_by_agent(*identity), 3, "count_by_agent, after that")


@case(17, "max_sessions", "on_evict")
async def on_evict_is_called_for_each_session_over_the_cap(context: CaseContext) -> None:
    """`on_evict` is called in the order of eviction, with the reason; its error does not fail the write."""
    calls: list[Any] = []

    def on_evict(session: Any, reason: EvictionReason) -> None:
        calls.append((session, reason))
        if len(calls) == 1:
            raise ZeroDivisionError("raised by on_evict on purpose; the store logs it")

    store, sessions = await context.store(max_sessions=1, on_evict=on_evict), [context.session() for _ in range(3)]
    for session in sessions:
        await store.save(session)
    await store.aclose()
    expect(calls, [(session, EvictionReason.CAP) for session in sessions[:2]], "the calls of on_evict")


@case(17, "max_sessions", "on_evict")
async def aclose_returns_after_the_last_call_of_on_evict(context: CaseContext) -> None:
    """`aclose` waits until `on_evict` has returned for every evicted session, also for those not yet reported."""
    calls: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        for _turn in range(3):
            await asyncio.sleep(0)
        calls.append(session.session_id)

    store, sessions = await context.store(max_sessions=2, on_evict=on_evict), [context.session() for _ in range(12)]
    await store.save_many(sessions)
    await store.aclose()
    expected = [session.session_id for session in sessions[:10]]
    expect(list(calls), expected, "the ids passed to on_evict before aclose returned")
    for _turn in range(50):
        await asyncio.sleep(0)
    expect(calls, expected, "the ids passed to on_evict, some time after aclose returned")


@case(17, "max_sessions", "on_evict")
async def on_evict_may_use_the_store(context: CaseContext) -> None:
    """No lock is held while it runs: it does not find the evicted session, and may save another."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_evict(session: Any, _: EvictionReason) -> None:
        if not done.done():
            try:
                found = await store.get(session.session_id)
                await store.save(sessions[1])
                done.set_result(found)
            except Exception as error:  # noqa: BLE001  # fails the case; the store would only log it
                done.set_exception(error)

    store, sessions = await context.store(max_sessions=1, on_evict=on_evict), [context.session() for _ in range(2)]
    for session in sessions:
        await store.save(session)
    expect(await done, None, "get, of the session that is passed to on_evict")
    expect(
        (await context.get_stored(store, sessions[1].session_id)).revision,
        2,
        "the revision of the session that on_evict saved",
    )


async def _expect_refused(context: CaseContext, name: str, values: list[Any]) -> None:
    for value in values:
        with expect_error(InvalidArgumentError, f"making a store with {name}={value!r}") as caught:
            await context.store(**{name: value})
        expect(caught.error.argument, name, "argument of the error")


@case(17, "idle_ttl")
async def an_invalid_idle_ttl_is_refused(context: CaseContext) -> None:
    """`idle_ttl` must be a positive `timedelta`."""
    await _expect_refused(context, "idle_ttl", [timedelta(0), timedelta(seconds=-1), 3600])


@case(17, "max_sessions")
async def an_invalid_cap_is_refused(context: CaseContext) -> None:
    """`max_sessions` must be an `int` of at least 1."""
    await _expect_refused(context, "max_sessions", [0, -1, 1.5])
