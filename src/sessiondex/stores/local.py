"""LocalSessionStore: the store within one process, put together from its parts.

Readers take no lock: they look everything up without an `await`, and what they find never changes. Writers prepare
sessions without a lock, then commit under an asyncio lock. Only one that evicts many sessions awaits while it holds the
lock, so that no other save adds to them. With a journal, they wait for the disk afterwards, without the lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Generic
from uuid import UUID

from sessiondex.arguments import check_min, parse_id_cursor
from sessiondex.changes import Change
from sessiondex.clock import StampClock
from sessiondex.contract import OnReindexed, ReindexProgress
from sessiondex.errors import StoreNotOpenError, UnreadableSessionError
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
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.stores.backend import Backend, P, R
from sessiondex.stores.base import BaseSessionStore
from sessiondex.stores.callback_scope import CallbackScope
from sessiondex.stores.change_feed import ChangeFeed, ChangeReader
from sessiondex.stores.eviction import SWEEP_INTERVAL_SECONDS, EvictionNotifier, EvictionPolicy
from sessiondex.stores.evictor import Evictor
from sessiondex.stores.journal import Journal
from sessiondex.stores.loading import JournalLoader
from sessiondex.stores.session_loader import SessionLoader
from sessiondex.stores.slices import Slices, map_in_slices
from sessiondex.stores.sweeper import sweep
from sessiondex.stores.unreadable import UnreadableSessions
from sessiondex.stores.writer import Writer

_ERASED_AT_ONCE = 50  # sessions, in one step


class LocalSessionStore(BaseSessionStore[S], Generic[R, P, S]):
    """Combines a backend, a writer, a change feed and an eviction notifier under one asyncio lock."""

    def __init__(
        self,
        backend: Backend[R, P, S],
        codec: SnapshotCodec[S],
        clock: StampClock,
        policy: EvictionPolicy,
        changes_kept: int,
        *,
        debug: bool = False,
        unreadable: UnreadableSessions,
        loader: JournalLoader | None = None,
    ) -> None:
        """`loader` restores the sessions of a journal, if there is one."""
        super().__init__(self._recover, codec.indexes, is_open=loader is None)
        self._changes_kept = check_min("changes_kept", changes_kept, 0, "0 keeps none for those who follow them")
        self._backend = backend
        self._codec = codec
        self._clock = clock
        self._policy = policy
        self._has_evictions = policy.is_on
        self._unreadable = unreadable
        self._writer = Writer(
            backend, clock, policy, suspend=self._guard.suspend, resume=self._guard.resume, has_checks=debug
        )
        self._notifier: EvictionNotifier[R] | None = None
        if policy.on_evict is not None:
            self._notifier = EvictionNotifier(policy.on_evict, backend.to_session, backend.class_of)
            self._writer.subscribe(self._notifier)
        self._evictor = Evictor(self._writer, policy, self._notifier, self._guard.enter)
        self._sessions = SessionLoader(backend, self._unreadable, self._guard.enter)
        self._loader = loader
        self._journal = None if loader is None else loader.journal
        self._feed: ChangeFeed | None = None
        self._lock = asyncio.Lock()
        self._closing = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    # -- reading --

    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        cutoff = None if self._policy.idle_ttl is None else self._clock.cutoff()  # most stores save the call
        return self._backend.get(session_id, tenant_id, cutoff)

    async def _find_version(self, session_id: UUID, tenant_id: UUID | None) -> tuple[S, Expected] | None:
        session = await self._find(session_id, tenant_id)
        head = self._backend.head(session_id)  # of the same version: nothing ran in between
        return None if session is None or head is None else (session, Expected(head.revision, head.generation))

    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[S | None]:
        cutoff = self._clock.cutoff()
        found = [self._backend.visible(session_id, tenant_id, cutoff) for session_id in session_ids]
        loaded = iter(await self._sessions.load([stored for stored in found if stored is not None]))
        return [None if stored is None else next(loaded) for stored in found]

    async def _latest(self, query: LatestQuery) -> S | None:
        try:
            return self._backend.latest(query, self._clock.cutoff())
        except UnreadableSessionError as error:
            if not (isinstance(query, ChannelQuery) and query.is_open):
                raise
            self._unreadable.check(error)
            return None  # so that its user can begin another conversation

    async def _newest(self, query: ListQuery, page: Page) -> list[S]:
        return await self._sessions.newest(query, page, self._clock.cutoff)

    async def _at_step(self, query: StepQuery) -> list[S]:
        return await self._sessions.readable(self._backend.at_step(query, self._clock.now(), self._clock.cutoff()))

    async def _count(self, query: CountQuery) -> int:
        await self._evictor.all_expired(self._locked)
        return self._backend.count(query)

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        await self._evictor.all_expired(self._locked)
        return self._backend.count_steps(query)

    async def _export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        after = None if cursor is None else parse_id_cursor(cursor)
        found, cutoff = self._backend.page(after, limit), self._clock.cutoff()
        places = [self._backend.place_of(stored) for stored in found]
        visible = [stored for stored, place in zip(found, places, strict=True) if place.stamp >= (cutoff or 0)]
        return await self._sessions.readable(visible), places[-1].key.hex() if len(found) == limit else None

    # -- writing --

    async def _put(self, session: S, expected: Expected | None, *, touch: bool) -> UUID:
        prepared = self._codec.prepare(session)
        journal = self._journal
        if journal is not None and not journal.is_ready:
            await self._ready(journal, "save")
        lock = self._lock
        await lock.acquire()  # `async with` takes two more calls
        try:
            if lock is not self._lock:  # the store moved to another event loop while this task waited
                self._guard.enter()
            stamp, revision = self._writer.put(prepared, expected, touch=touch)
            if journal is None:
                write_back_version(session, stamp, revision)
            if self._has_evictions:
                await self._evictor.after(1)
        finally:
            lock.release()
            if self._has_evictions:
                self._evictor.notify()  # also if the save was refused: it may have evicted an expired session
        if journal is not None:
            await journal.settle(self._writer.last_sequence, "save")
            write_back_version(session, stamp, revision)
        return prepared.session_id

    async def _ready(self, journal: Journal, operation: str) -> None:
        await journal.ready(operation)
        self._guard.enter()

    @asynccontextmanager
    async def _writing(self, operation: str) -> AsyncIterator[None]:
        """Hold the lock, then wait for the journal."""
        if self._journal is not None:
            await self._ready(self._journal, operation)
        async with self._locked():
            yield
        if self._journal is not None:
            await self._journal.settle(self._writer.last_sequence, operation)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        """Hold the lock; in the end, call `on_evict` for what was evicted."""
        self._guard.enter()  # before as well: a task of a stopped loop must not touch the lock of the next one
        async with self._lock:
            self._guard.enter()
            try:
                yield
            finally:
                self._evictor.notify()

    async def _put_if_absent(self, session: S, identity: ChannelQuery) -> S | None:
        prepared = self._codec.prepare(session)
        async with self._writing("get_or_create"):
            try:
                found = self._backend.latest(identity, self._clock.cutoff())
            except UnreadableSessionError as error:
                self._unreadable.skip_or_raise(error)
                found = None
            if found is not None:  # another task saved one while `create` ran
                return found
            version = self._writer.put(prepared, Expected(0))
            await self._evictor.after(1)
        write_back_version(session, *version)
        return None

    async def _put_many(
        self, sessions: Sequence[S], expected: Sequence[Expected | None] | None, *, touch: bool, first: int = 0
    ) -> list[UUID]:
        prepared = await map_in_slices(self._codec.prepare, sessions, first, self._guard.enter)
        async with self._writing("save_many"):
            versions = self._writer.put_many(prepared, expected, touch=touch, first=first)
            await self._evictor.after(len(prepared))
        for session, version in zip(sessions, versions, strict=True):
            write_back_version(session, *version)
        return [one.session_id for one in prepared]

    async def _restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        sessions = [session for session, _, _ in versions]
        prepared = await map_in_slices(self._codec.prepare, sessions, 0, self._guard.enter)
        async with self._writing("restore"):
            batch = [(one, stamp, revision) for one, (_, stamp, revision) in zip(prepared, versions, strict=True)]
            count = self._writer.restore(batch)
            await self._evictor.after(0)
        return count

    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        async with self._writing("touch"):
            return self._writer.touch(session_id, tenant_id)

    async def _erase(self, query: ListQuery) -> int:
        count, slices = 0, Slices(self._guard.enter)
        while True:
            if self._journal is not None:
                await self._ready(self._journal, "delete")
            async with self._locked():
                found = self._backend.newest(query, Page(_ERASED_AT_ONCE), None)
                count += self._writer.erase([UUID(bytes=self._backend.place_of(stored).key) for stored in found])
                if self._notifier is not None:
                    self._notifier.forget(lambda evicted: self._backend.is_answer(evicted, query))
            if not found:
                break
            if perf_counter() > slices.deadline:
                await slices.pause()
        if self._journal is not None:
            await self._journal.scrub("delete")
        return count

    async def _reindex(self, _progress: OnReindexed | None) -> ReindexProgress:
        return ReindexProgress(0, 0)  # each session was indexed by the class that it has

    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        journal = self._journal
        if journal is not None and not journal.is_ready:
            await self._ready(journal, "delete")
        lock = self._lock
        await lock.acquire()  # as in `_put`
        try:
            if lock is not self._lock:
                self._guard.enter()
            count = self._writer.remove(session_ids, tenant_id)
        finally:
            lock.release()
            if self._has_evictions:
                self._evictor.notify()
        if journal is not None:
            await journal.settle(self._writer.last_sequence, "delete")
        return count

    # -- locks and changes --

    def _hold_session(self, session_id: UUID, timeout: float | None) -> AbstractAsyncContextManager[None]:
        return self._session_locks.hold_session(session_id, timeout)

    def _follow(self, after_sequence: int | None) -> AsyncIterator[Change]:
        self._recover_if_idle()
        feed = self._feed
        if feed is None:
            feed = ChangeFeed(self._changes_kept, self._writer.last_sequence)
        position = feed.last_sequence if after_sequence is None else after_sequence
        reader = ChangeReader(feed, position, self._guard.enter_unless_closed)
        if self._feed is None:
            self._writer.subscribe(feed)
            self._feed = feed
        return reader

    # -- open and closed --

    async def _open(self) -> None:
        self._guard.enter_to_open()
        if CallbackScope.is_within(self._loader):
            raise StoreNotOpenError
        async with self._lock:
            self._guard.enter_to_open()
            if self._guard.is_open or self._loader is None:  # another task has opened it
                return
            try:
                await self._loader.load(self._writer, self._clock, self._guard.enter_to_open)
            except BaseException:
                self._guard.close()
                raise
            self._writer.subscribe(self._loader.journal)
            self._guard.set_open()
        try:
            await self._evictor.all_expired(self._locked)
            async with self._writing("open"):
                await self._evictor.after(0)
        except BaseException:
            await self.aclose()
            raise

    def _recover(self) -> None:
        self._writer.recover()

    def _recover_if_idle(self) -> None:
        """Finish an interrupted commit, but none that is under way: a signal handler may run within it."""
        if not self._writer.is_committing:
            self._guard.recover_if_idle()

    def _on_new_loop(self) -> None:
        self._lock, self._closing, self._sweeper = asyncio.Lock(), asyncio.Event(), None
        if self._journal is not None:
            self._journal.on_new_loop()
        if self._notifier is not None:
            self._notifier.start_over()
            self._notifier.schedule()  # for callbacks that an earlier loop did not get to

    def _start_sweeper(self) -> None:
        if self._policy.idle_ttl is not None and self._sweeper is None:
            interval = min(SWEEP_INTERVAL_SECONDS, self._policy.idle_ttl.total_seconds())
            sweeping = sweep(lambda: self._evictor.some_expired(self._locked), self._closing, interval)
            self._sweeper = asyncio.create_task(sweeping, name="sessiondex sweeper")

    async def _is_healthy(self) -> bool:
        is_journal_fine = self._journal is None or not self._journal.stats().is_stopped
        return is_journal_fine and (self._sweeper is None or not self._sweeper.done())

    async def _release(self) -> None:
        self._closing.set()
        if self._sweeper is not None and not self._sweeper.done():
            await asyncio.wait([self._sweeper])
        if CallbackScope.is_within(self._loader):
            return  # `load` fails at its next slice, and closes the journal
        async with self._lock:  # until the last save under way has committed, with its evictions
            pass
        if self._feed is not None:
            self._feed.close()
        if self._notifier is not None:
            await self._notifier.drain()
        if self._journal is not None:
            await self._journal.aclose()
