"""PartsStore: a scan store whose parts a subclass replaces by broken ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sessiondex import Session
from sessiondex.clock import StampClock
from sessiondex.indexed import IndexedField, KnownIndexes, own_keys
from sessiondex.models import utc_now
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.stores.eviction import EvictionPolicy, OnEvict
from sessiondex.stores.evictor import Evictor
from sessiondex.stores.local import LocalSessionStore
from sessiondex.stores.loop_guard import LoopGuard
from sessiondex.stores.scan import ScanBackend
from sessiondex.stores.session_loader import SessionLoader
from sessiondex.stores.unreadable import OnUnreadable, UnreadableSessions
from sessiondex.stores.writer import Writer


class OpenBackend(ScanBackend[Any]):
    """A scan backend that stores any object as it is given."""

    def plant(self, snapshot: Session) -> None:
        """Store this very object, unchecked."""
        self._snapshots[snapshot.session_id] = snapshot


class PartsStore(LocalSessionStore[Any, Any, Any]):
    """Keeps the contract, unless a subclass names a broken part."""

    backend_class: type[OpenBackend] = OpenBackend
    clock_class: type[StampClock] = StampClock
    evictor_class: type[Evictor[Any, Any]] = Evictor
    guard_class: type[LoopGuard] = LoopGuard
    indexes_class: type[KnownIndexes] = KnownIndexes
    writer_class: type[Writer[Any, Any]] = Writer

    def index_keys(self, values: Mapping[str, Any], indexed: Sequence[IndexedField]) -> tuple[()]:
        """Return no key, and refuse what cannot be indexed, as the scan store does."""
        own_keys(values, indexed)
        return ()

    def __init__(
        self,
        *,
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = 1_000,
        clock: Callable[[], datetime] = utc_now,
        on_unreadable: OnUnreadable = "raise",
    ) -> None:
        policy = EvictionPolicy(idle_ttl, max_sessions, on_evict)
        stamps = self.clock_class(clock, idle_ttl)
        codec: SnapshotCodec[Any] = SnapshotCodec(self.index_keys, stamps.instant, self.indexes_class())
        self.backend = self.backend_class(codec)
        unreadable = UnreadableSessions(on_unreadable)
        super().__init__(self.backend, codec, stamps, policy, changes_kept, unreadable=unreadable)
        self._guard = self.guard_class(self._start_in_new_loop, self._recover)
        self._writer = self.writer_class(
            self.backend, stamps, policy, suspend=self._guard.suspend, resume=self._guard.resume
        )
        if self._notifier is not None:
            self._writer.subscribe(self._notifier)
        self._evictor = self.evictor_class(self._writer, policy, self._notifier, self._guard.enter)
        self._sessions = SessionLoader(self.backend, unreadable, self._guard.enter)
