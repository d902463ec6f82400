"""Law 13, further parts: `update` that creates, how often it tries, and batches that expect revisions."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from sessiondex.errors import ConflictError, InvalidArgumentError, TenantMismatchError
from sessiondex.models import Session
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error, expect_increasing

_UPDATES = 40


def _count(session: Session) -> None:
    session.turn_count += 1


# -- update that creates --


@case(13)
async def update_creates_a_missing_session(context: CaseContext) -> None:
    """It saves and returns what `create` returns, also of a coroutine function, and `change` does not get that."""
    store = await context.store()
    for tenant_id in (None, context.tenant_id):
        for is_awaited in (False, True):
            made, changed = context.session(turn_count=5), list[Session]()

            async def make(made: Session = made) -> Session:
                await asyncio.sleep(0)
                return made

            create = make if is_awaited else (lambda made=made: made)
            answer = await store.update(made.session_id, changed.append, tenant_id=tenant_id, create=create)
            expect(changed, [], "what the change got")
            expect((answer.turn_count, answer.revision), (5, 1), "turn_count and revision of the created session")
            expect(await store.get(made.session_id), answer, "get of the created session")


@case(13)
async def update_with_create_changes_a_session_that_exists(context: CaseContext) -> None:
    """`create` is not called then, and the change is saved."""
    store, session, made = await context.store(), context.session(), list[int]()
    await store.save(session)

    def create() -> Session:
        made.append(1)
        return context.session(session_id=session.session_id)

    changed = await store.update(session.session_id, _count, create=create)
    expect(made, [], "the calls of create")
    expect((changed.turn_count, changed.revision), (1, 2), "turn_count and revision of the changed session")
    await store.delete(session.session_id)
    created = await store.update(session.session_id, _count, create=create)
    expect((len(made), created.turn_count, created.revision), (1, 0, 1), "calls of create, turn_count and revision")


@case(13)
async def an_update_whose_creation_comes_second_changes_the_first(context: CaseContext) -> None:
    """If another task saves the session while `create` runs, the update starts over and changes that."""
    store, session_id = await context.store(), uuid4()
    calls: list[str] = []

    async def create() -> Session:
        calls.append("create")
        await store.save(context.session(session_id=session_id, turn_count=30))
        return context.session(session_id=session_id, turn_count=5)

    changed = await store.update(session_id, _count, create=create)
    expect(calls, ["create"], "the calls of create")
    expect((changed.turn_count, changed.revision), (31, 2), "turn_count and revision of the changed session")


@case(13)
async def create_of_update_runs_again_after_a_conflict(context: CaseContext) -> None:
    """A session that comes and goes between the attempts is created by the last one."""
    store, session_id = await context.store(), uuid4()
    calls: list[str] = []

    async def create() -> Session:
        calls.append("create")
        if len(calls) == 1:
            await store.save(context.session(session_id=session_id))
        return context.session(session_id=session_id, turn_count=len(calls))

    async def change(current: Session) -> None:
        calls.append("change")
        await store.delete(current.session_id)

    created = await store.update(session_id, change, create=create)
    expect(calls, ["create", "change", "create"], "the calls of an update")
    expect((created.turn_count, created.revision), (3, 1), "turn_count and revision of the created session")
    expect(await store.get(session_id), created, "get of the created session")


@case(13)
async def an_invalid_creation_by_update_changes_nothing(context: CaseContext) -> None:
    """`create` must return a session of that id and tenant; the error names it."""
    store: Any = await context.store()
    session_id, strange = uuid4(), context.session()
    for made in (strange, None, 5, context.session(session_id=session_id, tenant_id=context.other_tenant_id)):
        with expect_error(InvalidArgumentError, f"update with a create that returns a {type(made).__name__}") as caught:
            await store.update(session_id, _count, tenant_id=context.tenant_id, create=lambda made=made: made)
        expect(caught.error.argument, "create", "argument of the error")
        expect(await store.get_many([session_id, strange.session_id]), [None, None], "get_many, after that")

    def fail() -> Session:
        raise ZeroDivisionError

    with expect_error(ZeroDivisionError, "update with a create that fails"):
        await store.update(session_id, _count, create=fail)
    expect(await store.get(session_id), None, "get, after a create that failed")


@case(7)
async def update_creates_nothing_under_another_tenants_id(context: CaseContext) -> None:
    """`TenantMismatchError` is raised, and the other tenant's session stays."""
    store, theirs = await context.store(), context.session(tenant_id=context.other_tenant_id)
    await store.save(theirs)

    def create() -> Session:
        return context.session(session_id=theirs.session_id)

    with expect_error(TenantMismatchError, "update that creates under another tenant's id"):
        await store.update(theirs.session_id, _count, tenant_id=context.tenant_id, create=create)
    expect(await store.get(theirs.session_id), theirs, "get of the other tenant's session")


# -- how often update tries --


