"""The baseline and the oracle: a dict of snapshots, and a linear scan for every query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sessiondex.contract import S
from sessiondex.errors import TenantMismatchError
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus, utc_now
from sessiondex.records import Kept
from sessiondex.stores.local import LocalSessionStore

_DAY = timedelta(days=1)


class ScanSessionStore(LocalSessionStore[S]):
    """Keeps the same contract by looking at every session: O(n) for each query by anything but the id.

    The tests' oracle, so written to be plainly right, and what the benchmarks compare with. Fine for a few hundred
    sessions. `clock` returns the present instant as an aware datetime.

    >>> import asyncio
    >>> asyncio.run(ScanSessionStore().get(UUID(int=1))) is None
    True
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(clock=clock)
        self._snapshots: dict[UUID, S] = {}

    def _get(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        snapshot = self._snapshots.get(session_id)
        if snapshot is None or (tenant_id is not None and snapshot.tenant_id != tenant_id):
            return None
        return self._records.copy(snapshot)

    def _live(self, session_id: UUID) -> S | None:
        return self._snapshots.get(session_id)

    def _plan(self, kept: Kept[S], earlier: S | None, *, in_bulk: bool) -> S:  # noqa: ARG002  # for other stores
        if earlier is not None and earlier.tenant_id != kept.snapshot.tenant_id:
            raise TenantMismatchError(kept.snapshot.session_id)
        return kept.snapshot

    def _apply(self, plan: S) -> None:
        self._snapshots[plan.session_id] = plan

    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        count = 0
        for session_id in session_ids:
            snapshot = self._snapshots.get(session_id)
            if snapshot is not None and tenant_id in {None, snapshot.tenant_id}:
                del self._snapshots[session_id]
                count += 1
        return count

    def _given_out(self, found: Sequence[S]) -> list[S]:
        return [self._records.copy(snapshot) for snapshot in found]

    def _latest_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        identity = (tenant_id, channel, user_channel_id)
        latest = None
        for snapshot in self._snapshots.values():
            if (snapshot.tenant_id, snapshot.channel, snapshot.user_channel_id) != identity:
                continue
            if latest is None or snapshot.last_activity_at > latest.last_activity_at:
                latest = snapshot
        return None if latest is None else self._records.copy(latest)

    def _newest_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None, limit: int) -> list[S]:
        found = [
            snapshot
            for snapshot in self._snapshots.values()
            if snapshot.tenant_id == tenant_id
            and snapshot.agent_id == agent_id
            and (status is None or snapshot.status == status)
        ]
        return _newest_first(found)[:limit]

    def _newest_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, limit: int) -> list[S]:
        found = [
            snapshot
            for snapshot in self._snapshots.values()
            if snapshot.tenant_id == tenant_id and snapshot.customer_profile_id == customer_profile_id
        ]
        return _newest_first(found)[:limit]

    def _at_step(
        self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str, scope: ScopeFilter | None
    ) -> list[S]:
        now = self._stamps.now()
        found = [
            snapshot
            for snapshot in self._snapshots.values()
            if snapshot.tenant_id == tenant_id
            and snapshot.status == SessionStatus.ACTIVE
            and snapshot.active_scenario_id == scenario_id
            and snapshot.active_scenario_version == version
            and snapshot.step_history
            and snapshot.step_history[-1].step_content_hash == content_hash
            and (scope is None or _passes(snapshot, scope, now))
        ]
        return _newest_first(found)

    def _check(self) -> None:
        """Raise `AssertionError` unless every snapshot is under its own id."""
        for session_id, snapshot in self._snapshots.items():
            assert snapshot.session_id == session_id


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
