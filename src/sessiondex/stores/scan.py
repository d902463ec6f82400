"""ScanSessionStore: the baseline and the oracle, a dict of snapshots and a linear scan for every query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Generic, NamedTuple, Unpack
from uuid import UUID

from sessiondex.clock import StampClock, to_microseconds
from sessiondex.errors import InvariantError
from sessiondex.indexed import IndexedField, KnownIndexes, indexed_fields, own_keys
from sessiondex.models import ScopeFilter, Session, SessionStatus, utc_now
from sessiondex.queries import (
    AgentQuery,
    ChannelQuery,
    CountQuery,
    CustomerQuery,
    LatestQuery,
    ListQuery,
    Page,
    ScenarioQuery,
    StepQuery,
    TenantQuery,
)
from sessiondex.reading import S
from sessiondex.snapshots.class_codec import write_back_version
from sessiondex.snapshots.codec import Prepared, SnapshotCodec
from sessiondex.snapshots.session_types import check_session_classes
from sessiondex.stores.backend import Place
from sessiondex.stores.eviction import EvictionPolicy, OnEvict
from sessiondex.stores.local import LocalSessionStore
from sessiondex.stores.options import OtherOptions, check_ignored
from sessiondex.stores.unreadable import OnUnreadable, UnreadableSessions

_DAY_IN_MICROSECONDS = 86_400_000_000


class ScanHead(NamedTuple):
    """What is known of a snapshot."""

    key: bytes
    owner: bytes
    stamp: int
    revision: int
    generation: int


class ScanPlan(NamedTuple, Generic[S]):
    """The snapshot to store under the id, or `None` to remove what is there."""

    session_id: UUID
    snapshot: S | None
    is_restored: bool = False


class ScanBackend(Generic[S]):
    """A `Backend` without an index. Written to be plainly right: the tests' oracle."""

    def __init__(self, codec: SnapshotCodec[S]) -> None:
        self._codec = codec
        self._snapshots: dict[UUID, S] = {}
        self._generations: dict[UUID, int] = {}
        self._next_generation = count(1)

    def __len__(self) -> int:
        return len(self._snapshots)

    # -- reading --

    def get(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> S | None:
        snapshot = self.visible(session_id, tenant_id, cutoff)
        return None if snapshot is None else self._codec.copy(snapshot)

    def visible(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> S | None:
        snapshot = self._snapshots.get(session_id)
        if snapshot is None or tenant_id not in {None, snapshot.tenant_id} or not _is_visible(snapshot, cutoff):
            return None
        return snapshot

    def head(self, session_id: UUID) -> ScanHead | None:
        found = self._snapshots.get(session_id)
        if found is None:
            return None
        generation = self._generations[session_id]
        return ScanHead(found.session_id.bytes, found.tenant_id.bytes, _stamp(found), found.revision, generation)

    def find(self, session_id: UUID) -> S | None:
        return self._snapshots.get(session_id)

    def place_of(self, stored: S) -> Place:
        return Place(stored.session_id.bytes, _stamp(stored))

    def to_session(self, stored: S) -> S:
        return self._codec.copy(stored)

    def class_of(self, stored: S) -> type[Session]:
        return type(stored)

    def _visible(self, tenant_id: UUID, cutoff: int | None = None) -> Iterator[S]:
        return (
            snapshot
            for snapshot in self._snapshots.values()
            if snapshot.tenant_id == tenant_id and _is_visible(snapshot, cutoff)
        )

    def latest(self, query: LatestQuery, cutoff: int | None) -> S | None:
        found = [snapshot for snapshot in self._visible(query.tenant_id, cutoff) if _matches(snapshot, query)]
        return self._codec.copy(_newest_first(found)[0]) if found else None

    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[S]:
        found = [
            snapshot
            for snapshot in self._visible(query.tenant_id, cutoff)
            if _matches(snapshot, query)
            and (page.before is None or _stamp(snapshot) < page.before)
            and (page.after is None or _stamp(snapshot) > page.after)
        ]
        return _newest_first(found)[: page.limit]

    def is_answer(self, stored: S, query: ListQuery) -> bool:
        return stored.tenant_id == query.tenant_id and _matches(stored, query)

    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> Sequence[S]:
        found = [
            snapshot
            for snapshot in self._visible(query.tenant_id, cutoff)
            if _step(snapshot, query.scenario_id, query.scenario_version) == query.step_content_hash
            and (query.scope_filter is None or _passes(snapshot, query.scope_filter, now))
        ]
        return _newest_first(found)

    def page(self, after: UUID | None, limit: int) -> Sequence[S]:
        ids = sorted(self._snapshots, key=lambda session_id: session_id.bytes)
        wanted = [session_id for session_id in ids if after is None or session_id.bytes > after.bytes]
        return [self._snapshots[session_id] for session_id in wanted[:limit]]

    def count(self, query: CountQuery) -> int:
        if isinstance(query, StepQuery):
            return self.count_steps(ScenarioQuery(*query[:3])).get(query.step_content_hash, 0)
        return sum(1 for snapshot in self._visible(query.tenant_id) if _matches(snapshot, query))

    def count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        visible = self._visible(query.tenant_id)
        steps = (_step(snapshot, query.scenario_id, query.scenario_version) for snapshot in visible)
        return dict(Counter(step for step in steps if step is not None))

    def oldest(self) -> ScanHead | None:
        places = [(_stamp(snapshot), session_id.bytes) for session_id, snapshot in self._snapshots.items()]
        return self.head(UUID(bytes=min(places)[1])) if places else None

    def has_stamp(self, tenant_id: UUID, stamp: int) -> bool:
        return any(_stamp(snapshot) == stamp for snapshot in self._visible(tenant_id))

    # -- writing --

    def keep_version(self, prepared: Prepared) -> Prepared:
        return prepared  # no file keeps versions

    def plan_put(self, prepared: Prepared, stamp: int, revision: int, *, is_restored: bool = False) -> ScanPlan[S]:
        session_id, tenant_id = prepared.session_id, prepared.tenant_id
        snapshot = self._codec.unpack(prepared.packed, session_id.bytes, tenant_id.bytes, stamp, revision)
        return ScanPlan(session_id, snapshot, is_restored)

    def plan_touch(self, session_id: UUID, stamp: int) -> ScanPlan[S]:
        touched = self._codec.copy(self._snapshots[session_id])
        write_back_version(touched, stamp, touched.revision)
        return ScanPlan(session_id, touched)

    def plan_remove(self, session_id: UUID) -> ScanPlan[S]:
        return ScanPlan(session_id, None)

    def apply(self, plan: ScanPlan[S]) -> None:
        if plan.snapshot is None:
            self._snapshots.pop(plan.session_id, None)
            self._generations.pop(plan.session_id, None)
        else:
            self._snapshots[plan.session_id] = plan.snapshot
            if plan.is_restored or plan.session_id not in self._generations:
                self._generations[plan.session_id] = next(self._next_generation)

    def recover(self, plans: Sequence[ScanPlan[S]]) -> None:
        for plan in plans:
            self.apply(plan)

    def check(self) -> None:
        for session_id, snapshot in self._snapshots.items():
            if snapshot.session_id != session_id:
                raise InvariantError("key of a session", session_id, snapshot.session_id)


class ScanSessionStore(LocalSessionStore[S, ScanPlan[S], S]):
    """Keeps the same contract by looking at every session: O(n) for each query by anything but the id.

    The tests' oracle, and what the benchmarks compare with. Fine for a few hundred sessions. The options are those of
    `InMemorySessionStore`.

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
        session_classes: Iterable[type[Session]] = (),
        on_unreadable: OnUnreadable = "raise",
        **others: Unpack[OtherOptions],
    ) -> None:
        check_ignored(others, OtherOptions)
        policy = EvictionPolicy(idle_ttl, max_sessions, on_evict)
        indexes = KnownIndexes(check_session_classes(session_classes))
        stamps = StampClock(clock, idle_ttl)
        codec: SnapshotCodec[S] = SnapshotCodec(_check_items, stamps.instant, indexes)
        super().__init__(
            ScanBackend(codec), codec, stamps, policy, changes_kept, unreadable=UnreadableSessions(on_unreadable)
        )


def _check_items(values: Mapping[str, Any], indexed: Sequence[IndexedField]) -> tuple[()]:
    """Return no index keys, but refuse what cannot be indexed, as every store does."""
    own_keys(values, indexed)
    return ()


def _matches(session: Session, query: ListQuery) -> bool:
    """Return whether a session of the tenant is an answer to the query."""
    if isinstance(query, TenantQuery):
        return query.status in {None, session.status}
    if isinstance(query, AgentQuery):
        return session.agent_id == query.agent_id and query.status in {None, session.status}
    if isinstance(query, CustomerQuery):
        return session.customer_profile_id == query.customer_profile_id and query.status in {None, session.status}
    if isinstance(query, ChannelQuery):
        identity = session.channel, session.user_channel_id
        is_wanted = not query.is_open or session.status != SessionStatus.CLOSED
        return is_wanted and identity == (query.channel, query.user_channel_id)
    wanted = type(query.value), query.value
    return any(
        (type(item), item) == wanted
        for field in indexed_fields(type(session))
        if field.name == query.field.name
        for item in field.items_of(getattr(session, field.name))
    )


def _stamp(session: Session) -> int:
    return to_microseconds(session.last_activity_at)


def _is_visible(session: Session, cutoff: int | None) -> bool:
    return cutoff is None or _stamp(session) >= cutoff


def _step(session: Session, scenario_id: UUID, version: int) -> str | None:
    """Return the hash of the step of that version where the session stands, if it is active there."""
    if (session.active_scenario_id, session.active_scenario_version) != (scenario_id, version):
        return None
    is_at_a_step = session.status == SessionStatus.ACTIVE and session.step_history
    return session.step_history[-1].step_content_hash if is_at_a_step else None


def _newest_first(snapshots: list[S]) -> list[S]:
    return sorted(snapshots, key=lambda snapshot: snapshot.last_activity_at, reverse=True)


def _passes(session: Session, scope: ScopeFilter, now: int) -> bool:
    node = session.step_history[-1].step_name
    if scope.include_channels is not None and session.channel not in scope.include_channels:
        return False
    if scope.exclude_channels is not None and session.channel in scope.exclude_channels:
        return False
    if scope.include_current_nodes is not None and node not in scope.include_current_nodes:
        return False
    if scope.exclude_current_nodes is not None and node in scope.exclude_current_nodes:
        return False
    age_days = (now - to_microseconds(session.created_at)) // _DAY_IN_MICROSECONDS
    if scope.max_session_age_days is not None and age_days > scope.max_session_age_days:
        return False
    return scope.min_session_age_days is None or age_days >= scope.min_session_age_days
