"""Moving sessions between stores: `export` and `restore`, both optional."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sessiondex.contract import ReindexProgress, SessionStore
from sessiondex.errors import InvalidArgumentError, InvalidSessionError, TenantMismatchError
from sessiondex.models import Session
from sessiondex.testing.builders import START, every_field
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import Marked
from sessiondex.testing.cases.pages import take
from sessiondex.testing.expectations import expect, expect_error, expect_increasing

MICROSECOND = timedelta(microseconds=1)


async def _export_all(context: CaseContext, store: SessionStore[Any], limit: int) -> list[Any]:
    """Return all sessions of this context's tenants that the store exports, page by page, sorted by id."""
    found, cursor, owners = [], None, {context.tenant_id, context.other_tenant_id}
    while True:
        page, cursor = await store.export(cursor=cursor, limit=limit)
        expect(len(page) <= limit, True, f"whether a page of export has at most {limit}")
        found += [session for session in page if session.tenant_id in owners]
        if cursor is None:
            return sorted(found, key=lambda session: session.session_id.bytes)


def _make_saved(context: CaseContext, number: int, **fields: Any) -> Session:
    """Return a session as another store would have saved it, `number` minutes ago."""
    stamp = START - timedelta(minutes=number)
    session: Session = context.session(**every_field(last_activity_at=stamp, revision=number, **fields))
    return session


@case(None)
async def export_gives_all_sessions_once(context: CaseContext) -> None:
    """`export` returns the sessions of all tenants as they were saved, each once, with any page size."""
    store, sessions = await context.store(), [context.session(**every_field()) for _ in range(10)]
    sessions += [context.session(tenant_id=context.other_tenant_id) for _ in range(3)]
    await store.save_many(sessions)
    sessions.sort(key=lambda session: session.session_id.bytes)
    for limit in (1, 4, 100):
        expect(
            await _export_all(context, store, limit), sessions, f"the sessions that export returns, {limit} at a time"
        )


@case(None)
async def restore_keeps_stamps_and_revisions(context: CaseContext) -> None:
    """Every query finds a restored session with its stamp and revision, and the next save counts on from there."""
    store, session = await context.store(), _make_saved(context, 7)
    expect(await store.restore([session]), 1, "the result of restore")
    await _expect_found(store, session, "after restore")
    expect(await store.restore([session]), 0, "the result of restore for a session that is stored")
    await store.save(session, expected_revision=7)
    expect(session.revision, 8, "the revision of the save after that")


async def _expect_found(store: SessionStore[Any], session: Session, what: str) -> None:
    """Expect the queries that find a session which is at no step to return it."""
    identity = session.tenant_id, session.channel, session.user_channel_id
    expect(await store.get(session.session_id), session, f"get, {what}")
    expect(await store.get_by_channel(*identity), session, f"get_by_channel, {what}")
    expect(await store.list_by_agent(session.tenant_id, session.agent_id), [session], f"list_by_agent, {what}")


@case(None)
async def restore_leaves_later_saves_alone(context: CaseContext) -> None:
    """`restore` replaces an earlier save in every index, and skips a session with a later one."""
    store, session = await context.store(), _make_saved(context, 2)
    later = session.model_copy(update={"last_activity_at": START, "revision": 5, "agent_id": context.other_agent_id})
    for given, count in ((session, 1), (later, 1), (session, 0)):
        expect(await store.restore([given]), count, f"the result of restore for revision {given.revision}")
    await _expect_found(store, later, "after an earlier one was restored")
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [], "list_by_agent of the agent before")


@case(None)
async def restored_sessions_are_in_order_of_their_stamps(context: CaseContext) -> None:
    """Restored sessions are listed by stamp, in whatever order they come, also in several calls."""
    store, sessions = await context.store(), [_make_saved(context, number) for number in (3, 1, 4, 2, 5)]
    await store.restore(sessions[:3])
    await store.restore(sessions[3:])
    expected = sorted(sessions, key=lambda session: session.last_activity_at, reverse=True)
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), expected, "list_by_agent, after restore")


@case(1)
async def saves_after_a_restore_have_later_stamps(context: CaseContext) -> None:
    """A save is later than every session restored before, also if its stamp was moved or lies in the future."""
    store, stamps = await context.store(), [START + timedelta(days=20_000, hours=hours) for hours in (1, 2, 2, 0)]
    await store.restore([context.session(last_activity_at=stamp, revision=1) for stamp in stamps])
    single, batch = context.session(), [context.session() for _ in range(3)]
    await store.save(single)
    await store.save_many(batch)
    saved = [session.last_activity_at for session in (single, *batch)]
    expect_increasing([START + timedelta(days=20_000, hours=2, microseconds=1), *saved], "stamps after a restore")
    listed = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(listed[:4], [*reversed(batch), single], "the newest of list_by_agent, after a restore and four saves")


