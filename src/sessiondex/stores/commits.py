"""What becomes of a write: checked, stamped, committed, told. The same for every store within one process.

A write is first prepared, which does all that can fail and changes nothing, then committed, in a step without an
`await` that cannot fail. What a store lets go of by itself goes the way of what is deleted.

What comes from outside can interrupt even that: there is no memory left, or no stack, or Ctrl-C was pressed twice. So
what is to be done is noted before, and forgotten after. If it is interrupted it is done again, at once, or else by the
next call, which comes by `_settle` since the store belongs to no loop meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple
from uuid import UUID

from sessiondex.clock import StampClock
from sessiondex.contract import ChangeKind, EvictionReason, S
from sessiondex.errors import ConflictError, InvalidSessionError
from sessiondex.models import Session
from sessiondex.records import Records, values_of
from sessiondex.stores import arguments as check
from sessiondex.stores.backend import Backend
from sessiondex.stores.eviction import Eviction
from sessiondex.stores.feed import Feed, Head
from sessiondex.stores.telling import Telling


class Write(NamedTuple, Generic[S]):
    """A save of which all that can fail has been done. `plan` is the store's own."""

    session: S
    session_id: UUID
    tenant_id: UUID
    stamp: datetime
    revision: int
    plan: Any


class Part(NamedTuple):
    """A planned change of one session. Without a kind it is not published."""

    session_id: UUID
    kind: ChangeKind | None
    plan: Any
    head: Head | None = None
    """What the change feed publishes of the session, or `None` if the feed is off."""


class _Intent(NamedTuple):
    """A commit that has begun."""

    parts: Sequence[Part]
    sequence: int
    """The last change of before."""
    evicted: tuple[Any, EvictionReason] | None
    """What `on_evict` is to be told."""


class Commits(Telling[S], Backend[S], Generic[S]):
    """Keeps stamps, revisions, what is accepted, eviction and the change feed (laws 1, 5, 6, 17 and 18)."""

    def __init__(
        self, clock: Callable[[], datetime], eviction: Eviction, changes_kept: int, *, debug: bool = False
    ) -> None:
        check.at_least("changes_kept", changes_kept, 0, "0 keeps none for those who follow them")
        check.is_bool("debug", debug)
        super().__init__(eviction.on_evict)
        self._debug = debug
        self._stamps = StampClock(clock)
        self._records = Records()
        self._eviction = eviction
        self._feed = Feed(changes_kept)
        self._intent: _Intent | None = None
        self._is_interrupted = False
        """Whether the intent is one that nobody is at any longer."""

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
        revision: int | None = None,
        in_bulk: bool,
    ) -> Write[S]:
        """Do all of a save that can fail. `before` is a write of the same session that is to be committed first.

        `revision` is the one to keep, if it is not to be counted.
        """
        session_id = id_of(session)
        earlier, stored = None, 0
        if session_id is not None:
            self._evict_if_idle(session_id, since)
            earlier = self._live(session_id)
            stored = self._revision(session_id) if before is None else before.revision
        number = stored + 1 if revision is None else revision
        kept = self._records.snapshot(session, stamp, earlier, revision=number)
        if kept.snapshot.session_id != session_id:  # it said one thing here, and another thing there
            raise InvalidSessionError("session_id", "must be a uuid.UUID that always says the same")
        plan = self._plan(kept, earlier, in_bulk=in_bulk)
        is_another = expected_stamp is not None and self._stamp_of(kept.snapshot.session_id) != expected_stamp
        if expected is not None and (expected != stored or is_another):
            raise ConflictError(kept.snapshot.session_id, expected, stored)
        # Without the snapshot, unless it is in the plan: of many, that would be much to let go of in the end.
        return Write(session, kept.snapshot.session_id, kept.snapshot.tenant_id, stamp, number, plan)

    def _commit(self, parts: Sequence[Part], evicted: tuple[Any, EvictionReason] | None = None) -> None:
        """Do what was planned, of any number of sessions, each of which is in one part."""
        intent = _Intent(parts, self._feed.sequence, evicted)
        loop, self._loop = self._loop, None  # first: an intent is looked for by whoever finds no loop
        self._intent = intent
        try:
            for part in parts:
                self._apply(part.plan)
            self._tell_of(intent)
        except BaseException:
            self._is_interrupted = True
            self._settle()
            raise
        self._intent = None
        self._loop = loop
        if self._debug and any(part.kind is not None for part in parts):
            self._check()

    def _settle(self) -> None:
        """Do to its end what was interrupted. Cost: O(n log n), if anything was."""
        intent = self._intent
        if intent is not None:
            self._apply_again([part.plan for part in intent.parts])
            self._feed.rewind(intent.sequence)
            self._tell_of(intent)
            self._is_interrupted = False
            self._intent = None

    def _tell_of(self, intent: _Intent) -> None:
        """Tell the change feed, and those who tell `on_evict`, what was done. May be done again."""
        for part in intent.parts:
            if part.kind is not None:
                self._feed.add(part.kind, part.session_id, part.head)
        if intent.evicted is not None and (not self._evicted or self._evicted[-1] is not intent.evicted):
            self._evicted.append(intent.evicted)

    def _commit_writes(self, writes: Sequence[Write[S]]) -> None:
        """Commit all of them, none of which is of the same session as another."""
        # The stamps first: that none is used twice matters, that each is used does not.
        self._stamps.take(writes[-1].stamp)
        self._commit(
            [
                Part(write.session_id, ChangeKind.SAVED, write.plan, (write.tenant_id, write.revision, write.stamp))
                for write in writes
            ]
        )

    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        """Remove these sessions, all at once and without fail, and return how many there were."""
        since = self._since()
        parts: dict[bytes, Part] = {}  # not by UUID, whose hash anyone can make collide
        for session_id in session_ids:
            self._evict_if_idle(session_id, since)
            if self._is_there(session_id, tenant_id) and session_id.bytes not in parts:
                parts[session_id.bytes] = self._removal(session_id, ChangeKind.DELETED)
        self._commit(list(parts.values()))
        return len(parts)

    def _removal(self, session_id: UUID, kind: ChangeKind) -> Part:
        head = self._head(session_id) if self._feed.is_on else None
        return Part(session_id, kind, self._plan_removal(session_id), head)

    # -- eviction --

    def _evict(self, session_id: UUID, reason: EvictionReason) -> None:
        evicted = None if self._eviction.on_evict is None else (self._image(session_id), reason)
        self._commit([self._removal(session_id, ChangeKind.EVICTED)], evicted)
        if evicted is not None:
            self._tell_soon()

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


def id_of(session: object) -> UUID | None:
    """Return the id as a plain UUID, whatever subclass it is of, or `None` if it is none."""
    if not issubclass(type(session), Session):
        return None  # the records have the words for that
    given: Any = values_of(session).get("session_id")
    if type(given) is UUID:
        return given
    try:
        return check.as_exact_id(given)
    except Exception as error:  # noqa: BLE001  # whatever it is
        raise InvalidSessionError("session_id", f"reading it raises {type(error).__name__}") from None
