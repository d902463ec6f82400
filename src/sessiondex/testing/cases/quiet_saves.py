"""Saves that are no activity, by `touch=False`, and activity that is no save, by `touch`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from sessiondex.changes import ChangeKind
from sessiondex.contract import SessionStore
from sessiondex.errors import ConflictError
from sessiondex.models import Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import LISTS, Marked, expect_in_all_queries
from sessiondex.testing.expectations import expect, expect_error, expect_increasing

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


async def _save_some(context: CaseContext, store: SessionStore[Any], count: int = 5) -> list[Session]:
    """Save sessions that are alike, one after another, and return them, newest first."""
    sessions = [context.at_step(turn_count=number) for number in range(count)]
    for session in sessions:
        await store.save(session)
    return sessions[::-1]


async def _expect_order(store: SessionStore[Any], sessions: list[Session], what: str) -> None:
    for name, query in LISTS.items():
        expect(await query(store, sessions[0]), sessions, f"{name}, {what}")
    newest = await store.get_by_channel(sessions[0].tenant_id, sessions[0].channel, sessions[0].user_channel_id)
    expect(newest, sessions[0], f"get_by_channel, {what}")


async def _copy(source: SessionStore[Any], target: SessionStore[Any]) -> None:
    """Copy all sessions, as `copy_sessions` does."""
    cursor = None
    while True:
        page, cursor = await source.export(cursor=cursor)
        await target.restore(page)
        if cursor is None:
            return


@case(1)
async def a_save_without_touch_keeps_the_stamp(context: CaseContext) -> None:
    """The stored and the given session keep the stamp and get a new revision, and the session its place in lists."""
    store = await context.store()
    sessions = await _save_some(context, store)
    for number, session in enumerate(sessions):
        before = session.last_activity_at
        session.turn_count = 50 + number
        await store.save(session, touch=False, expected_revision=1)
        expect(session.last_activity_at, before, "the stamp of what was saved without touch")
        expect(session.revision, 2, "the revision of what was saved without touch")
        expect(await store.get(session.session_id), session, "get, after a save without touch")
    await _expect_order(store, sessions, "after all were saved without touch")
    moved, *rest = sessions[3], *sessions[:3], *sessions[4:]
    await store.save(moved)
    expect_increasing([sessions[0].last_activity_at, moved.last_activity_at], "stamps, the last one by a save")
    await _expect_order(store, [moved, *rest], "after one was saved with touch")


@case(1)
async def a_stale_session_gets_the_stored_stamp_without_touch(context: CaseContext) -> None:
    """The stamp of the given session does not matter: it gets the stored one."""
    store, session = await context.store(), context.session()
    await store.save(session)
    stale = session.model_copy(deep=True)
    await store.save(session)
    for stamp in (stale.last_activity_at, stale.last_activity_at + timedelta(days=9)):
        stale.last_activity_at = stamp
        await store.save(stale, touch=False)
        expect(stale.last_activity_at, session.last_activity_at, "the stamp of a stale session, saved without touch")
        expect(await store.get(session.session_id), stale, "get, after that")


@case(1)
async def a_new_session_gets_a_stamp_without_touch(context: CaseContext) -> None:
    """A session that is not stored, or not any more, gets a stamp later than all others."""
    store = await context.store()
    sessions = await _save_some(context, store, 3)
    given = context.at_step()
    old = given.last_activity_at
    for _ in range(2):
        await store.save(given, touch=False)
        latest = max(session.last_activity_at for session in sessions)
        expect_increasing([latest, given.last_activity_at], "stamps, the last one of a new session, without touch")
        expect(given.revision, 1, "the revision of a new session, saved without touch")
        await _expect_order(store, [given, *sessions], "after a new session was saved without touch")
        await store.delete(given.session_id)
        given.last_activity_at = old
        await store.save(sessions[-1])
        sessions = [sessions[-1], *sessions[:-1]]


@case(1)
async def a_batch_without_touch_keeps_stamps(context: CaseContext) -> None:
    """Stored sessions keep their stamps, new ones get stamps in the given order, also if one comes twice."""
    store = await context.store()
    stored = await _save_some(context, store, 3)
    first, second = context.at_step(), context.at_step()
    again = first.model_copy(update={"turn_count": 9}, deep=True)
    stamps = [session.last_activity_at for session in stored]
    await store.save_many([stored[1], first, stored[0], second, again, stored[2], stored[1]], touch=False)
    expect([session.last_activity_at for session in stored], stamps, "stamps of sessions that were stored")
    expect([session.revision for session in stored], [2, 3, 2], "revisions of sessions that were stored")
    news = [max(stamps), first.last_activity_at, second.last_activity_at]
    expect_increasing(news, "the latest stamp before the batch, and those of the new sessions")
    expect((again.last_activity_at, again.revision), (first.last_activity_at, 2), "a new session that came twice")
    await _expect_order(store, [second, again, *stored], "after a batch without touch")


@case(1)
async def an_update_without_touch_keeps_the_stamp(context: CaseContext) -> None:
    """The changed session keeps stamp and place; by default an update is activity."""
    store = await context.store()
    newest, middle, oldest = await _save_some(context, store, 3)
    changed = await store.update(middle.session_id, lambda one: one.variables.update(seen=True), touch=False)
    expect((changed.last_activity_at, changed.revision), (middle.last_activity_at, 2), "stamp and revision")
    expect(changed.variables, {"seen": True}, "variables of the changed session")
    await _expect_order(store, [newest, changed, oldest], "after an update without touch")
    again = await store.update(middle.session_id, lambda one: one.variables.clear())
    await _expect_order(store, [again, newest, oldest], "after an update")


@case(1)
async def a_touch_gives_a_new_stamp_and_keeps_the_revision(context: CaseContext) -> None:
    """The touched session comes first in every list, and nothing else of it changes."""
    store = await context.store()
    sessions = await _save_some(context, store, 4)
    for session in (sessions[2], sessions[0], sessions[2]):
        latest = (await store.list_by_tenant(context.tenant_id, limit=1))[0].last_activity_at
        expect(await store.touch(session.session_id), True, "touch of a stored session")
        touched = await context.get_stored(store, session.session_id)
        expect_increasing([latest, touched.last_activity_at], "stamps, the last one by touch")
        expected = session.model_copy(update={"last_activity_at": touched.last_activity_at})
        expect(touched, expected, "get of a touched session")
        sessions = [expected, *(one for one in sessions if one.session_id != session.session_id)]
        await _expect_order(store, sessions, "after a touch")
    await store.save(sessions[0], expected_revision=1)
    expect(sessions[0].revision, 2, "the revision of a save after touches")


@case(7)
async def a_touch_of_no_session_of_the_tenant_changes_nothing(context: CaseContext) -> None:
    """It returns false for a missing session and for one of another tenant, and true for its own tenant."""
    store, session = await context.store(), context.session()
    expect(await store.touch(session.session_id), False, "touch of a session that was never saved")
    await store.save(session)
    expect(await store.touch(uuid4(), tenant_id=context.tenant_id), False, "touch of an id that nobody has")
    other = await store.touch(session.session_id, tenant_id=context.other_tenant_id)
    expect(other, False, "touch with another tenant's id")
    expect(await store.get(session.session_id), session, "get, after touches that found nothing")
    expect(await store.touch(session.session_id, tenant_id=context.tenant_id), True, "touch with its own tenant's id")
    touched = await context.get_stored(store, session.session_id)
    expect_increasing([session.last_activity_at, touched.last_activity_at], "stamps, the last one by touch")
    await store.delete(session.session_id)
    expect(await store.touch(session.session_id), False, "touch of a deleted session")
    expect(await store.get(session.session_id), None, "get of a deleted session that was touched")


@case(18)
async def a_touch_is_a_change(context: CaseContext) -> None:
    """Its kind is `TOUCHED`, with the revision that is stored and the new stamp; without a session there is none."""
    store, session, last = await context.store(), context.session(), context.session()
    await store.save(session)
    changes = store.changes()
    await store.touch(uuid4())
    await store.touch(session.session_id, tenant_id=context.other_tenant_id)
    await store.touch(session.session_id)
    touched = await context.get_stored(store, session.session_id)
    await store.save(session, touch=False)
    await store.save(last)
    found = [await anext(changes) for _ in range(3)]
    stamp = touched.last_activity_at
    described = [(one.kind, one.tenant_id, one.session_id, one.revision, one.stamp) for one in found]
    expected = [
        (ChangeKind.TOUCHED, context.tenant_id, session.session_id, 1, stamp),
        (ChangeKind.SAVED, context.tenant_id, session.session_id, 2, stamp),
        (ChangeKind.SAVED, context.tenant_id, last.session_id, 1, last.last_activity_at),
    ]
    expect(described, expected, "changes of touches, of a save without touch, and of a save")


@case(13)
async def a_touch_during_an_update_does_not_make_it_start_over(context: CaseContext) -> None:
    """The update succeeds at its first attempt; without touch of its own it keeps the later stamp."""
    store = await context.store()
    for touch in (True, False):
        session, runs = context.session(), list[int]()
        await store.save(session)

        async def touched(current: Session, runs: list[int] = runs) -> None:
            runs.append(current.revision)
            await store.touch(current.session_id)
            current.turn_count = 7

        changed = await store.update(session.session_id, touched, touch=touch)
        expect(runs, [1], "the revisions that the attempts of an update saw")
        expect((changed.turn_count, changed.revision), (7, 2), "turn_count and revision of the changed session")
        expect_increasing([session.last_activity_at, changed.last_activity_at], "stamps before and after the touch")
        expect(await store.get(session.session_id), changed, "get, after the update")


@case(13)
async def a_touch_does_not_fail_a_save_that_expects_a_revision(context: CaseContext) -> None:
    """The revision is still the stored one after a touch, and the save gives the session a later stamp."""
    store, session = await context.store(), context.session()
    await store.save(session)
    await store.touch(session.session_id)
    touched = await context.get_stored(store, session.session_id)
    await store.save(session, expected_revision=1)
    expect_increasing([touched.last_activity_at, session.last_activity_at], "stamps of a touch and a save after it")
    with expect_error(ConflictError, "a save that expects the revision before"):
        await store.save(touched, expected_revision=1)


@case(15)
async def polling_with_after_does_not_see_saves_without_touch(context: CaseContext) -> None:
    """Only saves and touches that are activity come after the stamp of the newest session seen."""
    store = await context.store()
    sessions = await _save_some(context, store)
    cursor = sessions[0].last_activity_at
    for session in sessions:
        session.turn_count += 50
        await store.save(session, touch=False)
    await store.update(sessions[1].session_id, lambda one: one.variables.clear(), touch=False)
    for name, listed in (("list_by_agent", store.list_by_agent), ("list_by_customer", store.list_by_customer)):
        key = context.agent_id if name == "list_by_agent" else context.customer_id
        expect(await listed(context.tenant_id, key, after=cursor), [], f"{name} after the newest, quiet saves since")
    expect(await store.list_by_tenant(context.tenant_id, after=cursor), [], "list_by_tenant, quiet saves since")
    await store.touch(sessions[3].session_id)
    await store.save(sessions[2])
    found = await store.list_by_tenant(context.tenant_id, after=cursor)
    expected = [sessions[2].session_id, sessions[3].session_id]
    expect([session.session_id for session in found], expected, "ids from list_by_tenant after a touch and a save")


@case(17, "clock", "idle_ttl")
async def a_save_without_touch_restarts_no_idle_time(context: CaseContext) -> None:
    """What is left of `idle_ttl` stays the same; a touch restarts it, unless the session has expired."""
    store = await context.store(clock=context.clock, idle_ttl=HOUR)
    quiet, batched, changed, touched = (context.at_step(user_channel_id=f"user-{number}") for number in range(4))
    for session in (quiet, batched, changed, touched):
        await store.save(session)
    context.clock.move(minutes=50)
    await store.save(quiet, touch=False)
    await store.save_many([batched], touch=False)
    await store.update(changed.session_id, lambda one: one.variables.clear(), touch=False)
    expect(await store.touch(touched.session_id), True, "touch, 50 minutes after a save, of an hour to live")
    context.clock.move(minutes=11)
    for session in (quiet, batched, changed):
        expect(await store.get(session.session_id), None, "get, 61 minutes after the last activity")
        expect(await store.touch(session.session_id), False, "touch of an expired session")
    left = await context.get_stored(store, touched.session_id)
    await expect_in_all_queries(store, left, [left], "11 minutes after a touch")
    context.clock.move(minutes=50)
    await expect_in_all_queries(store, left, [], "61 minutes after a touch")


@case(None)
async def restore_replaces_a_version_by_a_later_one_of_its_stamp(context: CaseContext) -> None:
    """Of two versions the later one has the later stamp, or the higher revision if the stamps are equal."""
    store, session = await context.store(), context.session()
    await store.save(session)
    await store.save(session)
    stamp = session.last_activity_at
    quiet, touched = {"revision": 3, "turn_count": 3}, {"last_activity_at": stamp + MICROSECOND, "turn_count": 4}
    older = {"last_activity_at": stamp - MICROSECOND, "revision": 9}
    for changes, count in ((older, 0), ({"revision": 1}, 0), ({}, 0), (quiet, 1), ({}, 0), (touched, 1), (quiet, 0)):
        before = await store.get(session.session_id)
        given = session.model_copy(update=changes, deep=True)
        expect(await store.restore([given]), count, f"the result of restore with {changes} of revision 2")
        expect(await store.get(session.session_id), given if count else before, f"get, after restore with {changes}")
        expect(await store.restore([given]), 0, "the result of restoring that once more")


@case(None)
async def a_copy_is_brought_up_to_date(context: CaseContext) -> None:
    """Copying again copies what was saved without touch, and what was touched, since the first copy."""
    source, target = await context.store(), await context.store()
    kept, quiet, touched = (context.session(Marked, mark="x", turn_count=number) for number in range(3))
    await source.save_many([kept, quiet, touched])
    await _copy(source, target)
    quiet.turn_count, quiet.mark = 50, "y"
    await source.save(quiet, touch=False)
    await source.touch(touched.session_id)
    for _ in range(2):
        await _copy(source, target)
        ids = [session.session_id for session in (kept, quiet, touched)]
        expect(await target.get_many(ids), await source.get_many(ids), "the sessions of the copy")
        stored = await context.get_stored(target, quiet.session_id)
        expect((stored.turn_count, stored.revision), (50, 2), "the copy of what was saved without touch")
        found = await target.list_by_field(context.tenant_id, "mark", "y")
        expect(found, [stored], "list_by_field of the copy")
