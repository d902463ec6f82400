"""InMemorySessionStore: the store that services use, with every query answered by an index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Unpack

from sessiondex import schema
from sessiondex.arguments import check_bool, check_min
from sessiondex.clock import StampClock
from sessiondex.engine.table import Row, RowChange
from sessiondex.errors import InvalidArgumentError, StoreNotOpenError
from sessiondex.indexed import KnownIndexes
from sessiondex.models import Session, utc_now
from sessiondex.reading import S
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.snapshots.session_types import SessionTypes, check_session_classes
from sessiondex.stores.eviction import EvictionPolicy, OnEvict
from sessiondex.stores.journal import Journal
from sessiondex.stores.loading import JournalLoader
from sessiondex.stores.local import LocalSessionStore
from sessiondex.stores.options import ServerOptions, check_ignored
from sessiondex.stores.repacking import repack
from sessiondex.stores.stats import StoreStats
from sessiondex.stores.table_backend import TableBackend
from sessiondex.stores.unreadable import OnUnreadable, UnreadableSessions

CACHE_SIZE = 1_000
MAX_CHANGES = 1_000


class InMemorySessionStore(LocalSessionStore[Row | S, RowChange, S]):
    """Keeps sessions in this process and answers every query from an index.

    Sessions are packed as bytes: reading one costs about half of a `model_validate_json`, and the garbage collector
    does not visit it. `cache_size` bounds how many are kept as live objects as well, from their second read since their
    last save on: reading those costs about two shallow `model_copy()`. The sessions must fit in the memory of the
    process; `stats` says how much they take. They end with it, unless there is a `journal`, such as `SQLiteJournal`:
    then `async with` loads what an earlier store left, and no other call works before.

    A session that was idle for longer than `idle_ttl` is gone from that instant. Beyond `max_sessions`, those idle
    longest are evicted. `on_evict(session, reason)` is called for both, in a task of its own; it may be a coroutine
    function, and its errors are logged. Within `async with`, the store evicts expired sessions in the background;
    otherwise its saves and counts do. `changes_kept` bounds how many changes are kept for those who follow them.
    `clock` returns the present instant as an aware datetime. With `debug`, every save and delete recomputes all indexes
    and raises `InvariantError` at the first that differs: for tests, since it walks over all sessions.

    With `on_unreadable="skip"`, lists, iterators, `export` and `get_or_create` go on without a session that its class
    no longer loads, and log it; otherwise they raise `UnreadableSessionError`. `session_classes` are those by whose
    `Indexed` fields you query before one of their sessions was saved. Options of other stores are ignored.

    >>> import asyncio
    >>> from uuid import uuid4
    >>> from sessiondex import Channel, Session, SessionStatus
    >>> async def main():
    ...     store = InMemorySessionStore()
    ...     tenant_id, agent_id = uuid4(), uuid4()
    ...     session = Session(tenant_id=tenant_id, agent_id=agent_id, channel=Channel.SLACK, user_channel_id="U1")
    ...     session.variables["city"] = "Lisbon"
    ...     await store.save(session)
    ...     found = await store.get_by_channel(tenant_id, Channel.SLACK, "U1")
    ...     newest = await store.list_by_agent(tenant_id, agent_id, status=SessionStatus.ACTIVE, limit=10)
    ...     return found.variables, newest == [session]
    >>> asyncio.run(main())
    ({'city': 'Lisbon'}, True)
    """

    def __init__(
        self,
        *,
        cache_size: int = CACHE_SIZE,
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = MAX_CHANGES,
        debug: bool = False,
        clock: Callable[[], datetime] = utc_now,
        session_classes: Iterable[type[Session]] = (),
        on_unreadable: OnUnreadable = "raise",
        journal: Journal | None = None,
        **others: Unpack[ServerOptions],
    ) -> None:
        check_ignored(others, ServerOptions)
        check_min("cache_size", cache_size, 0, "0 keeps no live objects")
        check_bool("debug", debug)
        classes = check_session_classes(session_classes)
        indexes = KnownIndexes(classes)
        policy = EvictionPolicy(idle_ttl, max_sessions, on_evict)
        stamps = StampClock(clock, idle_ttl)
        index_keys = schema.eviction_index_keys if policy.is_on else schema.index_keys
        given: object = journal
        if given is not None and not isinstance(given, Journal):
            reason = f"must be a SQLiteJournal, or None, not {type(given).__name__}"
            raise InvalidArgumentError("journal", reason)
        types = None if journal is None else SessionTypes(classes)
        codec: SnapshotCodec[S] = SnapshotCodec(index_keys, stamps.instant, indexes, types)
        unreadable = UnreadableSessions(on_unreadable)
        self._table = TableBackend(codec, cache_size, has_evictions=policy.is_on, is_restored=journal is not None)
        self._repacking: asyncio.Task[None] | None = None
        super().__init__(
            self._table,
            codec,
            stamps,
            policy,
            changes_kept,
            debug=debug,
            unreadable=unreadable,
            loader=None if journal is None else JournalLoader(journal, codec, unreadable),
        )

    def stats(self) -> StoreStats:
        """Return how much is stored. Cost: O(1).

        >>> stats = InMemorySessionStore().stats()
        >>> stats.sessions, stats.indexes["customer"].entries
        (0, 0)
        """
        if not self._guard.is_open:
            raise StoreNotOpenError
        self._recover_if_idle()
        skipped, jumps = self._unreadable.skipped, self._clock.jumps
        journal = None if self._journal is None else self._journal.stats()
        return replace(self._table.stats(), skipped_reads=skipped, clock_jumps=jumps, journal=journal)

    @property
    def journal(self) -> Journal | None:
        """What the store was given as its journal: `await store.journal.backup(path)`."""
        return self._journal

    async def _open(self) -> None:
        await super()._open()
        self._start_repacking()

    def _on_new_loop(self) -> None:
        super()._on_new_loop()
        self._repacking = None
        if self._guard.is_open:
            self._start_repacking()

    def _start_repacking(self) -> None:
        is_running = self._repacking is not None and not self._repacking.done()
        if self._loader is not None and self._loader.loaded_keys and not is_running:
            repacking = repack(
                self._loader.loaded_keys, self._table.plan_repack, self._writer.rewrite, self._guard.enter
            )
            self._repacking = asyncio.create_task(repacking, name="sessiondex repacking")

    async def _release(self) -> None:
        if self._repacking is not None and not self._repacking.done():
            await asyncio.wait([self._repacking])  # it ends at its next slice, since the store is closed
        await super()._release()
