"""Law 13, second part: `get_or_create` acts as if no other task had run in between."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from sessiondex.errors import ConflictError, InvalidArgumentError, InvalidSessionError, ReentryError
from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect, expect_error

GUARD_SECONDS = 2.0  # for a call that a faulty store would never end


def _identity(context: CaseContext) -> tuple[Any, Channel, str]:
    return context.tenant_id, Channel.WEBCHAT, "user-1"


@case(13)
async def get_or_create_creates_once(context: CaseContext) -> None:
    """The first call saves the session that `create` returns; the next one returns it and does not call `create`."""
    store, made = await context.store(), context.session()
    session, was_created = await store.get_or_create(*_identity(context), lambda: made)
    expect((session, was_created), (made, True), "the result of the first call")
    expect(session.revision, 1, "the revision of what was created")
    expect(await store.get(made.session_id), made, "get, after that")
    called: list[Session] = []

    def create() -> Session:
        called.append(context.session())
        return called[0]

    expect(await store.get_or_create(*_identity(context), create), (session, False), "the result of the next call")
    expect(called, [], "the sessions that the next call created")


@case(13)
async def create_may_be_a_coroutine_function(context: CaseContext) -> None:
    """`get_or_create` awaits `create` and saves the session that it returns."""
    store = await context.store()

    async def create() -> Session:
        await asyncio.sleep(0)
        return context.session()

    session, was_created = await store.get_or_create(*_identity(context), create)
    expect(was_created, True, "whether it was created")
    expect(await store.get_by_channel(*_identity(context)), session, "get_by_channel, after that")


@case(13)
async def get_or_create_skips_closed_sessions(context: CaseContext) -> None:
    """A closed session is not returned, and does not hide an older one that is open."""
    store, older, newer = await context.store(), context.session(), context.session(status=SessionStatus.CLOSED)
    await store.save(older)
    await store.save(newer)
    found = await store.get_or_create(*_identity(context), context.session)
    expect(found, (older, False), "get_or_create, with a newer one that is closed")
    older.status = SessionStatus.CLOSED
    await store.save(older)
    session, was_created = await store.get_or_create(*_identity(context), context.session)
    expect(was_created, True, "whether one is created when all are closed")
    expect(await store.get_by_channel(*_identity(context)), session, "get_by_channel, after that")


@case(13)
async def get_or_create_finds_the_latest_session_that_is_not_closed(context: CaseContext) -> None:
    """Of several sessions of any other status it returns the one that was saved last."""
    store, first, second = await context.store(), context.session(), context.session(status=SessionStatus.IDLE)
    for session in (first, second):
        await store.save(session)
    expect(await store.get_or_create(*_identity(context), context.session), (second, False), "get_or_create")
    await store.save(context.session(status=SessionStatus.CLOSED))
    found = await store.get_or_create(*_identity(context), context.session)
    expect(found, (second, False), "get_or_create, with a newer one that is closed")
    await store.save(first)
    found = await store.get_or_create(*_identity(context), context.session)
    expect(found, (first, False), "get_or_create, after the first was saved again")


@case(13)
async def of_many_callers_one_creates(context: CaseContext) -> None:
    """All concurrent callers get the same session, and exactly one of them created it."""
    store, created = await context.store(), []

    async def create() -> Session:
        created.append(context.session())
        for _ in range(3):
            await asyncio.sleep(0)
        return created[-1]

    calls = [context.task(store.get_or_create(*_identity(context), create)) for _ in range(20)]
    answers = [await call for call in calls]
    expect(len({session.session_id for session, _ in answers}), 1, "how many sessions 20 callers got")
    expect(sum(was_created for _, was_created in answers), 1, "how many callers created it")
    expect(len(created), 1, "how often create was called")
    found = await store.list_by_agent(context.tenant_id, context.agent_id)
    expect(found, [answers[0][0]], "list_by_agent, after that")


@case(13)
async def a_waiting_caller_creates_after_create_failed(context: CaseContext) -> None:
    """The error of `create` is raised to its caller; the next caller that waits creates the session."""
    store, may_fail = await context.store(), asyncio.Event()

    async def failing() -> Session:
        await may_fail.wait()
        raise ZeroDivisionError

    first = context.task(store.get_or_create(*_identity(context), failing))
    await context.let_others_run(store)
    second = context.task(store.get_or_create(*_identity(context), context.session))
    await context.let_others_run(store)
    may_fail.set()
    with expect_error(ZeroDivisionError, "get_or_create, whose create fails"):
        await first
    _, was_created = await second
    expect(was_created, True, "whether the one that waited creates")


@case(13)
async def get_or_create_returns_a_session_saved_during_create(context: CaseContext) -> None:
    """It returns the session that another task saved, and does not save its own."""
    store, other = await context.store(), context.session()

    async def create() -> Session:
        await store.save(other)
        return context.session()

    found = await store.get_or_create(*_identity(context), create)
    expect(found, (other, False), "get_or_create, with a session that was saved while it created")
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [other], "list_by_agent, after that")


@case(13)
async def get_or_create_within_create_for_the_same_identity_is_refused(context: CaseContext) -> None:
    """`create` would wait for itself, so it gets `ReentryError`."""
    store = await context.store()

    async def asking() -> Session:
        session: Session = (await store.get_or_create(*_identity(context), context.session))[0]
        return session

    with expect_error(ReentryError, "get_or_create, within create for the same identity"):
        await store.get_or_create(*_identity(context), asking)
    expect(await store.get_by_channel(*_identity(context)), None, "get_by_channel, after that")


@case(13)
async def get_or_create_in_a_task_of_create_is_refused(context: CaseContext) -> None:
    """A task that `create` starts and awaits would wait for itself, so it gets `ReentryError`."""
    store = await context.store()

    def ask() -> Coroutine[Any, Any, tuple[Any, bool]]:
        return store.get_or_create(*_identity(context), context.session)

    async def create_in_a_task() -> Session:
        session: Session = (await context.task(ask()))[0]
        return session

    async def create_with_a_timeout() -> Session:
        session: Session = (await asyncio.wait_for(ask(), 2 * GUARD_SECONDS))[0]
        return session

    for create in (create_in_a_task, create_with_a_timeout):
        with expect_error(ReentryError, f"get_or_create in {create.__name__}, for the same identity"):
            async with asyncio.timeout(GUARD_SECONDS):  # a store that waits for itself must fail, not hang
                await store.get_or_create(*_identity(context), create)
        expect(await store.get_by_channel(*_identity(context)), None, "get_by_channel, after that")


@case(13)
async def a_task_that_outlives_create_may_call_get_or_create(context: CaseContext) -> None:
    """A task that `create` started is not refused once the call that ran `create` has ended."""
    store, is_over = await context.store(), asyncio.Event()
    tasks: list[asyncio.Task[Any]] = []

    async def ask_later() -> Any:
        await is_over.wait()
        return await store.get_or_create(*_identity(context), context.session)

    async def create() -> Session:
        tasks.append(context.task(ask_later()))
        return context.session()

    session, _ = await store.get_or_create(*_identity(context), create)
    session.status = SessionStatus.CLOSED
    await store.save(session)
    is_over.set()
    _, was_created = await tasks[0]
    expect(was_created, True, "whether a task that outlives create creates a session")


@case(13)
async def an_invalid_result_of_create_is_refused(context: CaseContext) -> None:
    """A session of another identity, a closed one, no session, or an invalid one raises an error; nothing is saved."""
    store: Any = await context.store()
    bad: list[tuple[Any, type[Exception]]] = [
        (lambda: context.session(tenant_id=context.other_tenant_id), InvalidArgumentError),
        (lambda: context.session(channel=Channel.SMS), InvalidArgumentError),
        (lambda: context.session(user_channel_id="other"), InvalidArgumentError),
        (lambda: context.session(status=SessionStatus.CLOSED), InvalidArgumentError),
        (lambda: None, InvalidArgumentError),
        (lambda: _make_invalid(context), InvalidSessionError),
    ]
    for create, kind in bad:
        with expect_error(kind, "get_or_create of what it must not make"):
            await store.get_or_create(*_identity(context), create)
    expect(await store.list_by_agent(context.tenant_id, context.agent_id), [], "list_by_agent, after that")


def _make_invalid(context: CaseContext) -> Session:
    session = context.session()
    session.variables["x"] = float("nan")
    return session


@case(13)
async def an_id_that_is_in_use_is_a_conflict(context: CaseContext) -> None:
    """If `create` returns the id of a closed session, `ConflictError` is raised and that session stays."""
    store, closed = await context.store(), context.session(status=SessionStatus.CLOSED)
    await store.save(closed)
    with expect_error(ConflictError, "get_or_create, with an id that is taken"):
        await store.get_or_create(*_identity(context), lambda: context.session(session_id=closed.session_id))
    expect(await store.get(closed.session_id), closed, "get of the session that had the id")
