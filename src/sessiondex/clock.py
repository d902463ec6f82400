"""StampClock: the stamps of saves, in whole microseconds since 1970-01-01 UTC, and which of them have expired.

Stamps strictly increase. So after a clock was ahead and was corrected, stamps stay ahead of it, a microsecond after
another, and no longer say when a session was saved. Then *marks* do: a mark is a stamp and a reading of the clock, and
all stamps up to it were given at that reading or before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import NamedTuple

from sessiondex.errors import InvalidArgumentError

log: logging.Logger = logging.getLogger("sessiondex")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_MAX_STAMP = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
_SECOND = 1_000_000
AHEAD = _SECOND
"""How far stamps are ahead of the clock before marks are kept, in microseconds: less only delays an expiry by that."""
FAR_AHEAD = 3_600 * _SECOND
"""How far the clock may run ahead of the time that has passed before that counts as a jump, in microseconds."""
_JUMP_CHECK_INTERVAL = 60 * _SECOND
MARKS_PER_TTL = 64
"""A session expires late by at most this part of `idle_ttl`, while stamps are ahead of the clock."""


def to_microseconds(instant: datetime) -> int:
    """Return whole microseconds since 1970-01-01 UTC.

    >>> to_microseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (instant - EPOCH) // MICROSECOND


def to_datetime(microseconds: int) -> datetime:
    """Return the instant so many microseconds after 1970-01-01 UTC.

    >>> to_datetime(86_400_000_000)
    datetime.datetime(1970, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return EPOCH + MICROSECOND * microseconds


class _Mark(NamedTuple):
    """All stamps up to `stamp` were given when the clock read `reading`, or before."""

    stamp: int
    reading: int


class StampClock:
    """Gives stamps that strictly increase, also when the underlying clock stands still or steps back.

    Sessions that were idle for longer than `idle_ttl` have expired; `None`: none ever do.

    >>> clock = StampClock(lambda: EPOCH)
    >>> clock.advance(), clock.advance()
    (1, 2)
    """

    __slots__ = ("_clock", "_floor", "_idle", "_last_check", "_last_stamp", "_marks", "_next_check", "_passed", "jumps")

    def __init__(self, clock: Callable[[], datetime], idle_ttl: timedelta | None = None) -> None:
        if not callable(clock):
            raise InvalidArgumentError("clock", "must be callable and return an aware datetime")
        self._clock = clock
        self._idle = None if idle_ttl is None else idle_ttl // MICROSECOND
        self._last_stamp = 0
        self._marks: deque[_Mark] = deque()
        self._floor = 0  # the latest cutoff by marks: what has expired does not come back
        self._last_check = self._next_check = 0  # readings of the clock
        self._passed: float | None = None  # the reading of one that never jumps, at the last check
        self.jumps: int = 0
        """How often the clock jumped ahead."""

    @property
    def last_stamp(self) -> int:
        """The latest stamp that was given, or 0."""
        return self._last_stamp

    def now(self) -> int:
        """Return the time of the clock, in microseconds.

        Raises:
            InvalidArgumentError: the clock returns something else than an aware datetime from 1970 on.
        """
        now = _checked_microseconds(self._clock())
        if not self._last_check <= now < self._next_check:
            self._check_for_jump(now)
        return now

    def instant(self) -> datetime:
        """Return the time of the clock as a datetime in UTC. Raises as `now` does."""
        return to_datetime(self.now())

    def advance(self) -> int:
        """Return a new stamp: the time of the clock, or one microsecond after the last stamp if that is later.

        Raises:
            InvalidArgumentError: as `now`, or there is no later instant.
        """
        instant = self._clock()  # as in `now`, without the call in the common case
        if type(instant) is datetime and instant.tzinfo is UTC and instant >= EPOCH:
            now = (instant - EPOCH) // MICROSECOND
        else:
            now = _checked_microseconds(instant)
        if not self._last_check <= now < self._next_check:
            self._check_for_jump(now)
        stamp = now if now > self._last_stamp else self._last_stamp + 1
        if stamp > _MAX_STAMP:
            raise InvalidArgumentError("clock", "must return an instant before the year 10000")
        self._last_stamp = stamp
        if stamp > now and self._idle is not None and stamp - now > AHEAD:
            self._mark(now)
        return stamp

    def advance_to(self, stamp: int) -> None:
        """Make later stamps greater than this one."""
        self._last_stamp = max(self._last_stamp, stamp)

    def cutoff(self) -> int | None:
        """Return the oldest stamp that has not expired, in microseconds, or `None` if none ever expires."""
        if self._idle is None:
            return None
        now = self.now()
        cutoff = max(now - self._idle, 0)
        if self._last_stamp - now <= AHEAD:
            self._marks.clear()
            return max(cutoff, self._floor)
        if not self._marks or self._marks[-1].reading > now:
            self._mark(now)
        while len(self._marks) > 1 and self._marks[1].reading < cutoff:
            self._marks.popleft()
        first = self._marks[0]
        if first.reading < cutoff:
            self._floor = first.stamp + 1
        return max(cutoff, self._floor)

    def _mark(self, now: int) -> None:
        assert self._idle is not None
        mark, marks = _Mark(self._last_stamp, now), self._marks
        if marks and marks[-1].reading > now:  # corrected once more: all stamps were given before now
            marks.clear()
            self._floor = 0
        elif len(marks) > 1 and now - marks[-2].reading < self._idle // MARKS_PER_TTL:
            marks.pop()
        marks.append(mark)

    def _check_for_jump(self, now: int) -> None:
        """Compare the clock with the time that has passed, at most once a minute, and after each correction."""
        passed = monotonic()
        if self._passed is not None:
            ahead = now - self._last_check - int((passed - self._passed) * _SECOND)
            if ahead > FAR_AHEAD:
                self.jumps += 1
                log.warning("the clock jumped ahead by %s; what is saved now is stamped by it", timedelta(0, 0, ahead))
        self._last_check, self._next_check, self._passed = now, now + _JUMP_CHECK_INTERVAL, passed


def _checked_microseconds(now: object) -> int:
    if not isinstance(now, datetime) or now.utcoffset() is None:
        raise InvalidArgumentError("clock", "must return an aware datetime, for example datetime.now(UTC)")
    try:
        now = now.astimezone(UTC)
    except OverflowError:
        raise InvalidArgumentError("clock", "must return an instant before the year 10000") from None
    # A subclass of datetime, such as pendulum's, may subtract in its own way.
    microseconds = to_microseconds(datetime.combine(now.date(), now.time(), UTC))
    if microseconds < 0:
        raise InvalidArgumentError("clock", "must not return an instant before 1970-01-01 UTC")
    return microseconds
