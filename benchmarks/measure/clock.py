"""Give all stores the same time, so that their saves get the same stamps."""

from datetime import UTC, datetime, timedelta

START = datetime(2025, 6, 1, 9, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)


class SteppedClock:
    """Return the same instant until `tick` is called; callers tick before each save.

    >>> clock = SteppedClock()
    >>> before = clock()
    >>> clock.tick()
    >>> clock() - before
    datetime.timedelta(microseconds=1000)
    """

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        """Return the present instant."""
        return self._now

    def tick(self) -> None:
        """Advance by a millisecond."""
        self._now += _TICK