@case(None)
async def restore_refuses_invalid_and_unsaved_sessions(context: CaseContext) -> None:
    """The error names the field, a note gives the number of the session, and nothing is saved."""
    store, good = await context.store(), _make_saved(context, 1)
    bad = _make_saved(context, 2)
    bad.variables["x"] = float("nan")
    for spoilt, field in ((context.session(), "revision"), (bad, "variables")):
        with expect_error(InvalidSessionError, f"restoring a session with a bad {field}") as caught:
            await store.restore([good, spoilt])
        expect((caught.error.field or "").partition(".")[0], field, "field of the error")
        notes = " ".join(getattr(caught.error, "__notes__", []))
        expect("number 1" in notes, True, f"whether a note ({notes!r}) gives the number 1")
    expect(await store.get(good.session_id), None, "get of a session of the refused call")


@case(7)
async def restore_refuses_an_id_of_another_tenant(context: CaseContext) -> None:
    """`TenantMismatchError` is raised, and the stored session stays."""
    store, theirs = await context.store(), context.session(tenant_id=context.other_tenant_id)
    await store.save(theirs)
    with expect_error(TenantMismatchError, "restoring a session whose id another tenant has"):
        await store.restore([_make_saved(context, 1, session_id=theirs.session_id)])
    expect(await store.get(theirs.session_id), theirs, "get of the other tenant's session")


@case(7)
async def restore_refuses_one_id_for_two_tenants(context: CaseContext) -> None:
    """`TenantMismatchError` names the id, a note gives the number of the second session, and nothing is saved."""
    store = await context.store()
    for first, second in ((1, 2), (2, 1)):  # the stamps: the later session may come first or last
        mine, good = _make_saved(context, first), _make_saved(context, 3)
        theirs = _make_saved(context, second, session_id=mine.session_id, tenant_id=context.other_tenant_id)
        with expect_error(TenantMismatchError, "restoring one id for two tenants") as caught:
            await store.restore([mine, good, theirs])
        expect(caught.error.session_id, mine.session_id, "session_id of the error")
        notes = " ".join(getattr(caught.error, "__notes__", []))
        expect("number 2" in notes, True, f"whether a note ({notes!r}) gives the number 2")
        for session in (mine, good):
            expect(await store.get(session.session_id), None, "get, after a restore that was refused")


def _make_equal_stamps(context: CaseContext) -> list[Session]:
    """Return saved sessions of one agent and customer: five with one stamp, and one of a microsecond later."""
    stamps = [START] * 5 + [START + MICROSECOND]
    return [context.session(customer_profile_id=context.customer_id, last_activity_at=at, revision=2) for at in stamps]


@case(1)
async def restored_sessions_with_equal_stamps_get_distinct_stamps(context: CaseContext) -> None:
    """`restore` moves a stamp that another session of the tenant has to the next free microsecond."""
    store, sessions = await context.store(), _make_equal_stamps(context)
    theirs = context.session(tenant_id=context.other_tenant_id, last_activity_at=START, revision=1)
    expect(await store.restore(sessions[:3]), 3, "the result of restore for three sessions with one stamp")
    expect(await store.restore([theirs, *sessions[3:]]), 4, "the result of restore for four more sessions")
    stored = await store.list_by_agent(context.tenant_id, context.agent_id)
    stamps = [session.last_activity_at for session in stored]
    expect(stamps, [START + number * MICROSECOND for number in range(5, -1, -1)], "stamps of the restored sessions")
    found = await context.get_stored(store, theirs.session_id)
    expect(found.last_activity_at, START, "stamp of the other tenant's session")


@case(15)
async def pages_and_counts_include_sessions_restored_with_equal_stamps(context: CaseContext) -> None:
    """Iterators with any page size give all of them, and counts equal the lists."""
    store, sessions = await context.store(), _make_equal_stamps(context)
    await store.restore(sessions)
    ids = sorted(session.session_id for session in sessions)
    agent, customer = (context.tenant_id, context.agent_id), (context.tenant_id, context.customer_id)
    for size in (1, 2, 10):
        for name, pages in (
            ("iter_by_agent", store.iter_by_agent(*agent, page_size=size)),
            ("iter_by_customer", store.iter_by_customer(*customer, page_size=size)),
        ):
            seen = [session.session_id async for session in take(2 * len(ids), pages)]
            expect(sorted(seen), ids, f"ids from {name}, pages of {size}")
    expect(await store.count_by_agent(*agent), len(ids), "count_by_agent")
    expect(await store.count_by_customer(*customer), len(ids), "count_by_customer")


