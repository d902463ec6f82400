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

    A save first asks for the next stamp, and takes it when it is committed: a refused save takes none.

    >>> clock = StampClock(lambda: EPOCH)
    >>> clock.take(clock.next(clock.now()))
    >>> clock.next(clock.now())
    2
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
        now = self._clock()
        # The fast path spares a call for clocks in UTC. A subclass of datetime, such as pendulum's, may count in its own way.
        if type(now) is datetime and now.tzinfo is UTC:
            microseconds = (now - EPOCH) // MICROSECOND
        else:
            microseconds = _checked_microseconds(now)
        if microseconds < 0:
            raise InvalidArgumentError("clock", "must not return an instant before 1970-01-01 UTC")
        return microseconds

    def instant(self) -> datetime:
        """Return the time of the clock as a datetime in UTC. Raises as `now` does."""
        return to_datetime(self.now())

    def next(self, now: int, after: int | None = None) -> int:
        """Return the stamp of the next save: `now`, or one microsecond after the last one if that is later.

        `after` is a stamp that will be taken before.
        """
        last = self._last_stamp if after is None else after
        stamp = now if now > last else last + 1
        if stamp > _MAX_STAMP:
            raise InvalidArgumentError("clock", "must return an instant before the year 10000")
        return stamp

    def take(self, stamp: int) -> None:
        """Make later stamps greater than this one."""
        if stamp > self._last_stamp:
            self._last_stamp = stamp


def _checked_microseconds(now: object) -> int:
    if not isinstance(now, datetime) or now.utcoffset() is None:
        raise InvalidArgumentError("clock", "must return an aware datetime, for example datetime.now(UTC)")
    try:
        now = now.astimezone(UTC)
    except OverflowError:
        raise InvalidArgumentError("clock", "must return an instant before the year 10000") from None
    return to_microseconds(datetime.combine(now.date(), now.time(), UTC))
