"""Stamps: the instants of saves, in whole microseconds, never the same twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sessiondex.errors import InvalidArgumentError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Return whole microseconds since 1970-01-01 UTC.

    >>> microseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (instant - EPOCH) // MICROSECOND


class StampClock:
    """Gives stamps that strictly increase, also when the clock under it stands still or steps back.

    A stamp is first planned, then taken: one that is not taken leaves no trace.

    >>> stamps = StampClock(lambda: EPOCH)
    >>> first = stamps.plan()
    >>> stamps.take(first)
    >>> stamps.plan() - first
    datetime.timedelta(microseconds=1)
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        if not callable(clock):
            raise InvalidArgumentError("clock", "must be callable and return an aware datetime")
        self._clock = clock
        self._last = EPOCH

    def now(self) -> datetime:
        """Return what the clock says, in UTC.

        Raises:
            InvalidArgumentError: the clock gives no aware datetime after 1970-01-01 UTC.
        """
        now: object = self._clock()
        if not isinstance(now, datetime) or now.utcoffset() is None:
            raise InvalidArgumentError("clock", "must return an aware datetime, for example datetime.now(UTC)")
        if now < EPOCH:
            raise InvalidArgumentError("clock", "must not return an instant before 1970-01-01 UTC")
        try:
            now = now if now.tzinfo is UTC else now.astimezone(UTC)
            # Exact, since subclasses, such as pendulum's, calculate in their own ways.
            return now if type(now) is datetime else datetime.combine(now.date(), now.time(), UTC)
        except OverflowError:
            raise _beyond_the_calendar() from None

    def plan(self, after: datetime | None = None) -> datetime:
        """Return the stamp that the next save would have: now, or just after the last one if that is later.

        `after` is a planned stamp that is to be taken before.
        """
        now = self.now()
        last = self._last if after is None else after
        if now > last:
            return now
        try:
            return last + MICROSECOND
        except OverflowError:
            raise _beyond_the_calendar() from None

    def take(self, stamp: datetime) -> None:
        """Make the planned stamp the last one, or leave a later one as it is."""
        self._last = max(self._last, stamp)


def _beyond_the_calendar() -> InvalidArgumentError:
    return InvalidArgumentError("clock", "must return an instant before the year 10000")
