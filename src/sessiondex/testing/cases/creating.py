"""Law 13, second half: `get_or_create` is as if nobody else had run meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

from sessiondex.errors import ConflictError, InvalidArgumentError, InvalidSessionError, ReentryError
from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.testing.case import case
from sessiondex.testing.expectations import expect, expect_error
from sessiondex.testing.trial import Trial


def _identity(trial: Trial) -> tuple[Any, Channel, str]:
    return trial.tenant_id, Channel.WEBCHAT, "user-1"


@case(13)
async def get_or_create_creates_once_and_finds_then(trial: Trial) -> None:
    """The first call saves what `create` made; the next gets that, and creates nothing."""
    store, made = await trial.store(), trial.session()
    session, was_created = await store.get_or_create(*_identity(trial), lambda: made)
    expect((session, was_created), (made, True), "what the first call answers")
    expect(session.revision, 1, "the revision of what was created")
    expect(await store.get(made.session_id), made, "get, after that")
    called: list[Session] = []

    def create() -> Session:
        called.append(trial.session())
        return called[0]

    expect(await store.get_or_create(*_identity(trial), create), (session, False), "what the next call answers")
    expect(called, [], "what was created though there was one")


@case(13)
async def create_may_be_a_coroutine_function(trial: Trial) -> None:
    """It is awaited, and what it returns is saved."""
    store = await trial.store()

    async def create() -> Session:
        await asyncio.sleep(0)
        return trial.session()

    session, was_created = await store.get_or_create(*_identity(trial), create)
    expect(was_created, True, "whether it was created")
    expect(await store.get_by_channel(*_identity(trial)), session, "get_by_channel, after that")


@case(13)
async def a_closed_session_is_not_gone_on_with(trial: Trial) -> None:
    """It is neither found nor does it hide an older one that is open."""
    store, older, newer = await trial.store(), trial.session(), trial.session(status=SessionStatus.CLOSED)
    await store.save(older)
    await store.save(newer)
    found = await store.get_or_create(*_identity(trial), trial.session)
    expect(found, (older, False), "get_or_create, with a newer one that is closed")
    older.status = SessionStatus.CLOSED
    await store.save(older)
    session, was_created = await store.get_or_create(*_identity(trial), trial.session)
    expect(was_created, True, "whether one is created when all are closed")
    expect(await store.get_by_channel(*_identity(trial)), session, "get_by_channel, after that")


@case(13)
async def the_latest_session_that_is_not_closed_is_gone_on_with(trial: Trial) -> None:
    """Of several it is the one that was saved last, whatever else its status is."""
    store, first, second = await trial.store(), trial.session(), trial.session(status=SessionStatus.IDLE)
    for session in (first, second):
        await store.save(session)
    expect(await store.get_or_create(*_identity(trial), trial.session), (second, False), "get_or_create")
    await store.save(trial.session(status=SessionStatus.CLOSED))
    found = await store.get_or_create(*_identity(trial), trial.session)
    expect(found, (second, False), "get_or_create, with a newer one that is closed")
    await store.save(first)
    found = await store.get_or_create(*_identity(trial), trial.session)
    expect(found, (first, False), "get_or_create, after the first was saved again")


@case(13)
async def of_many_callers_one_creates(trial: Trial) -> None:
    """All get the same session, and one of them is told that it was created."""
    store, created = await trial.store(), []

    async def create() -> Session:
        created.append(trial.session())
        for _ in range(3):
            await asyncio.sleep(0)
        return created[-1]

    calls = [trial.task(store.get_or_create(*_identity(trial), create)) for _ in range(20)]
    answers = [await call for call in calls]
    expect(len({session.session_id for session, _ in answers}), 1, "how many sessions 20 callers got")
    expect(sum(was_created for _, was_created in answers), 1, "how many callers were told that they created it")
    expect(len(created), 1, "how often create was called")
    found = await store.list_by_agent(trial.tenant_id, trial.agent_id)
    expect(found, [answers[0][0]], "list_by_agent, after that")


@case(13)
async def a_create_that_fails_leaves_it_to_the_next(trial: Trial) -> None:
    """Its error comes through to the one that called it; whoever waited creates then."""
    store, may_fail = await trial.store(), asyncio.Event()

    async def failing() -> Session:
        await may_fail.wait()
        raise ZeroDivisionError

    first = trial.task(store.get_or_create(*_identity(trial), failing))
    await trial.let_others_run(store)
    second = trial.task(store.get_or_create(*_identity(trial), trial.session))
    await trial.let_others_run(store)
    may_fail.set()
    with expect_error(ZeroDivisionError, "get_or_create, whose create fails"):
        await first
    _, was_created = await second
    expect(was_created, True, "whether the one that waited creates")


@case(13)
async def what_another_saved_meanwhile_is_gone_on_with(trial: Trial) -> None:
    """What `create` made is not saved then."""
    store, other = await trial.store(), trial.session()

    async def create() -> Session:
        await store.save(other)
        return trial.session()

    found = await store.get_or_create(*_identity(trial), create)
    expect(found, (other, False), "get_or_create, with a session that was saved while it created")
    expect(await store.list_by_agent(trial.tenant_id, trial.agent_id), [other], "list_by_agent, after that")


@case(13)
async def create_must_not_ask_for_what_it_is_to_create(trial: Trial) -> None:
    """It would wait for itself, so it gets `ReentryError`."""
    store = await trial.store()

    async def asking() -> Session:
        session: Session = (await store.get_or_create(*_identity(trial), trial.session))[0]
        return session

    with expect_error(ReentryError, "get_or_create, within create for the same identity"):
        await store.get_or_create(*_identity(trial), asking)
    expect(await store.get_by_channel(*_identity(trial)), None, "get_by_channel, after that")


@case(13)
async def what_create_must_not_make_is_refused(trial: Trial) -> None:
    """Another identity, a closed session, none at all, or one that could not come back equal; nothing is saved."""
    store: Any = await trial.store()
    bad: list[tuple[Any, type[Exception]]] = [
        (lambda: trial.session(tenant_id=trial.other_tenant_id), InvalidArgumentError),
        (lambda: trial.session(channel=Channel.SMS), InvalidArgumentError),
        (lambda: trial.session(user_channel_id="other"), InvalidArgumentError),
        (lambda: trial.session(status=SessionStatus.CLOSED), InvalidArgumentError),
        (lambda: None, InvalidArgumentError),
        (lambda: _spoilt(trial), InvalidSessionError),
    ]
    for create, kind in bad:
        with expect_error(kind, "get_or_create of what it must not make"):
            await store.get_or_create(*_identity(trial), create)
    expect(await store.list_by_agent(trial.tenant_id, trial.agent_id), [], "list_by_agent, after that")


def _spoilt(trial: Trial) -> Session:
    session = trial.session()
    session.variables["x"] = float("nan")
    return session


@case(13)
async def an_id_that_is_taken_is_a_conflict(trial: Trial) -> None:
    """`create` gave the id of a session that is there, and closed: that one stays."""
    store, closed = await trial.store(), trial.session(status=SessionStatus.CLOSED)
    await store.save(closed)
    with expect_error(ConflictError, "get_or_create, with an id that is taken"):
        await store.get_or_create(*_identity(trial), lambda: trial.session(session_id=closed.session_id))
    expect(await store.get(closed.session_id), closed, "get of the session that had the id")
