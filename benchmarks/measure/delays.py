"""Measure how long the event loop keeps other tasks waiting."""

import asyncio
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from time import perf_counter

_SLEEP_SECONDS = 0.001


@dataclass(frozen=True)
class Delays:
    """Delays in milliseconds: how many there were, three percentiles, and the longest."""

    count: int
    p50: float
    p99: float
    p999: float
    longest: float


def delays(milliseconds: Sequence[float]) -> Delays:
    """Summarize at least one delay.

    >>> delays([0.0, 2.0, 0.02, 30.0])
    Delays(count=4, p50=0.02, p99=30.0, p999=30.0, longest=30.0)
    """
    in_order = sorted(milliseconds)
    p50, p99, p999, longest = (round(percentile(in_order, share), 4) for share in (0.5, 0.99, 0.999, 1))
    return Delays(len(in_order), p50, p99, p999, longest)


def percentile(in_order: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of the sorted values does not exceed.

    >>> percentile(range(1, 201), 0.99)
    198
    """
    return in_order[max(1, ceil(len(in_order) * share)) - 1]


class Ticker:
    """Sleep for a millisecond again and again, and record how much longer each sleep took.

    An idle loop is late too, by the time that waking takes: less than a millisecond.
    """

    def __init__(self) -> None:
        self._pauses = array("d")  # the collector does not visit an array, so it does not lengthen collections

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tick while this context is open."""
        task = asyncio.get_running_loop().create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            start = perf_counter()
            await asyncio.sleep(_SLEEP_SECONDS)
            self._pauses.append(max(0.0, (perf_counter() - start - _SLEEP_SECONDS) * 1000))

    def pauses(self) -> Delays:
        """Summarize the pauses so far; before the first one, return a single pause of 0 ms."""
        return delays(self._pauses or [0.0])
