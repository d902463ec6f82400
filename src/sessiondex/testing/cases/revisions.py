"""Law 13, first part: saves that expect a revision, and `update`."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from sessiondex.errors import ConflictError, InvalidArgumentError, InvalidSessionError, SessionNotFoundError
from sessiondex.models import Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error


def _count(session: Session) -> None:
    session.turn_count += 1


@case(13)
async def the_revision_that_was_expected_is_replaced(context: CaseContext) -> None:
    """A save succeeds if it expects the stored revision; 0 expects no session."""
    store, session = await context.store(), context.session()
    for revision in range(4):
        await store.save(session, expected_revision=revision)
    expect((await context.get_stored(store, session.session_id)).revision, 4, "the revision after four saves")


@case(13)
async def another_revision_than_was_expected_is_not_replaced(context: CaseContext) -> None:
    """`ConflictError` has both revisions; the stored and the given session stay as they are."""
    store = await context.store()
    for saves, expected in ((0, 1), (1, 0), (3, 2), (3, 4), (3, 0)):
        session = context.session()
        for _ in range(saves):
            await store.save(session)
        before = await store.get(session.session_id)
        session.turn_count = 99
        given = session.model_copy(deep=True)
        call = f"saving what expects revision {expected} where {saves} is stored"
        with expect_error(ConflictError, call) as caught:
            await store.save(session, expected_revision=expected)
        error = caught.error
        expect((error.expected, error.actual), (expected, saves), f"expected and actual of the error of {call}")
        expect(error.session_id, session.session_id, f"session_id of the error of {call}")
        expect(await store.get(session.session_id), before, f"get, after {call}")
        expect(session, given, f"the given session, after {call}")


@case(13)
async def of_many_saves_that_expect_the_same_revision_one_succeeds(context: CaseContext) -> None:
    """All others raise `ConflictError`."""
    store, session = await context.store(), context.session()
    await store.save(session)
    copies = [session.model_copy(update={"turn_count": number}, deep=True) for number in range(10)]
    saves = [context.task(store.save(copy, expected_revision=1)) for copy in copies]
    answers = await asyncio.gather(*saves, return_exceptions=True)
    _raise_unsupported(answers)
    won = [copy for copy, answer in zip(copies, answers, strict=True) if not isinstance(answer, BaseException)]
    expect(len(won), 1, "how many of ten saves that expected the same revision succeeded")
    expect(sum(isinstance(answer, ConflictError) for answer in answers), 9, "how many conflicts there were")
    expect(await store.get(session.session_id), won[0], "get, after that")


def _raise_unsupported(answers: list[Any]) -> None:
    for answer in answers:
        if isinstance(answer, NotImplementedError):
            raise answer


@case(13)
async def update_saves_what_it_returns(context: CaseContext) -> None:
    """`update` saves a change made in place, increments the revision and returns the saved session."""
    store, session = await context.store(), context.session()
    await store.save(session)
    changed = await store.update(session.session_id, _count, tenant_id=context.tenant_id)
    expect((changed.turn_count, changed.revision), (1, 2), "turn_count and revision of what update returns")
    expect(await store.get(session.session_id), changed, "get, after update")
    expect(session.turn_count, 0, "turn_count of the session that was given before")


@case(13)
async def update_accepts_coroutine_functions_that_return_another_session(context: CaseContext) -> None:
    """The returned session is saved, also a new one, and its own revision is ignored."""
    store, session = await context.store(), context.session()
    await store.save(session)

    async def replaced(current: Session) -> Session:
        await asyncio.sleep(0)
        return context.session(session_id=current.session_id, turn_count=7, revision=9)

    changed = await store.update(session.session_id, replaced)
    expect((changed.turn_count, changed.revision), (7, 2), "turn_count and revision of what update returns")
    expect(await store.get(session.session_id), changed, "get, after update")


@case(13)
async def update_starts_over_after_another_save(context: CaseContext) -> None:
    """The next attempt gets the session that was saved in between, and changes that."""
    store, session = await context.store(), context.session()
    await store.save(session)
    seen = []

    async def disturbed(current: Session) -> None:
        seen.append(current.turn_count)
        if len(seen) < 3:
            other = await context.get_stored(store, session.session_id)
            _count(other)
            await store.save(other)
        current.variables["done"] = True

    changed = await store.update(session.session_id, disturbed)
    expect(seen, [0, 1, 2], "turn_count that each attempt saw")
    expect((changed.turn_count, changed.variables), (2, {"done": True}), "the session that was saved in the end")


@case(13)
async def update_raises_the_conflict_of_the_last_attempt(context: CaseContext) -> None:
    """After `attempts` conflicts, `update` raises the last one."""
    store = await context.store()
    for attempts in (1, 3):
        session = context.session()
        await store.save(session)
        seen: list[int] = []

        async def disturbed(current: Session, seen: list[int] = seen) -> None:
            seen.append(current.revision)
            await store.save(current.model_copy(deep=True))

        with expect_error(ConflictError, f"update that is disturbed at each of {attempts} attempts") as caught:
            await store.update(session.session_id, disturbed, attempts=attempts)
        expect(seen, list(range(1, attempts + 1)), "the revisions that the attempts saw")
        both = caught.error.expected, caught.error.actual
        expect(both, (attempts, attempts + 1), "expected and actual of the conflict")


@case(13)
async def update_of_a_missing_session_is_refused(context: CaseContext) -> None:
    """`SessionNotFoundError` is raised, and a session that is deleted during the change stays deleted."""
    store, session, missing = await context.store(), context.session(), uuid4()
    with expect_error(SessionNotFoundError, "update of an id that was never saved") as caught:
        await store.update(missing, _count)
    expect(caught.error.session_id, missing, "session_id of the error")
    await store.save(session)

    async def deleted(current: Session) -> None:
        await store.delete(current.session_id)

    with expect_error(SessionNotFoundError, "update of a session that is deleted during the change"):
        await store.update(session.session_id, deleted)
    expect(await store.get(session.session_id), None, "get, after that")


@case(13)
async def update_overwrites_no_session_that_was_deleted_and_saved_again(context: CaseContext) -> None:
    """A new session of the same id and revision is a different session, so `update` starts over."""
    store, session = await context.store(), context.session()
    await store.save(session)
    seen = []

    async def replaced(current: Session) -> None:
        seen.append(current.variables)
        if len(seen) == 1:
            await store.delete(current.session_id)
            await store.save(context.session(session_id=current.session_id, variables={"new": True}))
        current.turn_count = 9

    changed = await store.update(session.session_id, replaced)
    expect(seen, [{}, {"new": True}], "variables that each attempt saw")
    expect((changed.turn_count, changed.variables), (9, {"new": True}), "the session that was saved in the end")


@case(13)
async def a_change_that_cannot_be_saved_changes_nothing(context: CaseContext) -> None:
    """A change that raises, returns no session, or makes an invalid or different one leaves the stored one alone."""
    store, session = await context.store(), context.session()
    await store.save(session)

    def failing(current: Session) -> None:
        current.turn_count = 5
        raise ZeroDivisionError

    bad: list[tuple[Any, type[Exception]]] = [
        (failing, ZeroDivisionError),
        (lambda current: setattr(current, "session_id", uuid4()), InvalidArgumentError),
        (lambda current: setattr(current, "tenant_id", context.other_tenant_id), InvalidArgumentError),
        (lambda _: 1, InvalidArgumentError),
        (lambda _: {}, InvalidArgumentError),
        (lambda current: current.variables.update(x=float("inf")), InvalidSessionError),
    ]
    for change, kind in bad:
        with expect_error(kind, "update by a change that cannot be saved"):
            await store.update(session.session_id, change)
        expect(await store.get(session.session_id), session, "get, after a change that could not be saved")


@case(13)
async def no_increment_is_lost(context: CaseContext) -> None:
    """Many tasks that update one session, and yield in the middle, lose no change."""
    store, session = await context.store(), context.session()
    await store.save(session)

    async def slowly(current: Session) -> None:
        _count(current)
        await asyncio.sleep(0)

    async def work() -> None:
        for _ in range(4):
            await store.update(session.session_id, slowly, attempts=1_000)

    for task in [context.task(work()) for _ in range(5)]:
        await task
    found = await context.get_stored(store, session.session_id)
    expect((found.turn_count, found.revision), (20, 21), "turn_count and revision after 20 increments")
