"""StampClock: gives each save its stamp, in whole microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sessiondex.errors import InvalidArgumentError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_MAX_STAMP = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND


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


class StampClock:
    """Gives stamps that strictly increase, also when the underlying clock stands still or steps back.

    >>> clock = StampClock(lambda: EPOCH)
    >>> clock.advance(), clock.advance()
    (1, 2)
    """

    __slots__ = ("_clock", "_last_stamp")

    def __init__(self, clock: Callable[[], datetime]) -> None:
        if not callable(clock):
            raise InvalidArgumentError("clock", "must be callable and return an aware datetime")
        self._clock = clock
        self._last_stamp = 0

    def now(self) -> int:
        """Return the time of the clock, in microseconds.

        Raises:
            InvalidArgumentError: the clock returns something else than an aware datetime from 1970 on.
        """
        return _checked_microseconds(self._clock())

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
        stamp = now if now > self._last_stamp else self._last_stamp + 1
        if stamp > _MAX_STAMP:
            raise InvalidArgumentError("clock", "must return an instant before the year 10000")
        self._last_stamp = stamp
        return stamp

    def advance_to(self, stamp: int) -> None:
        """Make later stamps greater than this one."""
        self._last_stamp = max(self._last_stamp, stamp)


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
