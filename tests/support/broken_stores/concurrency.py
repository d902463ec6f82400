"""Stores with a fault in bulk saves, updates, creation or turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from sessiondex import (
    Channel,
    InvalidArgumentError,
    ReentryError,
    ScanSessionStore,
    SessionNotFoundError,
    TurnTimeoutError,
)
from sessiondex.queries import ChannelQuery, Expected
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore

# -- bulk saves, updates, creation --


@found_by(
    "readers-see-none-or-all",
    "an-invalid-session-in-a-batch-changes-nothing",
    "a-cancelled-batch-is-saved-completely-or-not-at-all",
)
class SavesOneByOne(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, **_: Any) -> list[UUID]:
        ids = []
        for session in list(sessions):
            ids.append(await self.save(session))
            await asyncio.sleep(0)
        return ids


@found_by("save-many-saves-as-if-one-after-another", "load-saves-any-number-from-any-iterable")
class SavesBackwards(ScanSessionStore[Any]):
    async def _put_many(self, sessions: Sequence[Any], *rest: Any, **options: Any) -> list[UUID]:
        return (await super()._put_many(sessions[::-1], *rest, **options))[::-1]


@found_by("of-two-with-the-same-id-the-later-replaces-the-earlier")
class KeepsTheEarlierOfTwo(ScanSessionStore[Any]):
    async def _put_many(self, sessions: Sequence[Any], *rest: Any, **options: Any) -> list[UUID]:
        last = list({one.session_id: one for one in reversed(sessions)}.values())[::-1]
        await super()._put_many(last, *rest, **options)
        return [one.session_id for one in sessions]


@found_by("batches-before-a-failed-one-stay")
class LoadsAllOrNothing(ScanSessionStore[Any]):
    async def load(self, sessions: Any, *, batch: int = 500) -> int:  # noqa: ARG002  # the fault
        return len(await self.save_many(sessions))


@found_by("an-iterable-that-fails-saves-and-deletes-nothing")
class SavesBeforeTheError(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, **options: Any) -> list[UUID]:
        given = []
        try:
            for session in sessions:
                given.append(session)  # noqa: PERF402  # they are saved although the iterable fails
        finally:
            ids = await super().save_many(given, **options)
        return ids


@found_by(
    "another-revision-than-was-expected-is-not-replaced", "of-many-saves-that-expect-the-same-revision-one-succeeds"
)
class LosesUpdates(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:  # noqa: ARG002  # the fault
        return await super().save(session, touch=touch)


@found_by(
    "no-increment-is-lost",
    "update-starts-over-after-another-save",
    "update-raises-the-conflict-of-the-last-attempt",
)
class UpdatesWithoutRevision(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        return await super()._put(
            session, expected if expected is None or expected.generation is None else None, touch=touch
        )


@found_by("update-overwrites-no-session-that-was-deleted-and-saved-again")
class UpdatesByRevisionAlone(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        return await super()._put(session, None if expected is None else Expected(expected.revision), touch=touch)


@found_by(
    "of-many-callers-one-creates",
    "get-or-create-returns-a-session-saved-during-create",
    "get-or-create-within-create-for-the-same-identity-is-refused",
    "get-or-create-in-a-task-of-create-is-refused",
    "an-invalid-result-of-create-is-refused",
    "an-id-that-is-in-use-is-a-conflict",
)
class CreatesWithoutLock(ScanSessionStore[Any]):
    async def get_or_create(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str, create: Any) -> Any:
        found = await self._latest(ChannelQuery(tenant_id, channel, user_channel_id, is_open=True))
        if found is not None:
            return found, False
        made = create()
        session = (await made) if asyncio.iscoroutine(made) else made
        await self.save(session)
        return session, True


@found_by("get-or-create-in-a-task-of-create-is-refused")
class WaitsForItsOwnTask(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.creation = asyncio.Lock()

    async def get_or_create(self, *arguments: Any) -> Any:
        async with self.creation:
            return await super().get_or_create(*arguments)


_HAS_CREATED: ContextVar[bool] = ContextVar("has_created", default=False)


@found_by("a-task-that-outlives-create-may-call-get-or-create", by=ReentryError)
class RefusesTasksForEver(ScanSessionStore[Any]):
    async def get_or_create(self, *arguments: Any) -> Any:
        if _HAS_CREATED.get():
            raise ReentryError
        token = _HAS_CREATED.set(True)
        try:  # tasks that `create` starts inherit the value, and keep it after the reset
            return await super().get_or_create(*arguments)
        finally:
            _HAS_CREATED.reset(token)


class _FindsClosedSessions(OpenBackend):
    def latest(self, query: Any, cutoff: int | None) -> Any:
        return super().latest(query._replace(is_open=False), cutoff)


@found_by("get-or-create-skips-closed-sessions", "get-or-create-finds-the-latest-session-that-is-not-closed")
class FindsClosedSessions(PartsStore):
    backend_class = _FindsClosedSessions


@found_by("update-saves-what-it-returns", "update-and-get-or-create-give-the-class-back")
class ReturnsTheOldSession(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, **options: Any) -> Any:
        before = await self.get(session_id)
        await super().update(session_id, change, **options)
        return before


@found_by("update-of-a-missing-session-is-refused")
class IgnoresMissingSessions(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, **options: Any) -> Any:
        with suppress(SessionNotFoundError):
            return await super().update(session_id, change, **options)


@found_by("update-accepts-coroutine-functions-that-return-another-session")
class IgnoresReturnedSessions(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, **options: Any) -> Any:
        async def in_place(current: Any) -> None:
            made = change(current)
            if asyncio.iscoroutine(made):
                await made

        return await super().update(session_id, in_place, **options)


@found_by("get-or-create-creates-once", "of-many-callers-one-creates")
class AlwaysReportsCreation(ScanSessionStore[Any]):
    async def get_or_create(self, *arguments: Any) -> Any:
        return (await super().get_or_create(*arguments))[0], True


@found_by("create-may-be-a-coroutine-function", by=InvalidArgumentError)
@found_by("a-waiting-caller-creates-after-create-failed")
class RefusesCoroutineFunctions(ScanSessionStore[Any]):
    async def get_or_create(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str, create: Any) -> Any:
        def created() -> Any:
            made = create()
            if asyncio.iscoroutine(made):
                made.close()
                raise InvalidArgumentError("create", "must be no coroutine function")
            return made

        return await super().get_or_create(tenant_id, channel, user_channel_id, created)


# -- a clock that fails, empty batches, unopened stores --


@found_by("a-clock-that-fails-changes-nothing")
class SavesWithoutClock(PartsStore):
    async def save(self, session: Any, **options: Any) -> UUID:
        try:
            return await super().save(session, **options)
        except ZeroDivisionError:
            self.backend.plant(session.model_copy(deep=True))
            raise


@found_by("an-empty-batch-changes-nothing")
class ReturnsAnIdForNothing(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, **options: Any) -> list[UUID]:
        return await super().save_many(sessions, **options) or [UUID(int=0)]


@found_by("a-store-need-not-be-opened")
class RequiresOpening(ScanSessionStore[Any]):
    is_open = False

    async def __aenter__(self) -> Any:
        self.is_open = True
        return await super().__aenter__()

    async def health_check(self) -> bool:
        return self.is_open and await super().health_check()


# -- turns --


@found_by("one-task-at-a-time-holds-the-turn", "a-turn-that-is-not-free-in-time-is-an-error")
class NeverLocksTurns(ScanSessionStore[Any]):
    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ARG002, ASYNC109  # the fault
        yield


@found_by("turns-are-granted-in-order-of-arrival")
class ServesTheLastFirst(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.waiting: list[asyncio.Event] = []
        self.is_taken = False

    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ARG002, ASYNC109  # as above
        if self.is_taken:
            self.waiting.append(asyncio.Event())
            await self.waiting[-1].wait()
        self.is_taken = True
        yield
        self.is_taken = False
        if self.waiting:
            self.waiting.pop().set()


@found_by("a-task-that-asks-for-its-own-turn-is-refused", "each-session-has-its-own-turn", by=TimeoutError)
class OneLockForAll(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.turn = asyncio.Lock()

    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ARG002, ASYNC109  # as above
        async with self.turn:
            yield


@found_by("a-turn-blocks-no-reads-and-saves", by=TurnTimeoutError)
class LocksSavesToo(ScanSessionStore[Any]):
    async def save(self, session: Any, **options: Any) -> UUID:
        async with self._hold_session(session.session_id, 0):
            return await super().save(session, **options)


@found_by("a-cancelled-task-releases-the-turn", by=TimeoutError)
@found_by("an-error-releases-the-turn", by=TimeoutError)
class KeepsTurnsAfterErrors(ScanSessionStore[Any]):
    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # as above
        await self._session_locks.acquire(session_id.bytes, timeout)
        yield
        self._session_locks.release(session_id.bytes)
