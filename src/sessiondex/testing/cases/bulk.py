"""Law 5 for many sessions: all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any
from uuid import uuid4

from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidSessionError, TenantMismatchError
from sessiondex.models import Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import expect_in_all_queries
from sessiondex.testing.expectations import expect, expect_error, expect_increasing


async def _list_all(context: CaseContext, store: SessionStore[Any]) -> list[Any]:
    return await store.list_by_agent(context.tenant_id, context.agent_id, limit=10_000)


def _versions(sessions: Iterable[Session]) -> list[Any]:
    return [(session.last_activity_at, session.revision) for session in sessions]


@case(5)
async def save_many_saves_as_if_one_after_another(context: CaseContext) -> None:
    """`save_many` returns ids in the given order, stamps increase in that order, and every query finds all sessions."""
    store, sessions = await context.store(), [context.at_step() for _ in range(30)]
    for given in (sessions, iter(sessions)):
        ids = await store.save_many(given)
        expect(ids, [session.session_id for session in sessions], "the ids that save_many returns")
        expect_increasing([session.last_activity_at for session in sessions], "stamps of save_many")
        expect(await _list_all(context, store), sessions[::-1], "list_by_agent, after save_many")
    first = context.at_step()
    await store.save(first)
    expect(first.last_activity_at > sessions[-1].last_activity_at, True, "whether the next save has a later stamp")


@case(5)
async def save_many_replaces_stored_sessions(context: CaseContext) -> None:
    """`save_many` moves stored sessions to their new places in every index, next to new sessions."""
    store, sessions = await context.store(), [context.at_step(user_channel_id=name) for name in "abc"]
    await store.save_many(sessions)
    sessions[0].agent_id = context.other_agent_id
    sessions[2].variables["x"] = 1
    new = context.at_step(user_channel_id="d")
    await store.save_many([sessions[2], new, sessions[0]])
    expect(await _list_all(context, store), [new, sessions[2], sessions[1]], "list_by_agent")
    moved = await store.list_by_agent(context.tenant_id, context.other_agent_id)
    expect(moved, [sessions[0]], "list_by_agent of the agent that one moved to")


@case(5)
async def of_two_with_the_same_id_the_later_replaces_the_earlier(context: CaseContext) -> None:
    """Of two sessions with one id in a batch both are stamped and counted, and the later one is stored."""
    store = await context.store()
    for save_all in (store.save_many, store.load):
        first, other = context.session(variables={"n": 1}), context.session()
        last = first.model_copy(update={"variables": {"n": 2}, "user_channel_id": "later"}, deep=True)
        await save_all([first, other, last])
        expect(await store.get(first.session_id), last, "get of the id that came twice")
        expect((first.revision, other.revision, last.revision), (1, 1, 2), "revisions")
        stamps = [session.last_activity_at for session in (first, other, last)]
        expect_increasing(stamps, "stamps of a batch with one id twice")
        expect(await _list_all(context, store), [last, other], "list_by_agent")
        await store.delete_many([first.session_id, other.session_id])


@case(5)
async def an_empty_batch_changes_nothing(context: CaseContext) -> None:
    """`save_many`, `load` and `delete_many` accept an empty batch."""
    store = await context.store()
    expect(await store.save_many([]), [], "save_many of nothing")
    expect(await store.load([]), 0, "load of nothing")
    expect(await store.delete_many([]), 0, "delete_many of nothing")


@case(5)
async def an_invalid_session_in_a_batch_changes_nothing(context: CaseContext) -> None:
    """No session of the batch is saved or stamped, and a note gives the number of the invalid one."""
    store, known = await context.store(), context.session()
    await store.save(known)
    for place in (0, 7, 11):
        sessions = [context.session() for _ in range(12)]
        sessions[5] = known.model_copy(update={"agent_id": context.other_agent_id}, deep=True)
        sessions[place].variables["x"] = float("nan")
        before = _versions(sessions)
        with expect_error(InvalidSessionError, f"save_many with a bad session at {place}") as caught:
            await store.save_many(sessions)
        expect(caught.error.field, "variables.x", "field of the error")
        notes = " ".join(getattr(caught.error, "__notes__", []))
        expect(f"number {place}" in notes, True, f"whether a note ({notes!r}) gives the number {place}")
        expect(_versions(sessions), before, "stamps and revisions of a batch that was refused")
        expect(await _list_all(context, store), [known], "list_by_agent, after a batch that was refused")


@case(5)
async def an_id_of_another_tenant_in_a_batch_changes_nothing(context: CaseContext) -> None:
    """An id that another tenant has, in the store or in the batch, raises `TenantMismatchError`; nothing is saved."""
    store, theirs = await context.store(), context.session(tenant_id=context.other_tenant_id)
    await store.save(theirs)
    mine = [context.session() for _ in range(3)]
    for taken in (theirs.session_id, mine[0].session_id):
        tenant_id = context.tenant_id if taken == theirs.session_id else context.other_tenant_id
        batch = [*mine, context.session(session_id=taken, tenant_id=tenant_id)]
        before = _versions(batch)
        with expect_error(TenantMismatchError, "save_many with an id of another tenant"):
            await store.save_many(batch)
        expect(_versions(batch), before, "stamps and revisions of a batch that was refused")
        expect(await _list_all(context, store), [], "list_by_agent, after a batch that was refused")
    expect(await store.get(theirs.session_id), theirs, "get of the other tenant's session")


def _fail_after(sessions: list[Session]) -> Iterator[Session]:
    yield from sessions
    raise ZeroDivisionError


@case(5)
async def an_iterable_that_fails_saves_and_deletes_nothing(context: CaseContext) -> None:
    """The error of the iterable is raised, and nothing is saved or deleted."""
    store, session = await context.store(), context.session()
    with expect_error(ZeroDivisionError, "save_many of an iterable that fails"):
        await store.save_many(_fail_after([session]))
    expect(await store.get(session.session_id), None, "get, after that")
    await store.save(session)
    with expect_error(ZeroDivisionError, "delete_many of an iterable that fails"):
        await store.delete_many(one.session_id for one in _fail_after([session]))
    expect(await store.get(session.session_id), session, "get, after that")


@case(5)
async def readers_see_none_or_all(context: CaseContext) -> None:
    """During a batch save or delete, other tasks see none or all of its sessions."""
    store, known = await context.store(), context.session()
    await store.save(known)
    sessions = [context.session() for _ in range(100)]
    saving = context.task(store.save_many(sessions))
    expect(
        await _watch(saving, context, store) - {1, 101},
        set(),
        "how many were seen during save_many, but 1 and 101",
    )
    deleting = context.task(store.delete_many([session.session_id for session in sessions]))
    seen = await _watch(deleting, context, store)
    expect(seen - {1, 101}, set(), "how many were seen during delete_many, but 1 and 101")
    expect(await _list_all(context, store), [known], "list_by_agent, in the end")


async def _watch(writing: asyncio.Task[Any], context: CaseContext, store: SessionStore[Any]) -> set[int]:
    seen = set()
    while not writing.done():
        seen.add(len(await _list_all(context, store)))
        await asyncio.sleep(0)
    await writing
    return seen | {len(await _list_all(context, store))}


@case(5)
async def a_cancelled_batch_is_saved_completely_or_not_at_all(context: CaseContext) -> None:
    """A cancelled `save_many` saves all sessions or none, and the next write succeeds."""
    store = await context.store()
    for turns in range(6):
        sessions = [context.session() for _ in range(60)]
        saving = context.task(store.save_many(sessions))
        for _ in range(turns):
            await asyncio.sleep(0)
        saving.cancel()
        await asyncio.wait([saving])
        if not saving.cancelled():
            await saving
        found = await _list_all(context, store)
        expect(len(found) in {0, 60}, True, f"whether none or all is saved (and not {len(found)} of 60)")
        await store.save_many(sessions)
        expect(await _list_all(context, store), sessions[::-1], "list_by_agent, after it was saved again")
        await store.delete_many([session.session_id for session in sessions])


@case(5)
async def delete_many_deletes_and_counts_existing_sessions(context: CaseContext) -> None:
    """`delete_many` counts each existing session once and removes it from every index."""
    store, sessions = await context.store(), [context.at_step(user_channel_id=name) for name in "abcde"]
    await store.save_many(sessions)
    ids = [session.session_id for session in sessions]
    expect(await store.delete_many([ids[0], ids[3], uuid4(), ids[0]]), 2, "delete_many of two that are there")
    expect(await _list_all(context, store), [sessions[4], sessions[2], sessions[1]], "list_by_agent, after delete_many")
    expect(await store.delete_many(iter(ids)), 3, "delete_many of an iterator")
    await expect_in_all_queries(store, sessions[4], [], "after all were deleted")


async def _iterate_asynchronously(sessions: Iterable[Session]) -> AsyncIterator[Session]:
    for session in sessions:
        await asyncio.sleep(0)
        yield session


@case(5)
async def load_saves_any_number_from_any_iterable(context: CaseContext) -> None:
    """`load` saves in the given order with any batch size, also from an asynchronous iterable."""
    store = await context.store()
    for batch in (1, 7, 500):
        sessions = [context.session() for _ in range(20)]
        for given in (sessions, iter(sessions), _iterate_asynchronously(sessions)):
            expect(await store.load(given, batch=batch), 20, f"load in batches of {batch}")
            expect_increasing([session.last_activity_at for session in sessions], "stamps of load")
            expect(await _list_all(context, store), sessions[::-1], f"list_by_agent, after load in batches of {batch}")
        await store.delete_many([session.session_id for session in sessions])


@case(5)
async def batches_before_a_failed_one_stay(context: CaseContext) -> None:
    """After an invalid session, `load` keeps the earlier batches only; a note gives the number among all sessions."""
    store = await context.store()
    for place in (0, 9, 10, 24):
        sessions = [context.session() for _ in range(25)]
        sessions[place].variables["x"] = float("nan")
        kept = place // 10 * 10
        before = _versions(sessions[kept:])
        with expect_error(InvalidSessionError, f"load with a bad session at {place}") as caught:
            await store.load(sessions, batch=10)
        notes = " ".join(getattr(caught.error, "__notes__", []))
        expect(f"number {place}" in notes, True, f"whether a note ({notes!r}) gives the number {place}")
        expect(await _list_all(context, store), sessions[:kept][::-1], f"list_by_agent, after load failed at {place}")
        expect(_versions(sessions[kept:]), before, "stamps and revisions of what was not saved")
        await store.delete_many([session.session_id for session in sessions])
