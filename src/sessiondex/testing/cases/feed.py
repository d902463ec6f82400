"""Law 18: changes come in order, each once, with no gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from sessiondex.contract import Change, ChangeKind, SessionStore
from sessiondex.errors import ChangesLostError, ConflictError, InvalidSessionError
from sessiondex.models import Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error

_MOST = 20  # changes that are read, since a feed that has no end need not let the loop run


async def _read(changes: AsyncIterator[Change[Any]], count: int) -> list[Change[Any]]:
    return [await anext(changes) for _ in range(count)]


async def _up_to(changes: AsyncIterator[Change[Any]], last: Session, store: SessionStore[Any]) -> list[Change[Any]]:
    """Save a session, and return the changes that come before that."""
    await store.save(last)
    found: list[Change[Any]] = []
    while len(found) < _MOST:
        change = await anext(changes)
        if change.after is not None and change.after.session_id == last.session_id:
            break
        found.append(change)
    return found


@case(18)
async def each_change_comes_with_what_was_and_what_is(context: CaseContext) -> None:
    """From the first call of `changes` on: saves and deletes, with the session before and after."""
    store, session = await context.store(), context.session()
    await store.save(session)
    first = session.model_copy(deep=True)
    changes = store.changes()
    session.turn_count = 1
    await store.save(session)
    second = session.model_copy(deep=True)
    await store.delete(session.session_id)
    session.turn_count = 2
    await store.save(session)
    found = [(change.kind, change.before, change.after) for change in await _read(changes, 3)]
    expected = [
        (ChangeKind.SAVED, first, second),
        (ChangeKind.DELETED, second, None),
        (ChangeKind.SAVED, None, session),
    ]
    for number, (actual, should) in enumerate(zip(found, expected, strict=True)):
        for what, one, other in zip(("kind", "before", "after"), actual, should, strict=True):
            expect(one, other, f"{what} of change {number}")


@case(18)
async def sequences_have_no_gap(context: CaseContext) -> None:
    """Each change has the number after that of the one before it."""
    store = await context.store()
    changes = store.changes()
    for _ in range(3):
        session = context.session()
        await store.save(session)
        await store.delete(session.session_id)
    found = [change.sequence for change in await _read(changes, 6)]
    expect(found, list(range(found[0], found[0] + 6)), "sequences of six changes")


@case(18)
async def changes_of_many_come_one_by_one(context: CaseContext) -> None:
    """In the order of their stamps; of two saves of one session in a batch, the later one."""
    store, first, second = await context.store(), context.session(), context.session()
    changes = store.changes()
    await store.save_many([first, second, first])
    await store.delete_many([second.session_id, first.session_id])
    found = [
        (change.kind, (change.after or change.before).session_id)  # type: ignore[union-attr]  # one of them is there
        for change in await _up_to(changes, context.session(), store)
    ]
    expected = [
        *((ChangeKind.SAVED, session.session_id) for session in (second, first)),
        *((ChangeKind.DELETED, session.session_id) for session in (second, first)),
    ]
    expect(found, expected, "kinds and ids of the changes of save_many and delete_many")


@case(18)
async def what_changed_nothing_is_no_change(context: CaseContext) -> None:
    """Neither what was refused, nor a delete of what is not there."""
    store, session, bad = await context.store(), context.session(), context.session()
    await store.save(session)
    changes = store.changes()
    bad.variables["x"] = float("nan")
    with expect_error(InvalidSessionError, "saving NaN"):
        await store.save(bad)
    with expect_error(ConflictError, "saving with another revision than is stored"):
        await store.save(session, expected_revision=7)
    with expect_error(InvalidSessionError, "saving NaN in bulk"):
        await store.save_many([context.session(), bad])
    await store.delete(bad.session_id)
    await store.delete(session.session_id, tenant_id=context.other_tenant_id)
    expect(await _up_to(changes, context.session(), store), [], "changes of what changed nothing")


@case(18)
async def what_a_reader_gets_is_its_own(context: CaseContext) -> None:
    """To change it changes neither what is stored nor what another reader gets."""
    store, session = await context.store(), context.session()
    one, other = store.changes(), store.changes()
    await store.save(session)
    first = session.model_copy(deep=True)
    await store.save(session)
    for before, after in ((None, first), (first, session)):
        mine, theirs = await anext(one), await anext(other)
        for got in (mine.before, mine.after):
            if got is not None:
                got.variables["x"] = 1
        expect((theirs.before, theirs.after), (before, after), "before and after, as another reader gets them")
    expect(await store.get(session.session_id), session, "get, after a reader changed what it got")


@case(18)
async def a_reader_goes_on_where_another_ended(context: CaseContext) -> None:
    """`since` is the sequence of the last change that was seen."""
    store = await context.store()
    changes = store.changes()
    for _ in range(5):
        await store.save(context.session())
    seen = await _read(changes, 2)
    again = await _read(store.changes(since=seen[-1].sequence), 3)
    expect(again, await _read(changes, 3), "changes since the second, and those that the first reader goes on with")


@case(18)
async def a_reader_that_waits_gets_what_comes(context: CaseContext) -> None:
    """And goes on though an earlier wait was cancelled."""
    store, session = await context.store(), context.session()
    changes = store.changes()
    for _ in range(2):
        given_up = context.task(_read(changes, 1))
        await context.let_others_run(store)
        given_up.cancel()
        await asyncio.wait([given_up])
        waiting = context.task(_read(changes, 1))
        await context.let_others_run(store)
        await store.save(session)
        expect([change.after for change in await waiting], [session], "what a reader gets that waited")


@case(18)
async def a_place_that_was_never_reached_is_lost(context: CaseContext) -> None:
    """Whoever asks for what comes after it is told so, at once."""
    store = await context.store()
    with expect_error(ChangesLostError, "changes since a sequence that was never reached"):
        await anext(store.changes(since=10**30))


@case(18, "changes_kept")
async def a_reader_that_has_missed_some_is_told(context: CaseContext) -> None:
    """`ChangesLostError` says what is still there; whoever follows from there misses nothing."""
    store = await context.store(changes_kept=3)
    changes = store.changes()
    await store.save(context.session())
    first = (await anext(changes)).sequence
    for _ in range(5):
        await store.save(context.session())
    with expect_error(ChangesLostError, "reading after five changes, where three are kept") as lost:
        await anext(changes)
    expect((lost.error.since, lost.error.oldest), (first, first + 3), "since and oldest of the error")
    with expect_error(ChangesLostError, "changes since one that is no longer kept"):
        await anext(store.changes(since=first + 1))
    kept = [change.sequence for change in await _read(store.changes(since=first + 2), 3)]
    expect(kept, [first + 3, first + 4, first + 5], "the changes that are still kept")


@case(18)
async def what_was_committed_before_the_end_can_still_be_read(context: CaseContext) -> None:
    """Then the iteration ends."""
    store, sessions = await context.store(), [context.session() for _ in range(3)]
    changes = store.changes()
    waiting = store.changes()
    await store.save_many(sessions)
    await _read(waiting, 3)
    end = context.task(_read_all(waiting))
    await context.let_others_run(store)
    await store.aclose()
    found = [change.after for change in await _read_all(changes)]
    expect(found, sessions, "what is read after the store was closed")
    expect(await end, [], "what comes to a reader that waits while the store is closed")


async def _read_all(changes: AsyncIterator[Change[Any]]) -> list[Change[Any]]:
    found: list[Change[Any]] = []
    async for change in changes:
        found.append(change)
        if len(found) == _MOST:
            break
    return found


@case(18, "max_sessions")
async def what_the_cap_lets_go_is_a_change(context: CaseContext) -> None:
    """Of kind `EVICTED`, after the save that made for it."""
    store, sessions = await context.store(max_sessions=2), [context.session() for _ in range(3)]
    changes = store.changes()
    for session in sessions:
        await store.save(session)
    *_, last = await _read(changes, 4)
    expect((last.kind, last.before, last.after), (ChangeKind.EVICTED, sessions[0], None), "the fourth change")


@case(18, "clock", "idle_ttl")
async def what_expires_is_a_change(context: CaseContext) -> None:
    """Of kind `EVICTED`, by the time that a count has looked."""
    store, session = await context.store(clock=context.clock, idle_ttl=timedelta(hours=1)), context.session()
    changes = store.changes()
    await store.save(session)
    context.clock.move(hours=2)
    expect(await store.count_by_agent(context.tenant_id, context.agent_id), 0, "count_by_agent, after it has expired")
    _, last = await _read(changes, 2)
    expect((last.kind, last.before, last.after), (ChangeKind.EVICTED, session, None), "the second change")
