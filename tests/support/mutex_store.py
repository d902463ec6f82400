"""MutexSessionStore: a prototype of a store that guards the synchronous core by a `threading.Lock`.

It shows that backend, writer and codec need neither asyncio nor an event loop: each step of them is one plain call
under the mutex, which is never held across an `await`.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sessiondex import Change, ReindexProgress, Session, SessiondexError, schema
from sessiondex.arguments import check_min, parse_id_cursor
from sessiondex.clock import StampClock
from sessiondex.contract import OnReindexed
from sessiondex.errors import add_position_note
from sessiondex.indexed import KnownIndexes
from sessiondex.models import utc_now
from sessiondex.queries import (
    ChannelQuery,
    CountQuery,
    Expected,
    LatestQuery,
    ListQuery,
    Page,
    ScenarioQuery,
    StepQuery,
)
from sessiondex.reading import S
from sessiondex.snapshots.class_codec import write_back_version
from sessiondex.snapshots.codec import Prepared, SnapshotCodec
from sessiondex.snapshots.session_types import check_session_classes
from sessiondex.stores.base import BaseSessionStore
from sessiondex.stores.change_feed import ChangeFeed, ChangeReader
from sessiondex.stores.eviction import EvictionNotifier, EvictionPolicy, OnEvict
from sessiondex.stores.table_backend import TableBackend
from sessiondex.stores.writer import Writer

T = TypeVar("T")

_NO_LIMIT = 2**62


class MutexSessionStore(BaseSessionStore[S]):
    """Keeps the contract with a mutex where `InMemorySessionStore` has an asyncio lock."""

    def __init__(
        self,
        *,
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = 1_000,
        clock: Callable[[], datetime] = utc_now,
        session_classes: Iterable[type[Session]] = (),
    ) -> None:
        indexes = KnownIndexes(check_session_classes(session_classes))
        super().__init__(lambda: None, indexes)
        self._mutex = threading.Lock()
        policy = EvictionPolicy(idle_ttl, max_sessions, on_evict)
        self._clock = StampClock(clock, idle_ttl)
        keys = schema.eviction_index_keys if policy.is_on else schema.index_keys
        self._codec: SnapshotCodec[S] = SnapshotCodec(keys, self._clock.instant, indexes)
        self._backend = TableBackend(self._codec, 100, has_evictions=policy.is_on)
        self._writer: Writer[Any, Any] = Writer(self._backend, self._clock, policy)
        self._feed = ChangeFeed(check_min("changes_kept", changes_kept, 0, "0 keeps none"), 0)
        self._writer.subscribe(self._feed)
        self._notifier: EvictionNotifier[Any] | None = None
        if on_evict is not None:
            self._notifier = EvictionNotifier(on_evict, self._backend.to_session)
            self._writer.subscribe(self._notifier)

    def _run(self, step: Callable[[], T]) -> T:
        """Run one step of the core under the mutex, between evictions of expired and of surplus sessions."""
        with self._mutex:
            self._writer.recover()
            self._writer.evict_expired(_NO_LIMIT, _NO_LIMIT)
            result = step()
            self._writer.evict_surplus(_NO_LIMIT)
        if self._notifier is not None:
            self._notifier.schedule()
        return result

    def _prepare(self, sessions: Sequence[S], first: int) -> list[Prepared]:
        prepared = []
        for position, session in enumerate(sessions, first):
            try:
                prepared.append(self._codec.prepare(session))
            except SessiondexError as error:
                add_position_note(error, position)
                raise
        return prepared

    def _to_sessions(self, found: Sequence[Any]) -> list[S]:
        return [self._backend.to_session(stored) for stored in found]

    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        return self._run(lambda: self._backend.get(session_id, tenant_id, None))

    async def _find_version(self, session_id: UUID, tenant_id: UUID | None) -> tuple[S, Expected] | None:
        def find() -> tuple[S, Expected] | None:
            session, head = self._backend.get(session_id, tenant_id, None), self._backend.head(session_id)
            return None if session is None or head is None else (session, Expected(head.revision, head.generation))

        return self._run(find)

    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[S | None]:
        return self._run(lambda: [self._backend.get(one, tenant_id, None) for one in session_ids])

    async def _put(self, session: S, expected: Expected | None, *, touch: bool) -> UUID:
        prepared = self._codec.prepare(session)
        write_back_version(session, *self._run(lambda: self._writer.put(prepared, expected, touch=touch)))
        return prepared.session_id

    async def _put_if_absent(self, session: S, identity: ChannelQuery) -> S | None:
        prepared = self._codec.prepare(session)

        def put() -> S | None:
            found = self._backend.latest(identity, None)
            if found is None:
                write_back_version(session, *self._writer.put(prepared, Expected(0)))
            return found

        return self._run(put)

    async def _put_many(
        self, sessions: Sequence[S], expected: Sequence[Expected | None] | None, *, touch: bool, first: int = 0
    ) -> list[UUID]:
        prepared = self._prepare(sessions, first)
        versions = self._run(lambda: self._writer.put_many(prepared, expected, touch=touch, first=first))
        for session, version in zip(sessions, versions, strict=True):
            write_back_version(session, *version)
        return [one.session_id for one in prepared]

    async def _restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        prepared = self._prepare([session for session, _, _ in versions], 0)
        batch = [(one, stamp, revision) for one, (_, stamp, revision) in zip(prepared, versions, strict=True)]
        return self._run(lambda: self._writer.restore(batch))

    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        return self._run(lambda: self._writer.remove(session_ids, tenant_id))

    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        return self._run(lambda: self._writer.touch(session_id, tenant_id))

    async def _erase(self, query: ListQuery) -> int:
        with self._mutex:  # without an eviction of what is erased
            self._writer.recover()
            found = self._backend.newest(query, Page(_NO_LIMIT), None)
            return self._writer.erase([UUID(bytes=self._backend.place_of(stored).key) for stored in found])

    async def _reindex(self, _progress: OnReindexed | None) -> ReindexProgress:
        return ReindexProgress(read=0, reindexed=0)

    async def _latest(self, query: LatestQuery) -> S | None:
        return self._run(lambda: self._backend.latest(query, None))

    async def _newest(self, query: ListQuery, page: Page) -> list[S]:
        return self._run(lambda: self._to_sessions(self._backend.newest(query, page, None)))

    async def _at_step(self, query: StepQuery) -> list[S]:
        return self._run(lambda: self._to_sessions(self._backend.at_step(query, self._clock.now(), None)))

    async def _count(self, query: CountQuery) -> int:
        return self._run(lambda: self._backend.count(query))

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        return self._run(lambda: self._backend.count_steps(query))

    async def _export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        after = None if cursor is None else parse_id_cursor(cursor)
        found = self._run(lambda: self._to_sessions(self._backend.page(after, limit)))
        return found, found[-1].session_id.hex if len(found) == limit else None

    def _hold_session(self, session_id: UUID, timeout: float | None) -> AbstractAsyncContextManager[None]:
        return self._session_locks.hold_session(session_id, timeout)

    def _follow(self, after_sequence: int | None) -> AsyncIterator[Change]:
        position = self._feed.last_sequence if after_sequence is None else after_sequence
        return ChangeReader(self._feed, position, self._guard.enter_unless_closed)

    def _on_new_loop(self) -> None:
        if self._notifier is not None:
            self._notifier.start_over()
            self._notifier.schedule()

    def _start_sweeper(self) -> None:
        pass  # each step evicts what has expired

    async def _is_healthy(self) -> bool:
        return True

    async def _release(self) -> None:
        self._feed.close()
        if self._notifier is not None:
            await self._notifier.drain()
