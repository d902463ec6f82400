"""Faults that show over time: expiry, the cap, changes, loops and the life cycle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
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
from sessiondex.testing.cases import closing
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
    "an-expired-session-is-not-gone-on-with",
)
class ShowsWhatHasExpired(ScanSessionStore[Any]):
    async def _sweep_if_needed(self) -> None:
        pass

    def _seen(self, tenant_id: UUID, since: datetime | None = None) -> Any:  # noqa: ARG002  # the fault
        return super()._seen(tenant_id)


@found_by(
    "get-sees-nothing-that-has-expired",
    "get-of-a-tenant-sees-nothing-that-has-expired",
    "a-save-makes-a-session-young-again",
)
class CountsFromTheFirstSave(ScanSessionStore[Any]):
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


@found_by("what-has-expired-is-in-nobodys-way", by=TenantMismatchError)
@found_by("delete-sees-nothing-that-has-expired", "delete-many-sees-nothing-that-has-expired")
class ExpiredIdsAreTaken(ScanSessionStore[Any]):
    def _evict_if_idle(self, session_id: UUID, since: datetime | None) -> None:
        pass


@found_by("what-the-cap-lets-go-is-a-change", by=TimeoutError)
@found_by("of-more-than-the-cap-the-longest-idle-go", "the-cap-holds-for-bulk-too")
class IgnoresTheCap(InMemorySessionStore[Any]):
    def _evict_surplus(self, since: datetime | None) -> None:
        pass


@found_by("of-more-than-the-cap-the-longest-idle-go", "on-evict-is-told-of-each-that-the-cap-let-go")
class LetsTheNewestGo(ScanSessionStore[Any]):
    def _oldest(self) -> UUID | None:
        return max(self._snapshots, key=lambda key: self._snapshots[key].last_activity_at, default=None)


@found_by("on-evict-may-use-the-store", by=TimeoutError)
@found_by("on-evict-is-told-of-each-that-the-cap-let-go", "on-evict-is-told-of-each-that-expired")
class TellsNobody(ScanSessionStore[Any]):
    def _tell_soon(self) -> None:
        self._evicted.clear()


class _NoEntries(ScanSessionStore[Any]):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:
        raise NotImplementedError

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        add = self._feed.add

        def added(kind: ChangeKind, before: Any, after: Any) -> None:
            if not self.leaves_out(kind, before):
                add(kind, before, after)

        self._feed.add = added  # type: ignore[method-assign]  # the fault


@found_by("each-change-comes-with-what-was-and-what-is", by=TimeoutError)
@found_by("changes-of-many-come-one-by-one")
class FeedWithoutDeletes(_NoEntries):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:  # noqa: ARG002  # the fault
        return kind is ChangeKind.DELETED


@found_by("what-the-cap-lets-go-is-a-change", "what-expires-is-a-change", by=TimeoutError)
class FeedWithoutEvictions(_NoEntries):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:  # noqa: ARG002  # the fault
        return kind is ChangeKind.EVICTED


@found_by("a-reader-that-waits-gets-what-comes", by=TimeoutError)
class FeedWithoutSecondSaves(_NoEntries):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:
        return kind is ChangeKind.SAVED and before is not None


@found_by("sequences-have-no-gap")
class FeedWithGaps(ScanSessionStore[Any]):
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change[Any]]:
        return _doubled(super().changes(since=since))  # which begins now, and not when it is first read


async def _doubled(changes: AsyncIterator[Change[Any]]) -> AsyncIterator[Change[Any]]:
    async for change in changes:
        yield replace(change, sequence=change.sequence * 2)


@found_by("a-reader-goes-on-where-another-ended")
class FeedThatRepeats(ScanSessionStore[Any]):
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change[Any]]:
        return super().changes(since=since and since - 1)


@found_by("what-changed-nothing-is-no-change")
class FeedOfAttempts(ScanSessionStore[Any]):
    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        count = super()._remove(session_ids, tenant_id)
        if not count:
            self._feed.add(ChangeKind.DELETED, None, None)
        return count


@found_by("what-was-committed-before-the-end-can-still-be-read")
class FeedThatEndsAtOnce(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        self._feed._entries.clear()
        self._feed.check = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # the fault
        self._feed.after = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # as above
        await super().aclose()


@found_by("a-closed-store-refuses-changes", "a-second-running-loop-is-refused-changes")
class FeedForAnybody(ScanSessionStore[Any]):
    async def changes(self, *, since: int | None = None) -> AsyncIterator[Change[Any]]:  # noqa: ARG002  # the fault
        yield Change(1, ChangeKind.DELETED, None, None)


@found_by("what-a-reader-gets-is-its-own")
class FeedThatShares(ScanSessionStore[Any]):
    def _opened(self, image: Any) -> Any:
        return image


@found_by("a-reader-that-has-missed-some-is-told", "a-place-that-was-never-reached-is-lost")
class FeedThatSkips(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._feed.check = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # the fault


@found_by("closing-twice-does-nothing", by=StoreClosedError)
class ClosesOnce(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        if self._is_closed:
            raise StoreClosedError
        await super().aclose()


@found_by(
    "a-closed-store-refuses-changes",
    "whoever-waits-for-a-turn-is-told-that-the-store-closes",
    "what-was-committed-before-the-end-can-still-be-read",
    by=TimeoutError,
)
@found_by(
    *(str(case) for case in closing.CLOSED if case.name != "a-closed-store-refuses-changes"),
    "a-store-may-be-opened-and-closed",
    "an-error-within-comes-through-and-closes",
    "whoever-waits-for-a-session-to-be-created-is-told-that-the-store-closes",
)
class NeverCloses(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        pass


@found_by(*(str(case) for case in closing.ELSEWHERE if case.name != "a-second-running-loop-is-refused-changes"))
class TakesAnyLoop(ScanSessionStore[Any]):
    def _move_to_this_loop(self) -> None:
        self._owner = None
        super()._move_to_this_loop()


@found_by("a-store-serves-one-loop-after-another", "a-loop-that-paused-may-go-on-after-another", by=RuntimeError)
class StaysInItsLoop(ScanSessionStore[Any]):
    def _move_to_this_loop(self) -> None:
        if self._loop is not None:
            raise RuntimeError("of another loop")
        super()._move_to_this_loop()


@found_by("a-list-of-a-status-has-that-status-alone", "list-by-agent-of-a-status-sees-nothing-that-has-expired")
class StatusOfYesterday(InMemorySessionStore[Any]):
    """Asks the index without the status, and knows of no time."""

    def _newest_by_agent(self, tenant: Any, agent: Any, status: Any, limit: int, before: Any, since: Any) -> Any:  # noqa: PLR0917  # as the store has them
        if status is None:
            return super()._newest_by_agent(tenant, agent, None, limit, before, since)
        return super()._newest_by_agent(tenant, agent, None, limit, before, None)


@found_by("count-by-agent-is-the-length-of-the-list", "count-by-agent-of-a-status-sees-one-tenant")
class CountsIdleOnes(InMemorySessionStore[Any]):
    def _count_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> int:
        return super()._count_by_agent(tenant_id, agent_id, status and SessionStatus.IDLE)
