"""Law 1: save stamps. Law 5 for one session: all or nothing. Also the result of `delete`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import ConfigDict

from sessiondex.errors import InvalidSessionError
from sessiondex.models import Session
from sessiondex.testing.builders import START, every_field
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import SINGLE
from sessiondex.testing.expectations import expect, expect_error, expect_increasing

MICROSECOND = timedelta(microseconds=1)


@case(6, is_core=True)
async def save_keeps_what_it_is_given(context: CaseContext) -> None:
    """A saved session comes back by its id, equal."""
    store, session = await context.store(), context.at_step(variables={"city": "Lisbon"}, turn_count=3)
    expect(await store.save(session), session.session_id, "the id that save returns")
    expect(await store.get(session.session_id), session, "get, after save")


@case(6)
async def every_field_is_kept(context: CaseContext) -> None:
    """Each field of a session and of its visits comes back unchanged."""
    store, session = await context.store(), context.session(**every_field())
    for number in range(3):  # a store may keep recently used sessions in another form
        await store.save(session)
        for query in ("get", "get of a tenant"):
            expect(await SINGLE[query](store, session), session, f"{query}, after {number} more saves")


@case(1)
async def save_stamps_the_stored_and_the_given_session(context: CaseContext) -> None:
    """`save` sets the same `last_activity_at` on the stored and on the given session."""
    store, session = await context.store(), context.session(last_activity_at=START - timedelta(days=9_000))
    await store.save(session)
    expect(session.last_activity_at > START - timedelta(days=9_000), True, "whether the given session was stamped")
    found = await context.get_stored(store, session.session_id)
    expect(found.last_activity_at, session.last_activity_at, "last_activity_at of the stored session")


@case(1, "clock")
async def save_stamps_are_the_time_of_the_clock(context: CaseContext) -> None:
    """While the clock moves forward, a stamp is its current time."""
    store, session = await context.store(clock=context.clock), context.session()
    for seconds in (0, 60, 0.000001):
        context.clock.move(seconds=seconds)
        await store.save(session)
        expect(session.last_activity_at, context.clock(), "the stamp")


@case(1)
async def save_stamps_strictly_increase(context: CaseContext) -> None:
    """No two saves of a store have the same stamp, and each stamp is later than the one before."""
    store, sessions = await context.store(), [context.session() for _ in range(10)]
    stamps = []
    for session in (*sessions, *sessions):
        await store.save(session)
        stamps.append(session.last_activity_at)
    expect_increasing(stamps, "stamps of saves, one after another")


@case(1, "clock")
async def save_stamps_strictly_increase_while_the_clock_stands_still(context: CaseContext) -> None:
    """If the clock stands still, a stamp is one microsecond after the one before."""
    store, sessions = await context.store(clock=context.clock), [context.session() for _ in range(4)]
    for session in sessions:
        await store.save(session)
    stamps = [session.last_activity_at for session in sessions]
    expect(stamps, [START + number * MICROSECOND for number in range(4)], "stamps while the clock stands still")


@case(1, "clock")
async def save_stamps_strictly_increase_when_the_clock_steps_back(context: CaseContext) -> None:
    """If the clock steps back, a stamp is one microsecond after the one before."""
    store, sessions = await context.store(clock=context.clock), [context.session() for _ in range(4)]
    for session, seconds in zip(sessions, (0, -1, -3600, 7200), strict=True):
        context.clock.move(seconds=seconds)
        await store.save(session)
    stamps = [session.last_activity_at for session in sessions]
    expected = [START, START + MICROSECOND, START + 2 * MICROSECOND, START + timedelta(seconds=3599)]
    expect(stamps, expected, "stamps while the clock steps back by a second and an hour, then goes on by two hours")


@case(1)
async def a_refused_save_leaves_the_given_session_as_it_was(context: CaseContext) -> None:
    """Stamp and revision of the given session do not change if it cannot be saved."""
    store, session = await context.store(), context.session()
    session.variables["x"] = float("nan")
    before = session.last_activity_at, session.revision
    with expect_error(InvalidSessionError, "saving NaN"):
        await store.save(session)
    expect((session.last_activity_at, session.revision), before, "stamp and revision of what was refused")


@case(1, "clock")
async def a_refused_save_takes_no_stamp(context: CaseContext) -> None:
    """The next save gets the stamp that the refused one would have had."""
    store, bad, good = await context.store(clock=context.clock), context.session(), context.session()
    bad.variables["x"] = float("nan")
    with expect_error(InvalidSessionError, "saving NaN"):
        await store.save(bad)
    await store.save(good)
    expect(good.last_activity_at, START, "the first stamp, after a save that was refused")


class _Frozen(Session):
    model_config = ConfigDict(frozen=True)


@case(1)
async def a_frozen_session_is_stamped_too(context: CaseContext) -> None:
    """A subclass may forbid assignment; the session is stored by then, so setting its stamp must not fail."""
    store, session = await context.store(), context.session(_Frozen)
    await store.save(session)
    expect(await store.get(session.session_id), session, "get of a frozen session")
    expect(session.revision, 1, "the revision of a frozen session")


@case(1)
async def a_revision_counts_the_saves(context: CaseContext) -> None:
    """The revision is 1 after the first save of a session, and increases by one with each save."""
    store, session = await context.store(), context.session()
    for number in range(1, 5):
        await store.save(session)
        found = await context.get_stored(store, session.session_id)
        expect((session.revision, found.revision), (number, number), "revision of the given and the stored session")


@case(1)
async def a_revision_starts_at_1_again_after_a_delete(context: CaseContext) -> None:
    """A session that was deleted and is saved again has revision 1."""
    store, session = await context.store(), context.session()
    for _ in range(3):
        await store.save(session)
    await store.delete(session.session_id)
    await store.save(session)
    expect(session.revision, 1, "the revision after a delete")


@case(1)
async def save_ignores_the_revision_of_the_given_session(context: CaseContext) -> None:
    """`save` counts from the stored revision, not from that of the given session."""
    store, session = await context.store(), context.session(revision=7)
    await store.save(session)
    expect(session.revision, 1, "the revision of a new session that said 7")
    stale = context.session(session_id=session.session_id)
    await store.save(stale)
    expect(stale.revision, 2, "the revision of a second one that said 0")


@case(5)
async def a_save_replaces_the_session_of_its_id(context: CaseContext) -> None:
    """The last write wins, and an id has one session."""
    store, session = await context.store(), context.session()
    await store.save(session)
    other = context.session(session_id=session.session_id, variables={"n": 2})
    await store.save(other)
    expect(await store.get(session.session_id), other, "get, after another save")
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [other], "list_by_agent, after another save")


@case(5)
async def a_refused_save_changes_nothing(context: CaseContext) -> None:
    """The stored session stays as it is, and in the same lists."""
    store, session = await context.store(), context.session()
    await store.save(session)
    saved = session.model_copy(deep=True)
    session.agent_id = context.other_agent_id
    session.variables["x"] = float("inf")
    with expect_error(InvalidSessionError, "saving infinity"):
        await store.save(session)
    expect(
        await store.list_by_agent(context.tenant_id, context.agent_id), [saved], "list_by_agent, of the agent before"
    )
    moved = await store.list_by_agent(context.tenant_id, context.other_agent_id)
    expect(moved, [], "list_by_agent, of the agent that was refused")


@case(5, "clock")
async def a_clock_that_fails_changes_nothing(context: CaseContext) -> None:
    """The error of the clock is raised to the caller, and nothing is saved."""

    def clock() -> Any:
        if is_broken:
            raise ZeroDivisionError("no time")
        return START

    is_broken = False
    store, session = await context.store(clock=clock), context.session()
    is_broken = True
    with expect_error(ZeroDivisionError, "saving while the clock fails"):
        await store.save(session)
    is_broken = False
    expect(await store.get(session.session_id), None, "get, after a save that failed")
    expect(session.revision, 0, "the revision of what was not saved")


@case(5)
async def delete_says_whether_there_was_a_session(context: CaseContext) -> None:
    """`delete` returns `True` if it removed a session, and `False` before and after."""
    store, session = await context.store(), context.session()
    expect(await store.delete(session.session_id), False, "delete, before the session was saved")
    await store.save(session)
    expect(await store.delete(session.session_id), True, "delete")
    expect(await store.delete(session.session_id), False, "delete, once more")
    expect(await store.get(session.session_id), None, "get, after delete")
