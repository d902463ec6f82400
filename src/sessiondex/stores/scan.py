"""The baseline and the oracle: a dict of snapshots, and a linear scan for every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sessiondex.contract import S
from sessiondex.errors import InvariantError, TenantMismatchError
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus, utc_now
from sessiondex.records import Kept
from sessiondex.stores.eviction import Eviction, OnEvict
from sessiondex.stores.feed import Head
from sessiondex.stores.local import LocalSessionStore

_DAY = timedelta(days=1)


class ScanSessionStore(LocalSessionStore[S]):
    """Keeps the same contract by looking at every session: O(n) for each query by anything but the id.

    The tests' oracle, so written to be plainly right, and what the benchmarks compare with. Fine for a few hundred
    sessions. The options are those of `InMemorySessionStore`.

    >>> import asyncio
    >>> asyncio.run(ScanSessionStore().get(UUID(int=1))) is None
    True
    """

    def __init__(
        self,
        *,
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = 1_000,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(clock, Eviction(idle_ttl, max_sessions, on_evict), changes_kept)
        self._snapshots: dict[UUID, S] = {}

    # -- reading --

    def _get(self, session_id: UUID, tenant_id: UUID | None, since: datetime | None) -> S | None:
        snapshot = self._snapshots.get(session_id)
        if snapshot is None or not self._is_there(session_id, tenant_id) or not _is_seen(snapshot, since):
            return None
        return self._records.copy(snapshot)

    def _seen(self, tenant_id: UUID, since: datetime | None = None) -> Iterator[S]:
        return (
            snapshot
            for snapshot in self._snapshots.values()
            if snapshot.tenant_id == tenant_id and _is_seen(snapshot, since)
        )

    def _latest_by_channel(
        self, tenant_id: UUID, channel: Channel, user_channel_id: str, since: datetime | None, *, is_open: bool
    ) -> S | None:
        found = [
            snapshot
            for snapshot in self._seen(tenant_id, since)
            if snapshot.channel == channel
            and snapshot.user_channel_id == user_channel_id
            and not (is_open and snapshot.status == SessionStatus.CLOSED)
        ]
        return self._records.copy(_newest_first(found)[0]) if found else None

    def _newest_by_agent(  # noqa: PLR0917  # as the contract has them
        self,
        tenant_id: UUID,
        agent_id: UUID,
        status: SessionStatus | None,
        limit: int,
        before: datetime | None,
        since: datetime | None,
    ) -> list[S]:
        found = [
            snapshot
            for snapshot in self._seen(tenant_id, since)
            if snapshot.agent_id == agent_id and (status is None or snapshot.status == status)
        ]
        return _page(found, limit, before)

    def _newest_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, limit: int, before: datetime | None, since: datetime | None
    ) -> list[S]:
        found = [
            snapshot for snapshot in self._seen(tenant_id, since) if snapshot.customer_profile_id == customer_profile_id
        ]
        return _page(found, limit, before)

    def _at_step(  # noqa: PLR0917  # as the contract has them
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        version: int,
        content_hash: str,
        scope: ScopeFilter | None,
        since: datetime | None,
    ) -> list[S]:
        now = self._stamps.now()
        found = [
            snapshot
            for snapshot in self._seen(tenant_id, since)
            if _step(snapshot, scenario_id, version) == content_hash
            and (scope is None or _passes(snapshot, scope, now))
        ]
        return _newest_first(found)

    def _some_of_all(self, after: UUID | None, limit: int) -> list[S]:
        ids = sorted(self._snapshots, key=lambda session_id: session_id.bytes)
        wanted = [session_id for session_id in ids if after is None or session_id.bytes > after.bytes]
        return [self._snapshots[session_id] for session_id in wanted[:limit]]

    def _given_out(self, found: Sequence[S]) -> list[S]:
        return [self._records.copy(snapshot) for snapshot in found]

    def _count(self) -> int:
        return len(self._snapshots)

    def _count_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> int:
        return len(self._newest_by_agent(tenant_id, agent_id, status, self._count(), None, None))

    def _count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        return len(self._newest_by_customer(tenant_id, customer_profile_id, self._count(), None, None))

    def _count_at_step(self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str) -> int:
        return self._count_steps(tenant_id, scenario_id, version).get(content_hash, 0)

    def _count_steps(self, tenant_id: UUID, scenario_id: UUID, version: int) -> dict[str, int]:
        steps = (_step(snapshot, scenario_id, version) for snapshot in self._seen(tenant_id))
        return dict(Counter(step for step in steps if step is not None))

    # -- writing --

    def _live(self, session_id: UUID) -> S | None:
        return self._snapshots.get(session_id)

    def _revision(self, session_id: UUID) -> int:
        return self._snapshots[session_id].revision if session_id in self._snapshots else 0

    def _stamp_of(self, session_id: UUID) -> datetime | None:
        return self._snapshots[session_id].last_activity_at if session_id in self._snapshots else None

    def _oldest(self) -> UUID | None:
        return min(self._snapshots, key=lambda key: self._snapshots[key].last_activity_at, default=None)

    def _is_there(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        snapshot = self._snapshots.get(session_id)
        return snapshot is not None and tenant_id in {None, snapshot.tenant_id}

    def _head(self, session_id: UUID) -> Head | None:
        snapshot = self._snapshots.get(session_id)
        return None if snapshot is None else (snapshot.tenant_id, snapshot.revision, snapshot.last_activity_at)

    def _image(self, session_id: UUID) -> S | None:
        return self._snapshots.get(session_id)

    def _opened(self, image: S) -> S:
        return self._records.copy(image)

    def _plan(self, kept: Kept[S], earlier: S | None, *, in_bulk: bool) -> S:  # noqa: ARG002  # for other stores
        if earlier is not None and earlier.tenant_id != kept.snapshot.tenant_id:
            raise TenantMismatchError(kept.snapshot.session_id)
        return kept.snapshot

    def _plan_removal(self, session_id: UUID) -> UUID:
        return session_id

    def _apply(self, plan: S | UUID) -> None:
        if isinstance(plan, UUID):
            self._snapshots.pop(plan, None)
        else:
            self._snapshots[plan.session_id] = plan

    def _apply_again(self, plans: Sequence[S | UUID]) -> None:
        for plan in plans:
            self._apply(plan)

    def _check(self) -> None:
        for session_id, snapshot in self._snapshots.items():
            if snapshot.session_id != session_id:
                raise InvariantError("key of a session", session_id, snapshot.session_id)


def _is_seen(snapshot: Session, since: datetime | None) -> bool:
    return since is None or snapshot.last_activity_at >= since


def _step(session: Session, scenario_id: UUID, version: int) -> str | None:
    """Return the hash of the step of that version where the session stands, if it is active there."""
    if (session.active_scenario_id, session.active_scenario_version) != (scenario_id, version):
        return None
    is_at_a_step = session.status == SessionStatus.ACTIVE and session.step_history
    return session.step_history[-1].step_content_hash if is_at_a_step else None


def _page(snapshots: list[S], limit: int, before: datetime | None) -> list[S]:
    earlier = [snapshot for snapshot in snapshots if before is None or snapshot.last_activity_at < before]
    return _newest_first(earlier)[:limit]


def _newest_first(snapshots: list[S]) -> list[S]:
    return sorted(snapshots, key=lambda snapshot: snapshot.last_activity_at, reverse=True)


def _passes(session: Session, scope: ScopeFilter, now: datetime) -> bool:
    node = session.step_history[-1].step_name
    if scope.include_channels is not None and session.channel not in scope.include_channels:
        return False
    if scope.exclude_channels is not None and session.channel in scope.exclude_channels:
        return False
    if scope.include_current_nodes is not None and node not in scope.include_current_nodes:
        return False
    if scope.exclude_current_nodes is not None and node in scope.exclude_current_nodes:
        return False
    age_days = (now - session.created_at) // _DAY
    if scope.max_session_age_days is not None and age_days > scope.max_session_age_days:
        return False
    return scope.min_session_age_days is None or age_days >= scope.min_session_age_days
