"""ReplicatedStore: replays its commits into a second backend, and compares every answer with that of the replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from sessiondex import ChangeKind, InMemorySessionStore, schema
from sessiondex.arguments import parse_id_cursor
from sessiondex.clock import StampClock
from sessiondex.models import utc_now
from sessiondex.queries import CountQuery, ListQuery, Page, ScenarioQuery, StepQuery
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.stores.backend import Backend
from sessiondex.stores.commit import Commit
from sessiondex.stores.eviction import EvictionPolicy
from sessiondex.stores.table_backend import TableBackend
from sessiondex.stores.writer import Writer

T = TypeVar("T")


class Replica:
    """A commit listener with a backend that only replayed commits change: it expires and evicts nothing."""

    def __init__(self, source: Backend[Any, Any, Any], clock: StampClock) -> None:
        self._source = source
        self._codec: SnapshotCodec[Any] = SnapshotCodec(schema.index_keys, clock.instant)
        self.backend: TableBackend[Any] = TableBackend(self._codec, 100, has_evictions=False)
        self._writer: Writer[Any, Any] = Writer(self.backend, StampClock(utc_now), EvictionPolicy())

    def on_commit(self, commit: Commit[Any]) -> None:
        for sequence, mutation in enumerate(commit.mutations, commit.sequence):
            if sequence <= self._writer.last_sequence:
                continue
            if mutation.kind in {ChangeKind.SAVED, ChangeKind.TOUCHED}:
                saved = self._source.get(mutation.session_id, mutation.tenant_id, None)
                count = self._writer.restore([(self._codec.prepare(saved), mutation.stamp, mutation.revision)])
            else:
                count = self._writer.remove([mutation.session_id], mutation.tenant_id)
            assert (count, self._writer.last_sequence) == (1, sequence)

    def to_sessions(self, found: Sequence[Any]) -> list[Any]:
        return [self.backend.to_session(stored) for stored in found]


class ReplicatedStore(InMemorySessionStore[Any]):
    """Keeps the contract as `InMemorySessionStore` does, and fails if its replica gives another answer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._replica = Replica(self._backend, self._clock)
        self._writer.subscribe(self._replica)

    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> Any:
        replayed = self._replica.backend.get(session_id, tenant_id, self._clock.cutoff())
        return _same(await super()._find(session_id, tenant_id), replayed)

    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[Any]:
        cutoff = self._clock.cutoff()
        replayed = [self._replica.backend.get(session_id, tenant_id, cutoff) for session_id in session_ids]
        return _same(await super()._find_many(session_ids, tenant_id), replayed)

    async def _latest(self, query: Any) -> Any:
        replayed = self._replica.backend.latest(query, self._clock.cutoff())
        return _same(await super()._latest(query), replayed)

    async def _newest(self, query: ListQuery, page: Page) -> list[Any]:
        replayed = self._replica.to_sessions(self._replica.backend.newest(query, page, self._clock.cutoff()))
        return _same(await super()._newest(query, page), replayed)

    async def _at_step(self, query: StepQuery) -> list[Any]:
        found = self._replica.backend.at_step(query, self._clock.now(), self._clock.cutoff())
        replayed = self._replica.to_sessions(found)
        return _same(await super()._at_step(query), replayed)

    async def _export(self, cursor: str | None, limit: int) -> tuple[list[Any], str | None]:
        cutoff, after = self._clock.cutoff(), None if cursor is None else parse_id_cursor(cursor)
        found = self._replica.backend.page(after, limit)
        replayed = [one for one in found if cutoff is None or self._replica.backend.place_of(one).stamp >= cutoff]
        sessions, next_cursor = await super()._export(cursor, limit)
        return _same(sessions, self._replica.to_sessions(replayed)), next_cursor

    async def _count(self, query: CountQuery) -> int:
        count = await super()._count(query)  # which evicts expired sessions first
        return _same(count, self._replica.backend.count(query))

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        counts = await super()._count_steps(query)
        return _same(counts, self._replica.backend.count_steps(query))


def _same(answer: T, replayed: T) -> T:
    assert answer == replayed
    return answer
