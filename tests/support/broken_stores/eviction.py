"""Stores with a fault in expiry, the cap or `on_evict`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sessiondex import ScanSessionStore, TenantMismatchError
from sessiondex.clock import StampClock, to_microseconds
from sessiondex.queries import Expected
from sessiondex.stores.evictor import Evictor
from sessiondex.stores.scan import ScanHead
from sessiondex.stores.writer import Writer
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import OpenBackend, PartsStore


class _NeverExpires(StampClock):
    def cutoff(self) -> int | None:
        return None


@found_by(
    "get-by-channel-sees-nothing-that-has-expired",
    "list-by-agent-sees-nothing-that-has-expired",
    "list-by-customer-sees-nothing-that-has-expired",
    "list-by-customer-of-a-status-sees-nothing-that-has-expired",
    "list-by-channel-sees-nothing-that-has-expired",
    "list-by-tenant-sees-nothing-that-has-expired",
    "list-by-tenant-of-a-status-sees-nothing-that-has-expired",
    "an-own-field-sees-nothing-that-has-expired",
    "get-many-sees-nothing-that-has-expired",
    "find-sessions-by-step-hash-sees-nothing-that-has-expired",
    "count-by-agent-sees-nothing-that-has-expired",
    "count-by-agent-of-a-status-sees-nothing-that-has-expired",
    "count-by-customer-sees-nothing-that-has-expired",
    "count-by-customer-of-a-status-sees-nothing-that-has-expired",
    "count-by-channel-sees-nothing-that-has-expired",
    "count-by-tenant-sees-nothing-that-has-expired",
    "count-by-tenant-of-a-status-sees-nothing-that-has-expired",
    "count-by-step-hash-sees-nothing-that-has-expired",
    "count-steps-sees-nothing-that-has-expired",
    "pages-end-where-sessions-have-expired",
    "get-or-create-and-update-skip-expired-sessions",
)
class ListsExpiredSessions(PartsStore):
    clock_class = _NeverExpires


@found_by(
    "get-sees-nothing-that-has-expired",
    "get-of-a-tenant-sees-nothing-that-has-expired",
    "a-save-restarts-the-idle-time",
)
class ExpiresByFirstSave(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.first_saves: dict[UUID, datetime] = {}

    async def _put(self, session: Any, expected: Expected | None, *, touch: bool) -> UUID:
        session_id = await super()._put(session, expected, touch=touch)
        self.first_saves.setdefault(session_id, session.last_activity_at)
        return session_id

    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> Any:
        first, cutoff = self.first_saves.get(session_id), self._clock.cutoff()
        has_expired = first is not None and cutoff is not None and to_microseconds(first) <= cutoff
        return None if has_expired else await super()._find(session_id, tenant_id)


class _ComparesStampsAlone(StampClock):
    def cutoff(self) -> int | None:
        return None if self._idle is None else max(self.now() - self._idle, 0)


@found_by("after-the-clock-was-ahead-sessions-expire-by-the-corrected-clock")
class KeepsWhatWasSavedAhead(PartsStore):
    clock_class = _ComparesStampsAlone


class _ForgetsWhatWasAhead(StampClock):
    def cutoff(self) -> int | None:
        if self._idle is None or self._last_stamp <= self.now():
            return super().cutoff()
        return self._last_stamp + 1


@found_by("after-the-clock-was-ahead-sessions-expire-by-the-corrected-clock")
class DropsWhatWasSavedAhead(PartsStore):
    clock_class = _ForgetsWhatWasAhead


class _KeepsExpired(Writer[Any, Any]):
    def _evict_if_expired(self, session_id: UUID, cutoff: int | None) -> None:
        pass


@found_by("the-id-of-an-expired-session-is-free", by=TenantMismatchError)
@found_by("delete-sees-nothing-that-has-expired", "delete-many-sees-nothing-that-has-expired")
class KeepsExpiredIds(PartsStore):
    writer_class = _KeepsExpired


class _IgnoresTheCap(Writer[Any, Any]):
    def evict_surplus(self, budget_seconds: float) -> bool:  # noqa: ARG002  # the fault
        return False


@found_by("an-eviction-by-the-cap-is-a-change", by=TimeoutError)
@found_by("the-cap-evicts-the-longest-idle-sessions", "the-cap-applies-to-bulk-saves")
class IgnoresTheCap(PartsStore):
    writer_class = _IgnoresTheCap


class _EvictsAfterSaves(Evictor[Any, Any]):
    async def after(self, save_count: int) -> None:
        if save_count:
            await super().after(save_count)


@found_by("restore-keeps-to-the-cap")
class IgnoresTheCapInRestore(PartsStore):
    evictor_class = _EvictsAfterSaves


class _EvictsTheNewest(OpenBackend):
    def oldest(self) -> ScanHead | None:
        newest = max(self._snapshots.values(), key=lambda one: one.last_activity_at, default=None)
        return newest and self.head(newest.session_id)


@found_by(
    "the-cap-evicts-the-longest-idle-sessions",
    "restore-keeps-to-the-cap",
    "on-evict-is-called-for-each-session-over-the-cap",
)
class EvictsTheNewest(PartsStore):
    backend_class = _EvictsTheNewest


@found_by("restore-keeps-to-the-cap")
class KeepsTheRestoredOfMany(ScanSessionStore[Any]):
    """Cuts each batch to the cap, and not what is stored."""

    async def _restore(self, versions: Sequence[tuple[Any, int, int]]) -> int:
        return await super()._restore(versions[: self._policy.max_sessions])


class _NeverNotifies(Evictor[Any, Any]):
    def notify(self) -> None:
        pass


@found_by("on-evict-may-use-the-store", by=TimeoutError)
@found_by(
    "on-evict-is-called-for-each-session-over-the-cap",
    "on-evict-is-called-for-each-expired-session",
    "aclose-returns-after-the-last-call-of-on-evict",
)
class NeverCallsOnEvict(PartsStore):
    evictor_class = _NeverNotifies

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._notifier = None


@found_by("aclose-returns-after-the-last-call-of-on-evict", "on-evict-is-called-for-each-expired-session")
class ClosesWithUnreportedEvictions(ScanSessionStore[Any]):
    async def _release(self) -> None:
        self._notifier = None
        await super()._release()
