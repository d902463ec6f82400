"""LocalSessionStore: the store within one process, put together from its parts.

Readers take no lock: they look everything up without an `await`, and what they find never changes. Writers prepare
sessions without a lock, then commit under an asyncio lock. Only one that evicts many sessions awaits while it holds the
lock, so that no other save adds to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Generic
from uuid import UUID

from sessiondex.arguments import check_min, parse_id_cursor
from sessiondex.changes import Change
from sessiondex.clock import StampClock
from sessiondex.contract import OnReindexed, ReindexProgress
from sessiondex.errors import (
    InvariantError,
    StoreClosedError,
    UnreadableSessionError,
    WrongLoopError,
)
from sessiondex.models import Session
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
from sessiondex.stores.change_feed import ChangeFeed, ChangeReader
from sessiondex.stores.eviction import SWEEP_INTERVAL_SECONDS, EvictionNotifier, EvictionPolicy
from sessiondex.stores.slices import SLICE_SECONDS, Slices, map_in_slices
from sessiondex.stores.sweeper import sweep
from sessiondex.stores.unreadable import MIN_PAGE_SIZE, OnUnreadable, UnreadableSessions
from sessiondex.stores.writer import Writer

log: logging.Logger = logging.getLogger("sessiondex")
_EVICTIONS_PER_SAVE = 2  # more than a save adds, so that saves alone catch up with what expires
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
        on_unreadable: OnUnreadable = "raise",
    ) -> None:
        super().__init__(self._recover, codec.indexes)
        self._changes_kept = check_min("changes_kept", changes_kept, 0, "0 keeps none for those who follow them")
        self._backend = backend
        self._codec = codec
        self._clock = clock
        self._policy = policy
        self._has_evictions = policy.is_on
        self._unreadable = UnreadableSessions(on_unreadable)
        self._writer = Writer(
            backend, clock, policy, suspend=self._guard.suspend, resume=self._guard.resume, has_checks=debug
        )
        self._notifier: EvictionNotifier[R] | None = None
        if policy.on_evict is not None:
            self._notifier = EvictionNotifier(policy.on_evict, backend.to_session, backend.class_of)
            self._writer.subscribe(self._notifier)
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
        loaded = iter(await self._load([stored for stored in found if stored is not None]))
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
        found = self._backend.newest(query, page, self._clock.cutoff())
        sessions, size = await self._to_sessions(found), page.limit
        while len(sessions) < page.limit and len(found) == size:  # some were skipped, and there may be more
            size = max(page.limit, MIN_PAGE_SIZE)
            further = Page(size, self._backend.place_of(found[-1]).stamp, page.after)
            found = self._backend.newest(query, further, self._clock.cutoff())
            sessions += await self._to_sessions(found)
        return sessions[: page.limit]

    async def _at_step(self, query: StepQuery) -> list[S]:
        return await self._to_sessions(self._backend.at_step(query, self._clock.now(), self._clock.cutoff()))

    async def _to_sessions(self, found: Sequence[R]) -> list[S]:
        return [session for session in await self._load(found) if session is not None]

    async def _load(self, found: Sequence[R]) -> list[S | None]:
        """Make sessions of what was found at one instant, `None` of what is skipped; let others run between slices."""
        to_session, slices = self._backend.to_session, Slices(self._guard.enter)
        classes = set[type[Session]]()
        sessions: list[S | None] = []
        for stored in found:
            if perf_counter() > slices.deadline:
                # Kept alive: while other tasks run, the sessions and the last reference to their class may go.
                classes = classes or set(map(self._backend.class_of, found))
                await slices.pause()
            try:
                sessions.append(to_session(stored))
            except UnreadableSessionError as error:
                self._unreadable.skip_or_raise(error)
                sessions.append(None)
        return sessions

    async def _count(self, query: CountQuery) -> int:
        await self._evict_all_expired()
        return self._backend.count(query)

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        await self._evict_all_expired()
        return self._backend.count_steps(query)

    async def _export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        after = None if cursor is None else parse_id_cursor(cursor)
        found, cutoff = self._backend.page(after, limit), self._clock.cutoff()
        places = [self._backend.place_of(stored) for stored in found]
        visible = [stored for stored, place in zip(found, places, strict=True) if place.stamp >= (cutoff or 0)]
        return await self._to_sessions(visible), places[-1].key.hex() if len(found) == limit else None

    # -- writing --

    async def _put(self, session: S, expected: Expected | None, *, touch: bool) -> UUID:
        prepared = self._codec.prepare(session)
        lock = self._lock
        await lock.acquire()  # `async with` takes two more calls
        try:
            if lock is not self._lock:  # the store moved to another event loop while this task waited
                self._guard.enter()
            stamp, revision = self._writer.put(prepared, expected, touch=touch)
            write_back_version(session, stamp, revision)
            if self._has_evictions:
                await self._evict_after(1)
        finally:
            lock.release()
            if self._has_evictions:
                self._notify_evicted()  # also if the save was refused: it may have evicted an expired session
        return prepared.session_id

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Hold the lock; in the end, call `on_evict` for what was evicted."""
        self._guard.enter()  # before as well: a task of a stopped loop must not touch the lock of the next one
        async with self._lock:
            self._guard.enter()
            try:
                yield
            finally:
                self._notify_evicted()

    async def _put_if_absent(self, session: S, identity: ChannelQuery) -> S | None:
        prepared = self._codec.prepare(session)
        async with self._writing():
            try:
                found = self._backend.latest(identity, self._clock.cutoff())
            except UnreadableSessionError as error:
                self._unreadable.skip_or_raise(error)
                found = None
            if found is None:  # as it is, unless another task saved one while `create` ran
                write_back_version(session, *self._writer.put(prepared, Expected(0)))
                await self._evict_after(1)
            return found

    async def _put_many(
        self, sessions: Sequence[S], expected: Sequence[Expected | None] | None, *, touch: bool, first: int = 0
    ) -> list[UUID]:
        prepared = await map_in_slices(self._codec.prepare, sessions, first, self._guard.enter)
        async with self._writing():
            versions = self._writer.put_many(prepared, expected, touch=touch, first=first)
            for session, version in zip(sessions, versions, strict=True):
                write_back_version(session, *version)
            await self._evict_after(len(prepared))
        return [one.session_id for one in prepared]

    async def _restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        prepared = await map_in_slices(
            self._codec.prepare, [session for session, _, _ in versions], 0, self._guard.enter
        )
        async with self._writing():
            batch = [(one, stamp, revision) for one, (_, stamp, revision) in zip(prepared, versions, strict=True)]
            count = self._writer.restore(batch)
            await self._evict_after(0)
        return count

    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        async with self._writing():
            return self._writer.touch(session_id, tenant_id)

    async def _erase(self, query: ListQuery) -> int:
        count, slices = 0, Slices(self._guard.enter)
        while True:
            async with self._writing():
                found = self._backend.newest(query, Page(_ERASED_AT_ONCE), None)
                count += self._writer.erase([UUID(bytes=self._backend.place_of(stored).key) for stored in found])
                if self._notifier is not None:
                    self._notifier.forget(lambda evicted: self._backend.is_answer(evicted, query))
            if not found:
                return count
            if perf_counter() > slices.deadline:
                await slices.pause()

    async def _reindex(self, _progress: OnReindexed | None) -> ReindexProgress:
        return ReindexProgress(0, 0)  # each session was indexed by the class that it has

    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        lock = self._lock
        await lock.acquire()  # as in `_put`
        try:
            if lock is not self._lock:
                self._guard.enter()
            return self._writer.remove(session_ids, tenant_id)
        finally:
            lock.release()
            if self._has_evictions:
                self._notify_evicted()

    # -- eviction --

    async def _evict_after(self, save_count: int) -> None:
        """Evict what is beyond the limit, and a few sessions that have expired. The caller holds the lock."""
        if not self._has_evictions:
            return
        slices = Slices(self._guard.enter)
        try:
            while self._writer.evict_surplus(SLICE_SECONDS):
                self._notify_evicted()
                await slices.pause()
            for _ in range(save_count):
                if not self._writer.evict_expired(_EVICTIONS_PER_SAVE):
                    break
                if perf_counter() > slices.deadline:
                    await slices.pause()
        except (StoreClosedError, WrongLoopError):  # while it paused; the save is done all the same
            return
        except InvariantError:
            raise
        except Exception:  # of the clock, which is the user's: the save is done, so it does not fail
            log.exception("evicting after a save failed; the next save tries again")

    async def _evict_all_expired(self) -> None:
        """Evict all sessions that have expired, a slice of time after another."""
        if self._policy.idle_ttl is not None:
            slices = Slices(self._guard.enter)
            while await self._evict_some_expired():
                await slices.pause()

    async def _evict_some_expired(self) -> bool:
        async with self._writing():
            return self._writer.evict_expired(2**63, SLICE_SECONDS)

    def _notify_evicted(self) -> None:
        if self._notifier is not None:
            self._notifier.schedule()

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

    def _recover(self) -> None:
        self._writer.recover()

    def _recover_if_idle(self) -> None:
        """Finish an interrupted commit, but none that is under way: a signal handler may run within it."""
        if not self._writer.is_committing:
            self._guard.recover_if_idle()

    def _on_new_loop(self) -> None:
        self._lock, self._closing, self._sweeper = asyncio.Lock(), asyncio.Event(), None
        if self._notifier is not None:
            self._notifier.start_over()
            self._notifier.schedule()  # for callbacks that an earlier loop did not get to

    def _start_sweeper(self) -> None:
        if self._policy.idle_ttl is not None and self._sweeper is None:
            interval = min(SWEEP_INTERVAL_SECONDS, self._policy.idle_ttl.total_seconds())
            self._sweeper = asyncio.create_task(
                sweep(self._evict_some_expired, self._closing, interval), name="sessiondex sweeper"
            )

    async def _is_healthy(self) -> bool:
        return self._sweeper is None or not self._sweeper.done()

    async def _release(self) -> None:
        self._closing.set()
        if self._sweeper is not None and not self._sweeper.done():
            await asyncio.wait([self._sweeper])
        async with self._lock:  # until the last save under way has committed, with its evictions
            pass
        if self._feed is not None:
            self._feed.close()
        if self._notifier is not None:
            await self._notifier.drain()
