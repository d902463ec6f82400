"""Stores with a fault in saves without touch, or in touch."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sessiondex import Change, ChangeKind, ConflictError, ScanSessionStore
from sessiondex.queries import Expected
from sessiondex.stores.writer import Writer
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.feed import AltersChanges
from tests.support.broken_stores.parts import PartsStore


@found_by(
    "a-save-without-touch-keeps-the-stamp",
    "a-stale-session-gets-the-stored-stamp-without-touch",
    "an-update-without-touch-keeps-the-stamp",
    "polling-with-after-does-not-see-saves-without-touch",
    "a-save-without-touch-restarts-no-idle-time",
)
class TouchesWithEachSave(ScanSessionStore[Any]):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:  # noqa: ARG002  # the fault
        return await super()._put(session, expected, touch=True)


@found_by("a-batch-without-touch-keeps-stamps", "a-save-without-touch-restarts-no-idle-time")
class TouchesWithEachBatch(ScanSessionStore[Any]):
    async def save_many(self, sessions: Any, **options: Any) -> list[UUID]:
        return await super().save_many(sessions, **{**options, "touch": True})


@found_by("a-stale-session-gets-the-stored-stamp-without-touch", "a-new-session-gets-a-stamp-without-touch")
class TrustsTheGivenStamp(PartsStore):
    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        given = session.last_activity_at
        session_id = await super()._put(session, expected, touch=touch)
        if not touch:
            for one in (session, self.backend.find(session_id)):
                vars(one)["last_activity_at"] = given
        return session_id


class _StampsNewOnesOfBatches(Writer[Any, Any]):
    def put_many(self, batch: Any, *rest: Any, touch: bool = True, **options: Any) -> Any:
        is_known = all(self._backend.head(one.session_id) for one in batch)
        return super().put_many(batch, *rest, touch=touch or not is_known, **options)


@found_by("a-batch-without-touch-keeps-stamps")
class TouchesBatchesWithNewSessions(PartsStore):
    writer_class = _StampsNewOnesOfBatches


@found_by(
    "a-touch-does-not-fail-a-save-that-expects-a-revision",
    "a-touch-during-an-update-does-not-make-it-start-over",
    by=ConflictError,
)
@found_by("a-touch-gives-a-new-stamp-and-keeps-the-revision", "a-touch-is-a-change")
class TouchesBySaving(ScanSessionStore[Any]):
    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        found = await self._find(session_id, tenant_id)
        if found is not None:
            await self.save(found)
        return found is not None


@found_by("a-touch-gives-a-new-stamp-and-keeps-the-revision", "a-touch-of-no-session-of-the-tenant-changes-nothing")
class NeverTouches(ScanSessionStore[Any]):
    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        return await self._find(session_id, tenant_id) is not None


@found_by("a-touch-of-no-session-of-the-tenant-changes-nothing")
class TouchesForAnyTenant(ScanSessionStore[Any]):
    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:  # noqa: ARG002  # the fault
        return await super()._touch(session_id, None)


@found_by("a-touch-is-a-change")
class FeedOfTouchesAsSaves(AltersChanges):
    def alter(self, change: Change) -> Change:
        if change.kind is not ChangeKind.TOUCHED:
            return change
        return Change(
            change.sequence, ChangeKind.SAVED, change.tenant_id, change.session_id, change.revision, change.stamp
        )


@found_by("a-touch-during-an-update-does-not-make-it-start-over")
class UpdatesWithTheStampItRead(PartsStore):
    """An update without touch puts back the stamp that the session had when the update read it."""

    async def update(self, session_id: UUID, change: Any, *, touch: bool = True, **options: Any) -> Any:
        before = await self.get(session_id)
        changed = await super().update(session_id, change, touch=touch, **options)
        if not touch and before is not None:
            for one in (changed, self.backend.find(session_id)):
                vars(one)["last_activity_at"] = before.last_activity_at
        return changed
