"""Law 17: expired is gone, and a cap is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from sessiondex.contract import EvictionReason
from sessiondex.errors import InvalidArgumentError, SessionNotFoundError
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.everywhere import COUNTS, LISTS, SINGLE, Query, expect_everywhere
from sessiondex.testing.expectations import expect, expect_error

HOUR = timedelta(hours=1)

BY_ID: dict[str, Query] = {
    "delete": lambda store, session: store.delete(session.session_id),
    "delete_many": lambda store, session: store.delete_many([session.session_id]),
    "count_steps": lambda store, session: store.count_steps(session.tenant_id, session.active_scenario_id, 1),  # type: ignore[arg-type]  # it has one
}


def _gone(name: str, query: Query) -> Case:
    async def run(context: CaseContext) -> None:
        for late in (0, 1):
            store, session = await context.store(clock=context.clock, idle_ttl=HOUR), context.at_step()
            await store.save(session)
            context.clock.time = session.last_activity_at + HOUR
            context.clock.move(microseconds=late)
            there = bool(await query(store, session))
            expect(there, not late, f"{name}, whether it sees a session {late} µs after it was idle for the ttl")

    called = f"{name.replace(' ', '-').replace('_', '-')}-sees-nothing-that-has-expired"
    promise = "A session is there until it has been idle for `idle_ttl`, and from a microsecond later on it is gone."
    return case(17, "clock", "idle_ttl", name=called, promise=promise)(run)


GONE = tuple(_gone(name, query) for name, query in {**SINGLE, **LISTS, **COUNTS, **BY_ID}.items())


@case(17, "clock", "idle_ttl")
async def a_save_restarts_the_idle_time(context: CaseContext) -> None:
    """Idle time is counted from the last save."""
    store, session = await context.store(clock=context.clock, idle_ttl=HOUR), context.at_step()
    for _ in range(4):
        await store.save(session)
        context.clock.move(minutes=50)
        await expect_everywhere(store, session, [session], "50 minutes after a save, of an hour to live")
    context.clock.move(minutes=11)
    await expect_everywhere(store, session, [], "61 minutes after a save, of an hour to live")


@case(17, "clock", "idle_ttl")
async def the_id_of_an_expired_session_is_free(context: CaseContext) -> None:
    """Its id is free: for a save that expects none, and for any tenant; revisions begin at 1."""
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
    """`get_or_create` creates another, and `update` finds none."""
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
    """Lists, pages, iterators and counts have the same sessions."""
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


@case(17, "clock", "idle_ttl", "on_evict")
async def on_evict_is_called_for_each_expired_session(context: CaseContext) -> None:
    """Once, with a copy of the session and the reason; by the time that the store is closed, of all."""
    told: list[Any] = []

    async def on_evict(session: Any, reason: EvictionReason) -> None:
        await asyncio.sleep(0)
        told.append((session, reason))

    store = await context.store(clock=context.clock, idle_ttl=HOUR, on_evict=on_evict)
    sessions = [context.session() for _ in range(5)]
    for session in sessions:
        await store.save(session)
    context.clock.move(hours=2)
    expect(await store.count_by_agent(context.tenant_id, context.agent_id), 0, "count_by_agent, when all have expired")
    await store.aclose()
    expect(told, [(session, EvictionReason.IDLE) for session in sessions], "what on_evict was told")


@case(17, "max_sessions")
async def the_cap_evicts_the_longest_idle_sessions(context: CaseContext) -> None:
    """A write that makes for more lets those go that were idle longest, at once, from every index."""
    store, sessions = await context.store(max_sessions=3), [context.at_step() for _ in range(5)]
    for session in (*sessions[:3], sessions[0], *sessions[3:]):
        await store.save(session)
    left = [sessions[4], sessions[3], sessions[0]]
    for name, query in LISTS.items():
        expect(await query(store, sessions[0]), left, f"{name}, with a cap of 3")
    for name, query in COUNTS.items():
        expect(await query(store, sessions[0]), 3, f"{name}, with a cap of 3")
    for session in sessions[1:3]:
        expect(await store.get(session.session_id), None, "get of one that was let go")


@case(17, "max_sessions")
async def the_cap_applies_to_bulk_saves(context: CaseContext) -> None:
    """Of a batch of more than the cap its last ones stay."""
    store, sessions = await context.store(max_sessions=10), [context.session() for _ in range(35)]
    await store.save_many(sessions[:25])
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(found, sessions[24:14:-1], "list_by_agent after save_many of 25, with a cap of 10")
    await store.load(sessions[25:], batch=4)
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(found, sessions[:24:-1], "list_by_agent after load of 10 more, with a cap of 10")


@case(17, "max_sessions", "on_evict")
async def on_evict_is_called_for_each_session_over_the_cap(context: CaseContext) -> None:
    """In the order in which they went, and with the reason; what it raises fails no write."""
    told: list[Any] = []

    def on_evict(session: Any, reason: EvictionReason) -> None:
        told.append((session, reason))
        if len(told) == 1:
            raise ZeroDivisionError("of on_evict: this is logged, and expected")

    store, sessions = await context.store(max_sessions=1, on_evict=on_evict), [context.session() for _ in range(3)]
    for session in sessions:
        await store.save(session)
    await store.aclose()
    expect(told, [(session, EvictionReason.CAP) for session in sessions[:2]], "what on_evict was told")


@case(17, "max_sessions", "on_evict")
async def on_evict_may_use_the_store(context: CaseContext) -> None:
    """No lock is held while it runs: it finds that the session is gone, and may save another."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def on_evict(session: Any, _: EvictionReason) -> None:
        if not done.done():
            try:
                found = await store.get(session.session_id)
                await store.save(sessions[1])
                done.set_result(found)
            except Exception as error:  # noqa: BLE001  # it fails the case, and is not only logged
                done.set_exception(error)

    store, sessions = await context.store(max_sessions=1, on_evict=on_evict), [context.session() for _ in range(2)]
    for session in sessions:
        await store.save(session)
    expect(await done, None, "what get answers of the session that on_evict is told of")
    expect((await context.get_stored(store, sessions[1].session_id)).revision, 2, "the revision of what on_evict saved")


async def _expect_refused(context: CaseContext, name: str, values: list[Any]) -> None:
    for value in values:
        with expect_error(InvalidArgumentError, f"making a store with {name}={value!r}") as caught:
            await context.store(**{name: value})
        expect(caught.error.argument, name, "argument of the error")


@case(17, "idle_ttl")
async def an_invalid_idle_ttl_is_refused(context: CaseContext) -> None:
    """One that is not longer than nothing, or no `timedelta`."""
    await _expect_refused(context, "idle_ttl", [timedelta(0), timedelta(seconds=-1), 3600])


@case(17, "max_sessions")
async def an_invalid_cap_is_refused(context: CaseContext) -> None:
    """One that is less than 1, or no `int`."""
    await _expect_refused(context, "max_sessions", [0, -1, 1.5])
