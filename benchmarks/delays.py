"""How late things are: the event loop with a task that is due, an operation that was to begin.

A share of a hundred gaps says little of a loop that stands still now and then for long: all depends on the longest
ones. So the distribution is kept whole, counted in buckets that grow by a quarter each.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, log10
from time import perf_counter

BUCKETS_A_DECADE = 10
_LEAST = 0.01  # ms: what is shorter than that is put in the first bucket
_SLEEP = 0.001


@dataclass(frozen=True)
class Bucket:
    """How many delays were at most `up_to` ms long, and too long for the bucket before."""

    up_to: float
    count: int


@dataclass(frozen=True)
class Delays:
    """Delays in milliseconds: the value that so many of them did not exceed, and all of them in buckets."""

    count: int
    p50: float
    p99: float
    p999: float
    longest: float
    buckets: list[Bucket]
    """Those that are not empty, shortest first."""

    def longer(self) -> list[tuple[float, float]]:
        """Return for the end of each bucket, in ms, the share of the delays that were longer.

        >>> delays([1, 1, 1, 90]).longer()
        [(1.0, 0.25), (100.0, 0.0)]
        """
        left, shares = self.count, []
        for bucket in self.buckets:
            left -= bucket.count
            shares.append((bucket.up_to, left / self.count))
        return shares


def delays(milliseconds: Sequence[float]) -> Delays:
    """Return what the delays, at least one, come to.

    >>> found = delays([0.0, 2.0, 0.02, 30.0])
    >>> found.p50, found.p99, found.longest
    (0.02, 30.0, 30.0)
    """
    in_order = sorted(milliseconds)
    p50, p99, p999 = (in_order[ceil(len(in_order) * share) - 1] for share in (0.5, 0.99, 0.999))
    counts = Counter(map(_bucket, in_order))
    return Delays(
        count=len(in_order),
        p50=round(p50, 4),
        p99=round(p99, 4),
        p999=round(p999, 4),
        longest=round(in_order[-1], 4),
        buckets=[Bucket(_end(number), counts[number]) for number in sorted(counts)],
    )


def _bucket(milliseconds: float) -> int:
    # A hair less, so that what is exactly at the end of a bucket is not put in the next by a rounding.
    return max(0, ceil(log10(max(milliseconds, _LEAST) / _LEAST) * BUCKETS_A_DECADE - 1e-9))


def _end(number: int) -> float:
    return float(f"{_LEAST * 10 ** (number / BUCKETS_A_DECADE):.4g}")


class Ticker:
    """A task that sleeps for a millisecond, again and again, and notes how much longer it took.

    An idle loop is late too, by what waking takes and what the selector rounds up: less than a millisecond.
    """

    def __init__(self) -> None:
        self._gaps = array("d")  # a list of floats would grow under the eyes of the collector

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tick for as long as this is open."""
        task = asyncio.get_running_loop().create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            start = perf_counter()
            await asyncio.sleep(_SLEEP)
            self._gaps.append(max(0.0, (perf_counter() - start - _SLEEP) * 1000))

    def gaps(self) -> Delays:
        """Return the gaps so far; if it had no turn yet, a single one of nothing."""
        return delays(self._gaps or [0.0])
