"""What becomes of a write: checked, stamped, committed, told. The same for every store within one process.

A write is first prepared, which does all that can fail and changes nothing, then committed, in a step without an
`await` that cannot fail. What a store lets go of by itself goes the way of what is deleted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Generic, NamedTuple
from uuid import UUID

from sessiondex.clock import StampClock
from sessiondex.contract import ChangeKind, EvictionReason, S
from sessiondex.errors import ConflictError
from sessiondex.records import Records
from sessiondex.stores import arguments as check
from sessiondex.stores.backend import Backend
from sessiondex.stores.eviction import Eviction
from sessiondex.stores.feed import Feed


class Write(NamedTuple, Generic[S]):
    """A save of which all that can fail has been done. `plan` is the store's own."""

    session: S
    session_id: UUID
    tenant_id: UUID
    stamp: datetime
    revision: int
    plan: Any


class Commits(Backend[S], Generic[S]):
    """Keeps stamps, revisions, what is accepted, eviction and the change feed (laws 1, 5, 6, 17 and 18)."""

    def __init__(self, clock: Callable[[], datetime], eviction: Eviction, changes_kept: int) -> None:
        check.at_least("changes_kept", changes_kept, 0, "0 keeps none for those who follow them")
        self._stamps = StampClock(clock)
        self._records = Records()
        self._eviction = eviction
        self._feed = Feed(changes_kept)
        self._evicted: deque[tuple[Any, EvictionReason]] = deque()
        """Of whom `on_evict` is still to be told."""

    def _since(self) -> datetime | None:
        """Return the stamp from which on sessions can be seen at this instant, or `None` if all can."""
        return None if self._eviction.idle_ttl is None else self._eviction.since(self._stamps.now())

    def _prepare(  # each by its name
        self,
        session: S,
        stamp: datetime,
        *,
        since: datetime | None,
        expected: int | None = None,
        expected_stamp: datetime | None = None,
        before: Write[S] | None = None,
        in_bulk: bool,
    ) -> Write[S]:
        """Do all of a save that can fail. `before` is a write of the same session that is to be committed first."""
        session_id = getattr(session, "session_id", None)
        earlier, stored = None, 0
        if isinstance(session_id, UUID):
            self._evict_if_idle(session_id, since)
            earlier = self._live(session_id)
            stored = self._revision(session_id) if before is None else before.revision
        kept = self._records.snapshot(session, stamp, earlier, revision=stored + 1)
        plan = self._plan(kept, earlier, in_bulk=in_bulk)
        is_another = expected_stamp is not None and self._stamp_of(kept.snapshot.session_id) != expected_stamp
        if expected is not None and (expected != stored or is_another):
            raise ConflictError(kept.snapshot.session_id, expected, stored)
        # Without the snapshot, unless it is in the plan: of many, that would be much to let go of in the end.
        return Write(session, kept.snapshot.session_id, kept.snapshot.tenant_id, stamp, stored + 1, plan)

    def _commit(self, write: Write[S]) -> None:
        is_kept = self._feed.is_on
        before = self._image(write.session_id) if is_kept else None
        self._apply(write.plan)
        self._feed.add(ChangeKind.SAVED, before, self._image(write.session_id) if is_kept else None)

    def _stamp(self, write: Write[S]) -> None:
        """Make the given session show that it was saved."""
        self._stamps.take(write.stamp)
        # Past validation and past a frozen subclass: the session is stored now, so this must not fail.
        session = write.session
        session.__dict__["last_activity_at"] = write.stamp
        session.__dict__["revision"] = write.revision
        fields_set: set[str] = getattr(session, "__pydantic_fields_set__", set())
        if not fields_set.issuperset(_STAMPED):
            object.__setattr__(session, "__pydantic_fields_set__", fields_set | _STAMPED)

    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        """Remove these sessions, all at once and without fail, and return how many there were."""
        count, since = 0, self._since()
        for session_id in session_ids:
            self._evict_if_idle(session_id, since)
            if self._is_there(session_id, tenant_id):
                self._discard(session_id, ChangeKind.DELETED)
                count += 1
        return count

    def _discard(self, session_id: UUID, kind: ChangeKind) -> None:
        before = self._image(session_id) if self._feed.is_on else None
        self._take_out(session_id)
        self._feed.add(kind, before, None)

    # -- eviction --

    def _evict(self, session_id: UUID, reason: EvictionReason) -> None:
        if self._eviction.on_evict is not None:
            self._evicted.append((self._image(session_id), reason))
            self._tell_soon()
        self._discard(session_id, ChangeKind.EVICTED)

    @abstractmethod
    def _tell_soon(self) -> None:
        """Have `on_evict` told what was evicted, without waiting for it."""

    def _evict_if_idle(self, session_id: UUID, since: datetime | None) -> None:
        """Make sure that what has expired is in nobody's way."""
        if since is not None:
            stamp = self._stamp_of(session_id)
            if stamp is not None and stamp < since:
                self._evict(session_id, EvictionReason.IDLE)

    def _evict_idle(self, most: int, since: datetime | None) -> bool:
        """Evict those that have expired, up to so many, and return whether there may be more."""
        if since is None:
            return False
        for _ in range(most):
            session_id = self._oldest()
            stamp = None if session_id is None else self._stamp_of(session_id)
            if session_id is None or stamp is None or stamp >= since:
                return False
            self._evict(session_id, EvictionReason.IDLE)
        return True

    def _evict_surplus(self, since: datetime | None) -> None:
        """Keep to the cap."""
        if self._eviction.max_sessions is not None:
            while self._count() > self._eviction.max_sessions:
                if self._evict_idle(1, since):
                    continue
                session_id = self._oldest()
                assert session_id is not None  # there is more than one
                self._evict(session_id, EvictionReason.CAP)


_STAMPED = frozenset({"last_activity_at", "revision"})