@case(13)
async def concurrent_updates_by_plain_functions_all_succeed(context: CaseContext) -> None:
    """Without `attempts` they are tried until they succeed, also the first one of all, which creates."""
    store, session = await context.store(), context.session()
    for create in (None, lambda: context.session(session_id=session.session_id, turn_count=1)):
        if create is None:
            await store.save(session)
        updates = [context.task(store.update(session.session_id, _count, create=create)) for _ in range(_UPDATES)]
        for update in updates:
            await update
        found = await context.get_stored(store, session.session_id)
        expect(found.turn_count, _UPDATES, "turn_count after concurrent updates")
        await store.delete(session.session_id)


@case(13)
async def a_coroutine_function_is_tried_five_times(context: CaseContext) -> None:
    """Without `attempts`, `update` gives up after five conflicts, and saves nothing of its own."""
    store, session, runs = await context.store(), context.session(), list[int]()
    await store.save(session)

    async def disturbed(current: Session) -> None:
        runs.append(current.revision)
        await store.save(context.session(session_id=current.session_id))
        current.turn_count = 9

    with expect_error(ConflictError, "update that is disturbed at each attempt") as caught:
        await store.update(session.session_id, disturbed)
    expect(runs, [1, 2, 3, 4, 5], "the revisions that the attempts saw")
    expect(caught.error.session_id, session.session_id, "session_id of the error")
    stored = await context.get_stored(store, session.session_id)
    expect((stored.turn_count, stored.revision), (0, 6), "turn_count and revision of the stored session")


# -- batches that expect revisions --


@case(13)
async def a_batch_replaces_the_revisions_that_it_expects(context: CaseContext) -> None:
    """0 expects no session, `None` expects nothing, and of one id that comes twice each save is expected in turn."""
    store, first, second, third = await context.store(), *(context.session() for _ in range(3))
    await store.save_many([first, second], expected_revisions=[0, None])
    await store.save_many([first, second, third], expected_revisions=(1, None, 0))
    again = first.model_copy(update={"turn_count": 9}, deep=True)
    ids = await store.save_many([first, second, again], expected_revisions=[2, 2, 3])
    expect(ids, [first.session_id, second.session_id, first.session_id], "the ids that save_many returns")
    expect([one.revision for one in (first, second, third, again)], [3, 3, 1, 4], "revisions")
    stamps = [one.last_activity_at for one in (third, first, second, again)]
    expect_increasing(stamps, "stamps of batches that expect revisions")
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(found, [again, second, third], "list_by_agent")
    expect(await store.save_many([], expected_revisions=[]), [], "save_many of nothing that expects nothing")


@case(13)
async def a_batch_with_one_conflict_saves_nothing(context: CaseContext) -> None:
    """The error names the session and both revisions, a note gives its number, and all stays as it was."""
    store = await context.store()
    first, second, new = (context.session() for _ in range(3))
    await store.save_many([first, second, second])
    saved = [one.model_copy(deep=True) for one in (first, second)]
    for batch, expected, position, actual in (
        ([first, second], [1, 1], 1, 2),
        ([second, first], [3, 1], 0, 2),
        ([new, first, second], [1, 1, 2], 0, 0),
        ([first, new, second], [None, None, 0], 2, 2),
        ([second, first, second], [2, None, 2], 2, 3),
        ([new, second, new], [0, 2, 0], 2, 1),
    ):
        for one in batch:
            one.turn_count += 1
        given = [one.model_copy(deep=True) for one in batch]
        call = f"save_many with expected revisions {expected}"
        with expect_error(ConflictError, call) as caught:
            await store.save_many(batch, expected_revisions=expected)
        error = caught.error
        expect(error.session_id, batch[position].session_id, f"session_id of the error of {call}")
        revisions = error.expected, error.actual
        expect(revisions, (expected[position], actual), f"expected and actual of the error of {call}")
        notes = " ".join(getattr(error, "__notes__", []))
        expect(f"number {position}" in notes, True, f"whether a note ({notes!r}) gives the number {position}")
        found = await store.get_many([first.session_id, second.session_id, new.session_id])
        expect(found, [*saved, None], f"get_many, after {call}")
        expect(batch, given, f"the given sessions, after {call}")


@case(13)
async def of_batches_that_expect_the_same_revision_one_succeeds(context: CaseContext) -> None:
    """All others raise `ConflictError` and save none of their sessions."""
    store, session = await context.store(), context.session()
    await store.save(session)
    batches = [[context.session(), session.model_copy(update={"turn_count": one}, deep=True)] for one in range(8)]
    saves = [context.task(store.save_many(batch, expected_revisions=[None, 1])) for batch in batches]
    answers = await asyncio.gather(*saves, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, NotImplementedError):
            raise answer
    won = [batch for batch, answer in zip(batches, answers, strict=True) if not isinstance(answer, BaseException)]
    conflicts = sum(isinstance(answer, ConflictError) for answer in answers)
    expect((len(won), conflicts), (1, 7), "how many of eight batches succeeded, and how many had a conflict")
    found = await store.get_many([batch[0].session_id for batch in batches])
    expect([one for one in found if one is not None], won[0][:1], "what was saved of the other sessions")
    expect(await store.get(session.session_id), won[0][1], "get, after that")
