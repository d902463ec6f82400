"""Stores with a fault in expiry, the cap, changes, loops or the life cycle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sessiondex import (
    Change,
    ChangeKind,
    InMemorySessionStore,
    ScanSessionStore,
    SessionStatus,
    StoreClosedError,
    TenantMismatchError,
)
from sessiondex.clock import EPOCH
from sessiondex.testing.cases import life_cycle
from tests.support.broken_stores.fault import found_by


@found_by(
    "get-by-channel-sees-nothing-that-has-expired",
    "list-by-agent-sees-nothing-that-has-expired",
    "list-by-customer-sees-nothing-that-has-expired",
    "find-sessions-by-step-hash-sees-nothing-that-has-expired",
    "count-by-agent-sees-nothing-that-has-expired",
    "count-by-agent-of-a-status-sees-nothing-that-has-expired",
    "count-by-customer-sees-nothing-that-has-expired",
    "count-by-step-hash-sees-nothing-that-has-expired",
    "count-steps-sees-nothing-that-has-expired",
    "pages-end-where-sessions-have-expired",
    "get-or-create-and-update-skip-expired-sessions",
)
class ListsExpiredSessions(ScanSessionStore[Any]):
    async def _sweep_if_needed(self) -> None:
        pass

    def _seen(self, tenant_id: UUID, since: datetime | None = None) -> Any:  # noqa: ARG002  # the fault
        return super()._seen(tenant_id)


@found_by(
    "get-sees-nothing-that-has-expired",
    "get-of-a-tenant-sees-nothing-that-has-expired",
    "a-save-restarts-the-idle-time",
)
class ExpiresByFirstSave(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.births: dict[UUID, datetime] = {}

    def _apply(self, plan: Any) -> None:
        super()._apply(plan)
        if not isinstance(plan, UUID):  # which is that of a removal
            self.births.setdefault(plan.session_id, plan.last_activity_at)

    def _get(self, session_id: UUID, tenant_id: UUID | None, since: Any) -> Any:
        birth = self.births.get(session_id)
        is_gone = since is not None and birth is not None and birth <= since
        return None if is_gone else super()._get(session_id, tenant_id, since)


@found_by("the-id-of-an-expired-session-is-free", by=TenantMismatchError)
@found_by("delete-sees-nothing-that-has-expired", "delete-many-sees-nothing-that-has-expired")
class KeepsExpiredIds(ScanSessionStore[Any]):
    def _evict_if_idle(self, session_id: UUID, since: datetime | None) -> None:
        pass


@found_by("an-eviction-by-the-cap-is-a-change", by=TimeoutError)
@found_by("the-cap-evicts-the-longest-idle-sessions", "the-cap-applies-to-bulk-saves")
class IgnoresTheCap(InMemorySessionStore[Any]):
    def _evict_surplus(self, since: datetime | None) -> None:
        pass


@found_by("the-cap-evicts-the-longest-idle-sessions", "on-evict-is-called-for-each-session-over-the-cap")
class EvictsTheNewest(ScanSessionStore[Any]):
    def _oldest(self) -> UUID | None:
        return max(self._snapshots, key=lambda key: self._snapshots[key].last_activity_at, default=None)


@found_by("on-evict-may-use-the-store", by=TimeoutError)
@found_by("on-evict-is-called-for-each-session-over-the-cap", "on-evict-is-called-for-each-expired-session")
class NeverCallsOnEvict(ScanSessionStore[Any]):
    def _tell_soon(self) -> None:
        self._evicted.clear()


class _OmitsChanges(ScanSessionStore[Any]):
    """Publishes only the changes for which `omits` is false."""

    def omits(self, kind: ChangeKind, head: Any) -> bool:
        raise NotImplementedError

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        add = self._feed.add

        def add_some(kind: ChangeKind, session_id: UUID, head: Any) -> None:
            if not self.omits(kind, head):
                add(kind, session_id, head)

        self._feed.add = add_some  # type: ignore[method-assign]  # the fault


@found_by("each-change-has-ids-revision-and-stamp", by=TimeoutError)
@found_by("a-batch-publishes-one-change-per-session")
class FeedWithoutDeletes(_OmitsChanges):
    def omits(self, kind: ChangeKind, head: Any) -> bool:  # noqa: ARG002  # the fault
        return kind is ChangeKind.DELETED


@found_by("an-eviction-by-the-cap-is-a-change", "an-expiry-is-a-change", by=TimeoutError)
class FeedWithoutEvictions(_OmitsChanges):
    def omits(self, kind: ChangeKind, head: Any) -> bool:  # noqa: ARG002  # the fault
        return kind is ChangeKind.EVICTED


@found_by("a-waiting-reader-gets-the-next-change", by=TimeoutError)
class FeedWithoutSecondSaves(_OmitsChanges):
    def omits(self, kind: ChangeKind, head: Any) -> bool:
        return kind is ChangeKind.SAVED and head is not None and head[1] > 1


@found_by("a-reader-continues-where-another-ended")
class FeedThatRepeats(ScanSessionStore[Any]):
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        return super().changes(since=since and since - 1)


@found_by("calls-that-change-nothing-publish-nothing")
class FeedOfAttempts(ScanSessionStore[Any]):
    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        count = super()._remove(session_ids, tenant_id)
        if not count:
            self._feed.add(ChangeKind.DELETED, UUID(int=0), (UUID(int=0), 1, EPOCH))
        return count


@found_by("changes-committed-before-the-close-can-still-be-read")
class FeedThatEndsAtOnce(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        self._feed._changes.clear()
        self._feed.check = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # the fault
        self._feed.after = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # as above
        await super().aclose()


@found_by("a-closed-store-refuses-changes", "a-second-running-loop-is-refused-changes")
class ChecksNoLoopInFeed(ScanSessionStore[Any]):
    async def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:  # noqa: ARG002  # the fault
        yield Change(1, ChangeKind.DELETED, UUID(int=0), UUID(int=0), 1, EPOCH)


class _AltersChanges(ScanSessionStore[Any]):
    """Publishes each change as `alter` returns it."""

    def alter(self, change: Change) -> Change:
        raise NotImplementedError

    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        return self._altered(super().changes(since=since))  # created now: a reader starts at the call

    async def _altered(self, changes: AsyncIterator[Change]) -> AsyncIterator[Change]:
        async for change in changes:
            yield self.alter(change)


@found_by("each-change-has-ids-revision-and-stamp")
class FeedOfOneTenant(_AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, tenant_id=UUID(int=0))


@found_by("each-change-has-ids-revision-and-stamp", "a-batch-publishes-one-change-per-session")
class FeedOfFirstRevisions(_AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, revision=1)


@found_by("a-restore-publishes-what-it-stored", "an-expiry-is-a-change", "an-eviction-by-the-cap-is-a-change")
class FeedOfLaterStamps(_AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, stamp=change.stamp + timedelta(microseconds=7))


@found_by("sequences-have-no-gap")
class FeedWithGaps(_AltersChanges):
    def alter(self, change: Change) -> Change:
        return replace(change, sequence=change.sequence * 2)


@found_by("a-reader-that-missed-changes-gets-an-error", "a-sequence-that-was-never-reached-is-refused")
class FeedThatSkips(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._feed.check = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # the fault


@found_by("closing-twice-does-nothing", by=StoreClosedError)
class RefusesASecondClose(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        if self._is_closed:
            raise StoreClosedError
        await super().aclose()


@found_by(
    "a-closed-store-refuses-changes",
    "closing-ends-the-wait-for-a-turn",
    "changes-committed-before-the-close-can-still-be-read",
    by=TimeoutError,
)
@found_by(
    *(str(case) for case in life_cycle.CLOSED if case.name != "a-closed-store-refuses-changes"),
    "a-store-may-be-opened-and-closed",
    "an-error-inside-async-with-closes-the-store",
    "closing-ends-the-wait-for-a-session-to-be-created",
)
class NeverCloses(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        pass


@found_by(*(str(case) for case in life_cycle.ELSEWHERE if case.name != "a-second-running-loop-is-refused-changes"))
class AcceptsAnyLoop(ScanSessionStore[Any]):
    def _move_to_this_loop(self) -> None:
        self._owner = None
        super()._move_to_this_loop()


@found_by("a-store-serves-one-loop-after-another", "a-paused-loop-may-continue-after-another", by=RuntimeError)
class RefusesAnotherLoop(ScanSessionStore[Any]):
    def _move_to_this_loop(self) -> None:
        if self._loop is not None:
            raise RuntimeError("of another loop")
        super()._move_to_this_loop()


@found_by("a-list-of-a-status-has-that-status-alone", "list-by-agent-of-a-status-sees-nothing-that-has-expired")
class IgnoresTheStatus(InMemorySessionStore[Any]):
    """Ignores the status, and expiry if a status is given."""

    def _newest_by_agent(self, tenant: Any, agent: Any, status: Any, limit: int, before: Any, since: Any) -> Any:  # noqa: PLR0917  # as the store has them
        if status is None:
            return super()._newest_by_agent(tenant, agent, None, limit, before, since)
        return super()._newest_by_agent(tenant, agent, None, limit, before, None)


@found_by("count-by-agent-is-the-length-of-the-list", "count-by-agent-of-a-status-sees-one-tenant")
class CountsIdleOnes(InMemorySessionStore[Any]):
    def _count_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> int:
        return super()._count_by_agent(tenant_id, agent_id, status and SessionStatus.IDLE)
