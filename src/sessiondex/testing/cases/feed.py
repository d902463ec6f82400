"""Law 18: changes come in order, each once, without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from sessiondex.changes import Change, ChangeKind
from sessiondex.contract import SessionStore
from sessiondex.errors import ChangesLostError, ConflictError, InvalidSessionError
from sessiondex.models import Session
from sessiondex.testing.builders import START
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error, expect_increasing

_MAX_CHANGES_READ = 20  # a faulty feed may yield for ever without a pause, and then no timeout can end the case


async def _read(changes: AsyncIterator[Change], count: int) -> list[Change]:
    return [await anext(changes) for _ in range(count)]


async def _read_to_end(changes: AsyncIterator[Change]) -> list[Change]:
    found: list[Change] = []
    async for change in changes:
        found.append(change)
        if len(found) == _MAX_CHANGES_READ:
            break
    return found


async def _read_up_to(changes: AsyncIterator[Change], last: Session, store: SessionStore[Any]) -> list[Change]:
    """Save `last`, and return the changes before that save."""
    await store.save(last)
    found: list[Change] = []
    while len(found) < _MAX_CHANGES_READ:
        change = await anext(changes)
        if change.session_id == last.session_id:
            break
        found.append(change)
    return found


def _describe(change: Change) -> tuple[Any, ...]:
    return change.kind, change.tenant_id, change.session_id, change.revision, change.stamp


def _expected(kind: ChangeKind, session: Session) -> tuple[Any, ...]:
    return kind, session.tenant_id, session.session_id, session.revision, session.last_activity_at


@case(18)
async def each_change_has_ids_revision_and_stamp(context: CaseContext) -> None:
    """A change has the revision and stamp that a save stored, or that a deleted session had last."""
    store, session = await context.store(), context.session()
    await store.save(session)
    changes = store.changes()
    await store.save(session)
    saved = _expected(ChangeKind.SAVED, session)
    await store.delete(session.session_id)
    deleted = _expected(ChangeKind.DELETED, session)
    await store.save(session)
    expected = [saved, deleted, _expected(ChangeKind.SAVED, session)]
    names = ("kind", "tenant_id", "session_id", "revision", "stamp")
    for number, (change, fields) in enumerate(zip(await _read(changes, 3), expected, strict=True)):
        for name, actual, field in zip(names, _describe(change), fields, strict=True):
            expect(actual, field, f"{name} of change {number}")


@case(18)
async def sequences_have_no_gap(context: CaseContext) -> None:
    """The sequence of each change is one more than that of the change before it."""
    store = await context.store()
    changes = store.changes()
    for _ in range(3):
        session = context.session()
        await store.save(session)
        await store.delete(session.session_id)
    found = [change.sequence for change in await _read(changes, 6)]
    expect(found, list(range(found[0], found[0] + 6)), "sequences of six changes")


@case(18)
async def a_batch_publishes_one_change_per_session(context: CaseContext) -> None:
    """The changes of a batch come in the order of their stamps; of two saves of one session only the later comes."""
    store, first, second = await context.store(), context.session(), context.session()
    changes = store.changes()
    await store.save_many([first, second, first])
    await store.delete_many([second.session_id, first.session_id])
    found = [_describe(change) for change in await _read_up_to(changes, context.session(), store)]
    kinds = (ChangeKind.SAVED, ChangeKind.DELETED)
    expected = [_expected(kind, session) for kind in kinds for session in (second, first)]
    expect(found, expected, "changes of save_many and delete_many")


@case(18)
async def a_restore_publishes_what_it_stored(context: CaseContext) -> None:
    """The change of a restored session has its stored stamp, also if `restore` had to move that."""
    store = await context.store()
    changes = store.changes()
    sessions = [context.session(last_activity_at=START, revision=number) for number in (3, 4)]
    await store.restore(sessions)
    found = [_describe(change) for change in await _read(changes, 2)]
    stored = [_expected(ChangeKind.SAVED, await context.get_stored(store, one.session_id)) for one in sessions]
    expect(sorted(found, key=str), sorted(stored, key=str), "changes of restore")


@case(18)
async def the_changes_of_a_restore_come_in_the_order_of_stamps(context: CaseContext) -> None:
    """The order in which the sessions are passed to `restore` does not matter."""
    store = await context.store()
    changes = store.changes()
    stamps = [START + timedelta(minutes=number) for number in (3, 1, 4, 1, 5, 2)]
    await store.restore([context.session(last_activity_at=stamp, revision=1) for stamp in stamps])
    found = [change.stamp for change in await _read(changes, len(stamps))]
    expect_increasing(found, "stamps of the changes of a restore")


@case(18)
async def calls_that_change_nothing_publish_nothing(context: CaseContext) -> None:
    """A refused save and a delete of a missing session publish no change."""
    store, session, bad = await context.store(), context.session(), context.session()
    await store.save(session)
    changes = store.changes()
    bad.variables["x"] = float("nan")
    with expect_error(InvalidSessionError, "saving NaN"):
        await store.save(bad)
    with expect_error(ConflictError, "saving with a wrong expected revision"):
        await store.save(session, expected_revision=7)
    with expect_error(InvalidSessionError, "saving NaN in bulk"):
        await store.save_many([context.session(), bad])
    await store.delete(bad.session_id)
    await store.delete(session.session_id, tenant_id=context.other_tenant_id)
    expect(await _read_up_to(changes, context.session(), store), [], "changes of calls that changed nothing")


@case(18)
async def a_reader_continues_where_another_ended(context: CaseContext) -> None:
    """`since` is the sequence of the last change that was read."""
    store = await context.store()
    changes = store.changes()
    for _ in range(5):
        await store.save(context.session())
    seen = await _read(changes, 2)
    again = await _read(store.changes(since=seen[-1].sequence), 3)
    expect(again, await _read(changes, 3), "changes since the second, compared with those of the first reader")


@case(18)
async def a_waiting_reader_gets_the_next_change(context: CaseContext) -> None:
    """A reader that waits gets the next change, also if an earlier wait was cancelled."""
    store, session = await context.store(), context.session()
    changes = store.changes()
    for _ in range(2):
        cancelled = context.task(_read(changes, 1))
        await context.let_others_run(store)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        waiting = context.task(_read(changes, 1))
        await context.let_others_run(store)
        await store.save(session)
        found = [_describe(change) for change in await waiting]
        expect(found, [_expected(ChangeKind.SAVED, session)], "the change that a waiting reader gets")


@case(18)
async def a_sequence_that_was_never_reached_is_refused(context: CaseContext) -> None:
    """`changes` after a sequence that was never reached raises `ChangesLostError` at once."""
    store = await context.store()
    with expect_error(ChangesLostError, "changes since a sequence that was never reached"):
        await anext(store.changes(since=10**30))


@case(18, "changes_kept")
async def a_reader_that_missed_changes_gets_an_error(context: CaseContext) -> None:
    """`ChangesLostError` gives the oldest change that is kept, and a reader can continue from there."""
    store = await context.store(changes_kept=3)
    changes = store.changes()
    await store.save(context.session())
    first = (await anext(changes)).sequence
    for _ in range(5):
        await store.save(context.session())
    with expect_error(ChangesLostError, "reading after five changes, of which three are kept") as lost:
        await anext(changes)
    expect((lost.error.since, lost.error.oldest), (first, first + 3), "since and oldest of the error")
    with expect_error(ChangesLostError, "changes since one that is no longer kept"):
        await anext(store.changes(since=first + 1))
    kept = [change.sequence for change in await _read(store.changes(since=first + 2), 3)]
    expect(kept, [first + 3, first + 4, first + 5], "the changes that are still kept")


@case(18)
async def changes_committed_before_the_close_can_still_be_read(context: CaseContext) -> None:
    """After the store was closed, a reader gets the remaining changes; then the iteration ends."""
    store, sessions = await context.store(), [context.session() for _ in range(3)]
    changes = store.changes()
    waiting = store.changes()
    await store.save_many(sessions)
    await _read(waiting, 3)
    end = context.task(_read_to_end(waiting))
    await context.let_others_run(store)
    await store.aclose()
    found = [_describe(change) for change in await _read_to_end(changes)]
    expected = [_expected(ChangeKind.SAVED, session) for session in sessions]
    expect(found, expected, "changes that are read after the store was closed")
    expect(await end, [], "changes that a reader gets which waits while the store is closed")


@case(18, "max_sessions")
async def an_eviction_by_the_cap_is_a_change(context: CaseContext) -> None:
    """It has the kind `EVICTED` and comes after the save that exceeded the cap."""
    store, sessions = await context.store(max_sessions=2), [context.session() for _ in range(3)]
    changes = store.changes()
    for session in sessions:
        await store.save(session)
    *_, last = await _read(changes, 4)
    expect(_describe(last), _expected(ChangeKind.EVICTED, sessions[0]), "the fourth change")


@case(18, "clock", "idle_ttl")
async def an_expiry_is_a_change(context: CaseContext) -> None:
    """It has the kind `EVICTED` and is published by the next count at the latest."""
    store, session = await context.store(clock=context.clock, idle_ttl=timedelta(hours=1)), context.session()
    changes = store.changes()
    await store.save(session)
    context.clock.move(hours=2)
    expect(await store.count_by_agent(context.tenant_id, context.agent_id), 0, "count_by_agent, after the expiry")
    _, last = await _read(changes, 2)
    expect(_describe(last), _expected(ChangeKind.EVICTED, session), "the second change")
