"""Stores with a fault in updates that create, in the number of attempts, or in batches that expect revisions."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import Any
from uuid import UUID

from sessiondex import ConflictError, InvalidArgumentError, ScanSessionStore, SessionNotFoundError
from sessiondex.queries import Expected
from sessiondex.stores.writer import Writer
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import PartsStore


async def _made(create: Any) -> Any:
    made = create()
    return (await made) if isawaitable(made) else made


@found_by("update-creates-a-missing-session", by=SessionNotFoundError)
class NeverCreates(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, *, create: Any = None, **options: Any) -> Any:  # noqa: ARG002  # the fault
        return await super().update(session_id, change, **options)


@found_by("update-creates-a-missing-session", "an-invalid-creation-by-update-changes-nothing")
@found_by("update-with-create-changes-a-session-that-exists")
class SavesBeforeItChanges(ScanSessionStore[Any]):
    """Saves what `create` returns, and then changes it."""

    async def update(self, session_id: UUID, change: Any, *, create: Any = None, **options: Any) -> Any:
        if create is not None and await self.get(session_id) is None:
            made = await _made(create)
            if made is not None and made != 5:
                await self.save(made)
        return await super().update(session_id, change, **options)


@found_by("update-with-create-changes-a-session-that-exists")
class CreatesFirst(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, *, create: Any = None, **options: Any) -> Any:
        made = None if create is None else await _made(create)
        return await super().update(session_id, change, create=create and (lambda: made), **options)


@found_by("an-update-whose-creation-comes-second-changes-the-first")
class CreatesOverOthers(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        return await super()._put(session, None if expected == Expected(0) else expected, touch=touch)


@found_by("create-of-update-runs-again-after-a-conflict")
class KeepsWhatItCreated(ScanSessionStore[Any]):
    async def update(self, session_id: UUID, change: Any, *, create: Any = None, **options: Any) -> Any:
        kept: list[Any] = []

        async def create_once() -> Any:
            if not kept:
                kept.append(await _made(create))
            return kept[0]

        return await super().update(session_id, change, create=create and create_once, **options)


@found_by("concurrent-updates-by-plain-functions-all-succeed")
class UpdatesSlowly(ScanSessionStore[Any]):
    """Lets other tasks run between reading and saving, and does not notice when they save."""

    async def update(self, session_id: UUID, change: Any, *, create: Any = None, **_: Any) -> Any:
        found = await self.get(session_id)
        await asyncio.sleep(0)
        if found is None:
            found = create()
        else:
            change(found)
        await self.save(found)
        return found


class _PausesBeforeSaves(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        await asyncio.sleep(0)
        return await super()._put(session, expected, touch=touch)


@found_by("concurrent-updates-by-plain-functions-all-succeed", by=ConflictError)
@found_by("a-coroutine-function-is-tried-five-times")
class GivesUpAfterThreeAttempts(_PausesBeforeSaves):
    async def update(self, session_id: UUID, change: Any, *, attempts: int | None = None, **options: Any) -> Any:
        return await super().update(session_id, change, attempts=attempts or 3, **options)


@found_by("a-batch-with-one-conflict-saves-nothing", "of-batches-that-expect-the-same-revision-one-succeeds")
class IgnoresExpectedRevisions(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, *, expected_revisions: Any = None, touch: bool = True) -> list[UUID]:  # noqa: ARG002  # the fault
        return await super().save_many(sessions, touch=touch)


@found_by("a-batch-with-one-conflict-saves-nothing", "of-batches-that-expect-the-same-revision-one-succeeds")
class SavesUpToTheConflict(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, *, expected_revisions: Any = None, touch: bool = True) -> list[UUID]:
        given = list(sessions)
        expected = expected_revisions or [None] * len(given)
        for session, revision in zip(given, expected, strict=True):
            await self.save(session, expected_revision=revision, touch=touch)
        return [session.session_id for session in given]


class _ExpectsWhatIsStored(Writer[Any, Any]):
    def put_many(self, batch: Any, expected: Any = None, **options: Any) -> Any:
        for prepared, one in zip(batch, expected or [None] * len(batch), strict=True):
            head = self._backend.head(prepared.session_id)
            stored = 0 if head is None else head.revision
            if one is not None and one.revision != stored:
                raise ConflictError(prepared.session_id, one.revision, stored)
        return super().put_many(batch, None, **options)


@found_by("a-batch-replaces-the-revisions-that-it-expects", by=ConflictError)
@found_by("a-batch-with-one-conflict-saves-nothing")
class ExpectsWhatIsStored(PartsStore):
    writer_class = _ExpectsWhatIsStored


@found_by("a-batch-replaces-the-revisions-that-it-expects", by=InvalidArgumentError)
class RefusesToExpectNothing(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, *, expected_revisions: Any = None, touch: bool = True) -> list[UUID]:
        if None in (expected_revisions or ()):
            raise InvalidArgumentError("expected_revisions", "must be ints")
        return await super().save_many(sessions, expected_revisions=expected_revisions, touch=touch)