@case(None)
async def a_copy_of_a_copy_is_identical(context: CaseContext) -> None:
    """Sessions that are moved on to a second and a third store keep their stamps and revisions."""
    source = await context.store()
    await source.restore(_make_equal_stamps(context))
    await source.save_many([context.session(**every_field()) for _ in range(3)])
    expected = await _export_all(context, source, 4)
    for number in (2, 3):
        target = await context.store()
        await target.restore(await _export_all(context, source, 4))
        expect(await _export_all(context, target, 4), expected, f"the sessions of store number {number}")
        source = target


@case(None)
async def restoring_twice_changes_nothing(context: CaseContext) -> None:
    """The second call returns 0, also for sessions whose stamps were moved, in any order."""
    store, sessions = await context.store(), _make_equal_stamps(context)
    await store.restore(sessions)
    expected = await _export_all(context, store, 10)
    for given in (sessions, sessions[::-1], expected):
        expect(await store.restore(given), 0, "the result of the second restore")
        expect(await _export_all(context, store, 10), expected, "the sessions after the second restore")


@case(11)
async def export_and_restore_refuse_bad_arguments(context: CaseContext) -> None:
    """A limit below 1, an invalid cursor or an object that is no iterable raises `InvalidArgumentError`."""
    store: Any = await context.store()
    calls: list[tuple[str, Any, dict[str, Any]]] = [
        ("limit", store.export, {"limit": 0}),
        ("limit", store.export, {"limit": "5"}),
        ("cursor", store.export, {"cursor": "x"}),
        ("cursor", store.export, {"cursor": uuid4()}),
        ("sessions", store.restore, {"sessions": 5}),
        ("sessions", store.restore, {"sessions": context.session()}),
    ]
    for name, call, arguments in calls:
        with expect_error(InvalidArgumentError, f"a bad {name}") as caught:
            await call(**arguments)
        expect(caught.error.argument, name, "argument of the error")


@case(17, "clock", "idle_ttl")
async def export_and_restore_skip_expired_sessions(context: CaseContext) -> None:
    """An expired session is not exported and not restored."""
    store, session = await context.store(clock=context.clock, idle_ttl=timedelta(hours=1)), context.session()
    await store.save(session)
    context.clock.move(hours=2)
    expect(await _export_all(context, store, 10), [], "export, after the session has expired")
    expect(await store.restore([session]), 0, "the result of restore for an expired session")
    expect(await store.get(session.session_id), None, "get of an expired session")


@case(None)
async def reindex_changes_no_session(context: CaseContext) -> None:
    """Sessions, stamps and indexes stay as they are, and `progress`, also a coroutine function, sees the end."""
    store, seen = await context.store(), list[ReindexProgress]()
    sessions = [context.session(Marked, mark="x", turn_count=number) for number in range(3)]
    await store.save_many(sessions)

    async def progress(done: ReindexProgress) -> None:
        await asyncio.sleep(0)
        seen.append(done)

    done = await store.reindex(progress=progress)
    expect(done.reindexed <= done.read, True, f"whether {done} reindexed no more than it read")
    expect(seen[-1:] or [done], [done], "the last progress, if there was any")
    expect(await store.list_by_field(context.tenant_id, "mark", "x"), sessions[::-1], "list_by_field, after reindex")
    expect(await store.count_by_field(context.tenant_id, "mark", "x"), 3, "count_by_field, after reindex")
    with expect_error(InvalidArgumentError, "reindex with a progress that cannot be called") as caught:
        await store.reindex(progress=5)  # type: ignore[arg-type]  # the mistake
    expect(caught.error.argument, "progress", "argument of the error")


@case(None)
async def restored_sessions_are_found_by_own_fields(context: CaseContext) -> None:
    """`restore` moves a session from its earlier items to its later ones."""
    store, session = await context.store(), context.session(Marked, mark="x", last_activity_at=START, revision=1)
    await store.restore([session])
    expect(await store.list_by_field(context.tenant_id, "mark", "x"), [session], "list_by_field, after restore")
    later = session.model_copy(update={"mark": "y", "revision": 2})
    await store.restore([later])
    for mark, expected in (("x", []), ("y", [later])):
        expect(await store.list_by_field(context.tenant_id, "mark", mark), expected, f"list_by_field of {mark}")
        expect(await store.count_by_field(context.tenant_id, "mark", mark), len(expected), f"count_by_field of {mark}")
