"""Stores with a fault in `export` or `restore`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sessiondex import InvalidArgumentError, ScanSessionStore, TenantMismatchError
from sessiondex.clock import StampClock
from sessiondex.contract import OnReindexed, ReindexProgress
from sessiondex.snapshots.class_codec import write_back_version
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import PartsStore


@found_by("export-gives-all-sessions-once")
class ExportsTheFirstPage(ScanSessionStore[Any]):
    async def export(self, **options: Any) -> Any:
        page, _ = await super().export(**options)
        return page, None


@found_by("restore-keeps-stamps-and-revisions", "restored-sessions-are-in-order-of-their-stamps")
class RestoresBySaving(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        given = [session.model_copy() for session in sessions]
        count = await super().restore(given)
        return len(await self.save_many(given)) if count else 0


@found_by("restore-leaves-later-saves-alone", "restoring-twice-changes-nothing")
class RestoresEarlierSaves(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        for session in sessions:
            await self.delete(session.session_id)
        return await super().restore(sessions)


class _ForgetfulClock(StampClock):
    def advance_to(self, stamp: int) -> None:
        pass

    def advance_to_restored(self, stamp: int) -> None:
        super().advance_to(stamp)


@found_by("saves-after-a-restore-have-later-stamps")
class ForgetsRestoredStamps(PartsStore):
    clock_class = _ForgetfulClock


@found_by("saves-after-a-restore-have-later-stamps")
class RemembersTheLastRestored(ForgetsRestoredStamps):
    """Makes later stamps greater than that of the last session given, instead of the latest one."""

    async def _restore(self, versions: Sequence[tuple[Any, int, int]]) -> int:
        count = await super()._restore(versions)
        if isinstance(self._clock, _ForgetfulClock):
            self._clock.advance_to_restored(versions[-1][1])
        return count


@found_by("restore-refuses-invalid-and-unsaved-sessions")
class RestoresOneByOne(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        count = 0
        for session in sessions:
            count += await super().restore([session])
        return count


@found_by("restore-refuses-an-id-of-another-tenant")
class RestoresOverOtherTenants(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        try:
            return await super().restore(sessions)
        except TenantMismatchError:
            for session in sessions:
                await self.delete(session.session_id)
            return await super().restore(sessions)


@found_by("export-and-restore-refuse-bad-arguments")
class AcceptsAnyExport(ScanSessionStore[Any]):
    async def export(self, **options: Any) -> Any:
        try:
            return await super().export(**options)
        except InvalidArgumentError:
            return [], None


@found_by("export-and-restore-skip-expired-sessions")
class RestoresExpiredSessions(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        count = await super().restore(sessions)
        if not count:
            for session in sessions:
                write_back_version(session, self._clock.now(), session.revision)
            return await super().restore(sessions)
        return count


@found_by(
    "restored-sessions-with-equal-stamps-get-distinct-stamps",
    "pages-and-counts-include-sessions-restored-with-equal-stamps",
)
class KeepsEqualStamps(PartsStore):
    async def restore(self, sessions: Any) -> int:
        given = list(sessions)
        count = await super().restore(given)
        for session in given:
            stored = self.backend.find(session.session_id)
            vars(stored)["last_activity_at"] = session.last_activity_at
        return count


@found_by("a-copy-of-a-copy-is-identical", "restore-keeps-stamps-and-revisions")
class MovesEveryStamp(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        later = timedelta(microseconds=1)
        moved = [one.model_copy(update={"last_activity_at": one.last_activity_at + later}) for one in sessions]
        return await super().restore(moved)


@found_by("restore-replaces-a-version-by-a-later-one-of-its-stamp", "a-copy-is-brought-up-to-date")
class RestoresByStampAlone(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        given = []
        for session in sessions:
            stored = await self.get(session.session_id)
            if stored is None or stored.last_activity_at != session.last_activity_at:
                given.append(session)
        return await super().restore(given)


@found_by("restored-sessions-are-found-by-own-fields")
class ForgetsFieldsOfRestored(PartsStore):
    async def _restore(self, versions: Sequence[tuple[Any, int, int]]) -> int:
        count = await super()._restore(versions)
        for session, _, _ in versions:
            stored = self.backend.find(session.session_id)
            if hasattr(stored, "mark"):
                vars(stored)["mark"] = None
        return count


@found_by("reindex-changes-no-session")
class ReindexesBySaving(PartsStore):
    async def _reindex(self, progress: OnReindexed | None) -> ReindexProgress:  # noqa: ARG002  # the fault
        sessions, _ = await self._export(None, 1_000)
        await self.save_many(sessions)
        return ReindexProgress(len(sessions), len(sessions))


@found_by("reindex-changes-no-session")
class CountsMoreThanItRead(ScanSessionStore[Any]):
    async def _reindex(self, progress: OnReindexed | None) -> ReindexProgress:  # noqa: ARG002  # the fault
        return ReindexProgress(read=0, reindexed=1)


@found_by("restore-refuses-one-id-for-two-tenants")
class RestoresTheLastTenant(ScanSessionStore[Any]):
    async def restore(self, sessions: Any) -> int:
        return await super().restore({session.session_id: session for session in sessions}.values())
