"""RedisSessionStore: stores sessions on a Redis or Valkey server.

Each operation calls one function of `lua/`. Everything that is bound to an event loop is in `LoopParts`, which is made
anew for each loop. So an operation never uses the connections of another loop, even if the store moves during a wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Unpack
from uuid import UUID

from sessiondex import arguments
from sessiondex.changes import Change
from sessiondex.clock import MICROSECOND, StampClock
from sessiondex.contract import OnReindexed, ReindexProgress
from sessiondex.errors import InvalidArgumentError, StoreUnavailableError
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
from sessiondex.stores.base import BaseSessionStore
from sessiondex.stores.eviction import EvictionNotifier, EvictionPolicy, OnEvict
from sessiondex.stores.options import MemoryOptions, check_ignored
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.background_tasks import BackgroundTasks
from sessiondex.stores.redis.bulk import BulkSaver
from sessiondex.stores.redis.change_stream import ChangeReaders, ChangeStream, ChangeStreamReader
from sessiondex.stores.redis.client import RedisClient
from sessiondex.stores.redis.codec import SessionCodec
from sessiondex.stores.redis.deletions import Deletions
from sessiondex.stores.redis.locators import Locators
from sessiondex.stores.redis.locks import RedisLocks
from sessiondex.stores.redis.maintenance import Sweeper, TenantRegistry
from sessiondex.stores.redis.queries import RedisQueries
from sessiondex.stores.redis.reindexing import Reindexer
from sessiondex.stores.redis.removals import EvictedRow, RemovalHandler
from sessiondex.stores.redis.saves import (
    PreparedSave,
    SaveConflict,
    Saver,
    SaveTerms,
    prepare_save,
    terms_of,
    write_back_if_later,
)
from sessiondex.stores.redis.tenant_client import Keyspace, TenantClient
from sessiondex.stores.redis.url import address_of
from sessiondex.stores.stats import RedisStoreStats
from sessiondex.stores.unreadable import OnUnreadable, UnreadableSessions

SWEEP_INTERVAL_SECONDS = 10.0  # at most; shorter if `idle_ttl` is
_MILLISECOND = timedelta(milliseconds=1)


class LoopParts(NamedTuple, Generic[S]):
    """The parts of a store that are bound to one event loop."""

    calls: TenantClient
    tasks: BackgroundTasks
    locators: Locators
    removals: RemovalHandler
    tenants: TenantRegistry
    sweeper: Sweeper
    saver: Saver[S]
    bulk: BulkSaver[S]
    deletions: Deletions
    queries: RedisQueries[S]
    locks: RedisLocks
    closing: asyncio.Event


class RedisSessionStore(BaseSessionStore[S], Generic[S]):
    """Stores sessions on a Redis or Valkey server, or a cluster. Any number of processes can share them.

    `url` begins with `redis://`, `rediss://` (TLS) or `valkey://`, with `+cluster` for a cluster. `prefix` begins all
    keys of the store. `session_classes` are the subclasses of `Session` that other processes may have saved; the store
    knows the classes that it saves. The lock of `exclusive` expires after `turn_ttl` unless it is renewed. `timeout`,
    in seconds, bounds each attempt of a call. `max_connections` is for this process. The other options are those of
    `InMemorySessionStore`: give all processes the same ones. `max_sessions` is for each tenant. Without `clock`, the
    server's clock counts.

    An operation takes one round trip. Operations without a tenant, and saves of new sessions, take two. Long answers
    take one for each 500 sessions. All operations raise `StoreUnavailableError` if the server cannot be reached, or
    cannot do it.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        *,
        prefix: str = "sessiondex",
        session_classes: Iterable[type[Session]] = (),
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = 1_000,
        turn_ttl: timedelta = timedelta(seconds=30),
        timeout: float = 5.0,
        max_connections: int = 50,
        clock: Callable[[], datetime] | None = None,
        on_unreadable: OnUnreadable = "raise",
        **others: Unpack[MemoryOptions],
    ) -> None:
        check_ignored(others, MemoryOptions)
        prefix = arguments.check_text("prefix", prefix)
        if not prefix or not prefix.isascii() or not prefix.isprintable() or set(prefix) & set("{}"):
            raise InvalidArgumentError("prefix", "must be printable ASCII characters, at least one, without braces")
        arguments.check_duration("turn_ttl", turn_ttl, timedelta(milliseconds=100))
        self._address = address_of(url, timeout=timeout, max_connections=max_connections)
        self._policy = EvictionPolicy(idle_ttl, max_sessions, on_evict)
        self._keyspace = Keyspace(prefix, is_cluster=self._address.is_cluster)
        self._unreadable = UnreadableSessions(on_unreadable)
        self._codec: SessionCodec[S] = SessionCodec(session_classes, self._address.host, self._unreadable)
        super().__init__(lambda: None, self._codec.indexes)  # each commit is one step of the server
        self._changes_kept = arguments.check_min("changes_kept", changes_kept, 0, "0 keeps none for those who follow")
        self._lock_ttl = turn_ttl // _MILLISECOND
        self._clock = None if clock is None else StampClock(clock)
        self._readers = ChangeReaders()
        self._notifier: EvictionNotifier[EvictedRow] | None = None
        if on_evict is not None:
            self._notifier = EvictionNotifier(on_evict, lambda evicted: self._codec.decode(*evicted))
        self._parts: LoopParts[S]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address.host}, prefix {self._keyspace.prefix!r}>"

    def stats(self) -> RedisStoreStats:
        """Return what this process has counted, without a call to the server. Cost: O(1).

        >>> RedisSessionStore("redis://localhost").stats()
        RedisStoreStats(skipped_reads=0)
        """
        return RedisStoreStats(self._unreadable.skipped)

    # -- reading --

    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        found = await self._parts.queries.find(session_id, tenant_id)
        return None if found is None else found[0]

    async def _find_version(self, session_id: UUID, tenant_id: UUID | None) -> tuple[S, Expected] | None:
        return await self._parts.queries.find(session_id, tenant_id)

    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[S | None]:
        return await self._parts.queries.find_many(session_ids, tenant_id)

    async def _latest(self, query: LatestQuery) -> S | None:
        return await self._parts.queries.latest(query)

    async def _newest(self, query: ListQuery, page: Page) -> list[S]:
        return await self._parts.queries.newest(query, page)

    async def _at_step(self, query: StepQuery) -> list[S]:
        return await self._parts.queries.at_step(query)

    async def _count(self, query: CountQuery) -> int:
        return await self._parts.queries.count(query)

    async def _count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        return await self._parts.queries.count_steps(query)

    async def _export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        return await self._parts.queries.export(cursor, limit)

    # -- writing --

    async def _put(self, session: S, expected: Expected | None, *, touch: bool) -> UUID:
        save = prepare_save(self._codec, session)
        await self._save(save, terms_of(expected, touch=touch))
        return save.encoded.session_id

    async def _put_if_absent(self, session: S, identity: ChannelQuery) -> S | None:
        (open_sessions,) = keys.lists_of(identity).names
        return await self._save(prepare_save(self._codec, session), terms_of(Expected(0), touch=True), open_sessions)

    async def _save(self, save: PreparedSave[S], terms: SaveTerms, identity: bytes = b"") -> S | None:
        """Save a session, and write its version back; or return the session that has the identity."""
        try:
            versions, found = await self._parts.saver.save(save.encoded.tenant_id, [save], [terms], identity)
        except SaveConflict as conflict:
            raise conflict.error from None
        for version in versions:
            write_back_if_later(save, *version)
        return found

    async def _put_many(
        self, sessions: Sequence[S], expected: Sequence[Expected | None] | None, *, touch: bool, first: int = 0
    ) -> list[UUID]:
        terms = [terms_of(one, touch=touch) for one in expected or [None] * len(sessions)]
        return await self._parts.bulk.put(sessions, terms, first)

    async def _restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        return await self._parts.bulk.restore(versions)

    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        parts, is_touched = self._parts, False
        for owner in await parts.locators.positions_by_tenant([session_id], tenant_id, parts.calls.read):
            with parts.calls.writes:
                touched, evicted = await parts.calls.call("touch", owner, parts.removals.wants_rows, session_id.hex)
                parts.removals.handle_evicted(owner, evicted)
            is_touched = bool(touched)
        return is_touched

    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        return await self._parts.deletions.remove(session_ids, tenant_id)

    async def _erase(self, query: ListQuery) -> int:
        return await self._parts.deletions.erase(query)

    async def _reindex(self, progress: OnReindexed | None) -> ReindexProgress:
        return await Reindexer(self._parts.calls, self._codec, self._parts.tenants).run(progress)

    # -- locks and changes --

    def _hold_session(self, session_id: UUID, timeout: float | None) -> AbstractAsyncContextManager[None]:
        return self._parts.locks.hold(self._session_locks, session_id, timeout)

    def changes(self, *, since: int | None = None, tenant_id: UUID | None = None) -> AsyncIterator[Change]:
        """Follow the commits of all processes, see `SessionStore.changes`.

        `tenant_id` restricts the changes to one tenant. A cluster requires it: there each tenant has a feed, with
        sequences of its own.
        """
        if tenant_id is None:
            return super().changes(since=since)
        self._guard.enter_without_loop()
        return self._read_changes(
            arguments.check_optional_sequence(since), arguments.check_uuid("tenant_id", tenant_id)
        )

    def _follow(self, after_sequence: int | None) -> AsyncIterator[Change]:
        if self._address.is_cluster:
            raise NotImplementedError("on a cluster there is a feed for each tenant: give tenant_id")
        return self._read_changes(after_sequence, None)

    def _read_changes(self, after_sequence: int | None, tenant_id: UUID | None) -> ChangeStreamReader:
        def connect() -> ChangeStream:
            if not self._guard.is_closed:  # a store that closes drains its readers
                self._guard.enter()
            return ChangeStream(self._parts.calls.client, self._keyspace.feed_base(tenant_id), self._changes_kept)

        def wait_until_closing() -> Awaitable[object]:
            return self._parts.closing.wait()

        block_milliseconds = max(int(self._address.timeout / 2 * 1_000), 1)
        reader = ChangeStreamReader(connect, after_sequence, tenant_id, block_milliseconds, wait_until_closing)
        self._readers.add(reader)
        return reader

    # -- open and closed --

    def _on_new_loop(self) -> None:
        client, tasks = RedisClient(self._address), BackgroundTasks()
        check, idle_ttl = self._guard.enter, self._policy.idle_ttl
        idle_microseconds = "" if idle_ttl is None else str(idle_ttl // MICROSECOND)
        calls = TenantClient(client, self._keyspace, self._now, idle_microseconds, self._readers, check)
        locators = Locators(client, self._keyspace.prefix)
        removals = RemovalHandler(calls, locators, tasks, self._notifier)
        tenants = TenantRegistry(calls, tasks)
        sweeper = Sweeper(calls, removals, tenants)
        saver = Saver(calls, self._codec, self._policy, locators, removals, tenants)
        bulk = BulkSaver(saver, self._codec, check)
        deletions = Deletions(calls, locators, removals, tenants)
        runner = RedisQueries(calls, self._codec, tasks, locators, removals, tenants, sweeper)
        locks = RedisLocks(client, self._keyspace.prefix, self._lock_ttl, tasks, check)
        self._parts = LoopParts(
            calls, tasks, locators, removals, tenants, sweeper, saver, bulk, deletions, runner, locks, asyncio.Event()
        )
        if self._notifier is not None:
            self._notifier.start_over()
            self._notifier.schedule()  # for callbacks that an earlier loop did not get to

    def _now(self) -> str:
        """Return the time as an argument of functions: empty if the server's clock counts."""
        if self._clock is None:
            return ""
        now = self._clock.now()
        if now > arguments.MAX_RESTORED_STAMP:
            raise InvalidArgumentError(
                "clock", "must return an instant before the year 2255, up to which servers count"
            )
        return str(now)

    def _start_sweeper(self) -> None:
        if self._policy.idle_ttl is not None:
            self._parts.sweeper.start(min(SWEEP_INTERVAL_SECONDS, self._policy.idle_ttl.total_seconds()))

    async def _is_healthy(self) -> bool:
        parts = self._parts
        try:
            await parts.tenants.can_be_read()
        except StoreUnavailableError:
            return False
        return not parts.sweeper.has_failed

    async def _release(self) -> None:
        parts = self._parts
        parts.closing.set()
        await parts.sweeper.stop()
        await parts.calls.writes.wait_until_idle()
        await self._readers.drain()
        await parts.tasks.wait()
        await parts.calls.client.close()
        if self._notifier is not None:
            await self._notifier.drain()
