"""Law 5, at every place at which an operation can be cancelled: all or nothing, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from sessiondex import ScanSessionStore, Session
from tests.support.cancel_anywhere import CancelledRun, CancelPoint, cancel_everywhere, ended
from tests.support.contract_methods import missing_in
from tests.support.operations import CONTENTION, IDENTITY, OPERATIONS, Operation, Stage, session
from tests.support.sizes import IS_STRESS
from tests.support.stores import STORES, check_indexes, check_no_lock_is_held, lock_of, session_locks_of
from tests.support.virtual_time import run

Run = Callable[[Stage], Coroutine[Any, Any, Any]]


def examine(make_store: Callable[..., Any], name: str, contention: str) -> int:
    """Cancel the operation at each of its suspensions, in each way, and return how many there are."""
    operation = OPERATIONS[name]
    others = CONTENTION[contention]

    async def outcome(part: Run | None) -> Any:
        stage = await staged(make_store, operation)
        await asyncio.gather(*started(stage, others), *([] if part is None else [part(stage)]))
        return await stage.content()

    after = run(outcome(operation.run))
    before = run(outcome(None)) if operation.is_undone else after
    allowed = [before, after, *(run(outcome(part)) for part in operation.parts)]
    return cancel_everywhere(lambda cut: run(cut_short(make_store, operation, others, cut, allowed)))


async def cut_short(
    make_store: Callable[..., Any], operation: Operation, others: Run | None, cut: CancelPoint, allowed: list[Any]
) -> CancelledRun[Any]:
    """Cancel the operation on a stage of its own, and check the outcome."""
    before, after, *_ = allowed
    stage = await staged(make_store, operation)
    async with asyncio.timeout(10):
        contenders = started(stage, others)
        task, cancelled = await ended(operation.run(stage), cut)
        await asyncio.gather(*contenders)
    assert task.cancelled() == cancelled.is_cut, f"{cut}: the cancellation was swallowed: {task}"
    if not cancelled.is_cut:
        await task
    await check_nothing_is_left(stage, str(cut))
    check_indexes(stage.store)
    content = await stage.content()
    assert content in (allowed if cancelled.is_cut else [after]), f"{cut}: neither as before nor as after: {content}"
    assert stage.created.count(True) <= 1, f"{cut}: it was created twice"

    async with asyncio.timeout(10):
        await operation.run(stage)
    await check_nothing_is_left(stage, f"{cut}, and again")
    if cancelled.is_cut and content == before != after:
        assert await stage.content() == after, f"{cut}: it does not work any more"
    return cancelled


async def staged(make_store: Callable[..., Any], operation: Operation) -> Stage:
    stage = Stage(make_store, operation.options)
    await stage.fill(operation.stored)
    return stage


def started(stage: Stage, others: Run | None) -> list[asyncio.Task[Any]]:
    """Set others to work. They begin before what is started or awaited next."""
    return [] if others is None else [asyncio.ensure_future(others(stage))]


async def check_nothing_is_left(stage: Stage, when: str) -> None:
    store = stage.store
    for _ in range(100):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}, f"{when}: a task was left"
    check_no_lock_is_held(store, when)


def test_every_method_is_among_the_operations() -> None:
    assert missing_in(set(OPERATIONS)) == set()


@pytest.mark.search
@pytest.mark.parametrize(
    ("name", "contention"), [(name, one) for name, operation in OPERATIONS.items() for one in operation.contention]
)
@pytest.mark.parametrize("kind", STORES if IS_STRESS else ("indexed", "scan"))
def test_an_operation_is_cancelled_wherever_it_can_be(kind: str, name: str, contention: str) -> None:
    """The cancellation comes out, the store is as before or as after, nothing is left, and the next one works."""
    cls, defaults = STORES[kind]
    suspensions = examine(partial(cls, **defaults), name, contention)

    assert (suspensions > 0) == (contention in OPERATIONS[name].waits)


@pytest.mark.parametrize("place", range(6))
def test_those_who_wait_for_a_creation_that_is_cancelled(make_store: Any, place: int) -> None:
    """One of them creates it, and all the others find it."""
    creation = OPERATIONS["get_or_create"]

    async def main(cut: CancelPoint) -> None:
        stage = await staged(make_store, creation)
        first = asyncio.ensure_future(ended(creation.run(stage), cut))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.gather(*(creation.run(stage) for _ in range(3)))
        task, run = await first
        assert task.cancelled() == run.is_cut == (place < 3)
        assert sorted(stage.created) == [False] * (2 + (not run.is_cut)) + [True]
        found = await stage.store.get_by_channel(*IDENTITY)
        assert (found.session_id, found.revision) == (session(150).session_id, 1)
        await check_nothing_is_left(stage, str(cut))

    for as_it_wakes in (False, True):
        run(main(CancelPoint(place, as_it_wakes)))


# -- planted bugs --


class StampsLater(ScanSessionStore[Session]):
    """Splits a write: the session that was given shows later that it was saved."""

    async def save(self, session: Session, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        copy = session.model_copy(deep=True)
        await super().save(copy, expected_revision=expected_revision, touch=touch)
        await asyncio.sleep(0)
        session.last_activity_at, session.revision = copy.last_activity_at, copy.revision
        return session.session_id


class OneByOne(ScanSessionStore[Session]):
    """Splits a batch."""

    async def delete_many(self, session_ids: Any, *, tenant_id: UUID | None = None) -> int:
        number = 0
        for session_id in session_ids:
            number += await super().delete(session_id, tenant_id=tenant_id)
            await asyncio.sleep(0)
        return number


class Swallows(ScanSessionStore[Session]):
    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        try:
            return await super().delete(session_id, tenant_id=tenant_id)
        except asyncio.CancelledError:
            return False


class KeepsLock(ScanSessionStore[Session]):
    async def save(self, session: Session, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        lock = lock_of(self)
        await lock.acquire()
        await asyncio.sleep(0)
        lock.release()
        return await super().save(session, expected_revision=expected_revision, touch=touch)


class KeepsSessionLock(ScanSessionStore[Session]):
    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # as there
        await session_locks_of(self).acquire(session_id.bytes, timeout)
        yield
        session_locks_of(self).release(session_id.bytes)


class KeepsTask(ScanSessionStore[Session]):
    """Leaves a task that waits for ever."""

    async def list_by_agent(self, *arguments: Any, **options: Any) -> list[Session]:
        try:
            return await super().list_by_agent(*arguments, **options)
        except asyncio.CancelledError:
            self.waiting = asyncio.ensure_future(asyncio.Event().wait())
            raise


class LosesSessionLock(ScanSessionStore[Session]):
    """Acquires the lock of a session just as its task is cancelled, and never releases it."""

    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # as there
        acquiring = session_locks_of(self).acquire(session_id.bytes, timeout)
        await asyncio.shield(asyncio.ensure_future(acquiring))
        try:
            yield
        finally:
            session_locks_of(self).release(session_id.bytes)


@pytest.mark.parametrize(
    ("cls", "name", "contention", "complaint"),
    [
        (StampsLater, "save", "alone", "neither as before nor as after"),
        (OneByOne, "delete_many", "alone", "neither as before nor as after"),
        (Swallows, "delete", "lock", "swallowed"),
        (KeepsLock, "save", "alone", "the lock is held"),
        (KeepsSessionLock, "exclusive", "alone", "the lock of a session is held"),
        (KeepsTask, "list_by_agent", "alone", "a task was left"),
        (LosesSessionLock, "exclusive", "session lock", "the lock of a session is held"),
    ],
)
def test_a_store_that_is_cut_in_two_is_found(cls: Any, name: str, contention: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        examine(cls, name, contention)
