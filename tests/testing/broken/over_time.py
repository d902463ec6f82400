"""Faults that show over time: expiry, the cap, changes, loops and the life cycle."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
)
from tests.testing.broken.fault import found_by


@found_by(
    "list-by-agent-sees-nothing-that-has-expired",
    "count-by-agent-sees-nothing-that-has-expired",
    "pages-end-where-sessions-have-expired",
)
class ShowsWhatHasExpired(ScanSessionStore[Any]):
    async def _sweep_if_needed(self) -> None:
        pass

    def _seen(self, tenant_id: UUID, since: datetime | None = None) -> Any:  # noqa: ARG002  # the fault
        return super()._seen(tenant_id)


@found_by("get-sees-nothing-that-has-expired", "a-save-makes-a-session-young-again")
class CountsFromTheFirstSave(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.births: dict[UUID, datetime] = {}

    def _apply(self, plan: Any) -> None:
        super()._apply(plan)
        self.births.setdefault(plan.session_id, plan.last_activity_at)

    def _get(self, session_id: UUID, tenant_id: UUID | None, since: Any) -> Any:
        birth = self.births.get(session_id)
        is_gone = since is not None and birth is not None and birth <= since
        return None if is_gone else super()._get(session_id, tenant_id, since)


@found_by("what-has-expired-is-in-nobodys-way")
class ExpiredIdsAreTaken(ScanSessionStore[Any]):
    def _evict_if_idle(self, session_id: UUID, since: datetime | None) -> None:
        pass


@found_by("of-more-than-the-cap-the-longest-idle-go", "the-cap-holds-for-bulk-too", "what-the-cap-lets-go-is-a-change")
class IgnoresTheCap(InMemorySessionStore[Any]):
    def _evict_surplus(self, since: datetime | None) -> None:
        pass


@found_by("of-more-than-the-cap-the-longest-idle-go", "on-evict-is-told-of-each-that-the-cap-let-go")
class LetsTheNewestGo(ScanSessionStore[Any]):
    def _oldest(self) -> UUID | None:
        return max(self._snapshots, key=lambda key: self._snapshots[key].last_activity_at, default=None)


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


@found_by("each-change-comes-with-what-was-and-what-is", "changes-of-many-come-one-by-one")
class FeedWithoutDeletes(_NoEntries):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:  # noqa: ARG002  # the fault
        return kind is ChangeKind.DELETED


@found_by("what-the-cap-lets-go-is-a-change", "what-expires-is-a-change")
class FeedWithoutEvictions(_NoEntries):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:  # noqa: ARG002  # the fault
        return kind is ChangeKind.EVICTED


@found_by("a-reader-that-waits-gets-what-comes")
class FeedWithoutSecondSaves(_NoEntries):
    def leaves_out(self, kind: ChangeKind, before: Any) -> bool:
        return kind is ChangeKind.SAVED and before is not None


@found_by("sequences-have-no-gap")
class FeedWithGaps(ScanSessionStore[Any]):
    async def changes(self, *, since: int | None = None) -> AsyncIterator[Change[Any]]:
        async for change in super().changes(since=since):
            yield Change(change.sequence * 2, change.kind, change.before, change.after)


@found_by("what-a-reader-gets-is-its-own")
class FeedThatShares(ScanSessionStore[Any]):
    def _opened(self, image: Any) -> Any:
        return image


@found_by("a-reader-that-has-missed-some-is-told")
class FeedThatSkips(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._feed.check = lambda since: None  # type: ignore[method-assign]  # noqa: ARG005  # the fault


@found_by("closing-twice-does-nothing")
class ClosesOnce(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        if self._is_closed:
            raise StoreClosedError
        await super().aclose()


@found_by("a-closed-store-refuses-reads", "a-closed-store-refuses-writes", "a-store-may-be-opened-and-closed")
class NeverCloses(ScanSessionStore[Any]):
    async def aclose(self) -> None:
        pass


@found_by("a-second-running-loop-is-refused-reads", "a-second-running-loop-is-refused-writes")
class TakesAnyLoop(ScanSessionStore[Any]):
    def _move_to_this_loop(self) -> None:
        self._owner = None
        super()._move_to_this_loop()


@found_by("a-store-serves-one-loop-after-another", "a-loop-that-paused-may-go-on-after-another")
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
