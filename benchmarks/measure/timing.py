"""Time calls in lanes that take turns, so that noise of the machine affects all lanes alike."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import ceil
from time import perf_counter_ns
from typing import NamedTuple, TypeVar

from benchmarks.measure.delays import percentile

R = TypeVar("R")

_MIN_CALLS_FOR_P99 = 100
_WARM_UP_CALLS = 200
_SETTLING_CALLS = 5
_FAST_NS, _SLOW_NS = 100_000, 10_000_000


class Sample(NamedTuple):
    """One timed call: its duration, and the number of sessions that it returned or wrote."""

    nanoseconds: int
    results: int


@dataclass(frozen=True)
class Summary:
    """The samples of one lane, in microseconds per call. `p99` is `None` for fewer than 100 calls."""

    calls: int
    results: float
    median: float
    p99: float | None


@dataclass(frozen=True)
class Budget:
    """The limits of one lane: seconds, the most and the fewest calls, and the turns that they are divided into."""

    seconds: float
    most_calls: int
    least_calls: int = 5
    turns: int = 20


class Lane:
    """Time one thing again and again; `once` prepares and times the call at a position, from `start` on."""

    def __init__(self, name: str, once: Callable[[int], Awaitable[Sample]], start: int = 0) -> None:
        self.name = name
        self._once = once
        self._start = start
        self.samples: list[Sample] = []
        self._spent_ns = 0.0
        self._typical_ns = 0.0

    async def warm_up(self, budget: Budget) -> None:
        """Make calls that are not counted, from the end of the keys: up to 200, or a few if they are slow.

        Then sessions that are read again and again are in the caches where they will stay.
        """
        start = perf_counter_ns()
        took: list[int] = []
        while len(took) < _WARM_UP_CALLS:
            took.append((await self._once(self._start - len(took) - 1)).nanoseconds)
            self._typical_ns = statistics.median(took)
            seconds = budget.seconds / budget.turns if self._typical_ns > _SLOW_NS else 2 * budget.seconds
            if perf_counter_ns() - start > seconds * 1e9:
                break

    async def run(self, budget: Budget, share: float) -> None:
        """Make calls until this share of the budget is spent."""
        await self._settle()
        due_ns = budget.seconds * 1e9 * share
        most, least = ceil(budget.most_calls * share), ceil(budget.least_calls * share)
        while (self._spent_ns < due_ns and len(self.samples) < most) or len(self.samples) < least:
            sample = await self._once(self._start + len(self.samples))
            self.samples.append(sample)
            # Capped: otherwise one call with a garbage collection in it would end the lane.
            self._spent_ns += min(sample.nanoseconds, 10 * self._typical_ns)

    async def _settle(self) -> None:
        # Other lanes have emptied the processor's caches of this lane's code. Without these calls its first ones would
        # be the slowest 1 %. Slow lanes do not need it.
        if self._typical_ns < _FAST_NS:
            for position in range(_SETTLING_CALLS):
                await self._once(self._start - position - 1)


async def interleave(lanes: Sequence[Lane], budget: Budget, tick: Callable[[], None]) -> dict[str, Summary]:
    """Run the lanes in turns until each has spent its budget; return their summaries by name.

    `tick` is called between turns, never while a call is timed.
    """
    for lane in lanes:
        await lane.warm_up(budget)
        await yield_to_loop()
    for turn in range(1, budget.turns + 1):
        for lane in lanes:
            await lane.run(budget, turn / budget.turns)
            await yield_to_loop()
        tick()
    return {lane.name: summarize(lane.samples) for lane in lanes}


async def yield_to_loop() -> None:
    """Let the event loop run once: the stores never wait, and Ctrl-C is handled only by the loop."""
    await asyncio.sleep(0)


async def timed(call: Callable[[], Awaitable[R]]) -> tuple[int, R]:
    """Await the call; return its nanoseconds and its result."""
    start = perf_counter_ns()
    result = await call()
    return perf_counter_ns() - start, result


def timed_now(call: Callable[[], R]) -> tuple[int, R]:
    """Make the call; return its nanoseconds and its result."""
    start = perf_counter_ns()
    result = call()
    return perf_counter_ns() - start, result


def timer_overhead() -> float:
    """Return the microseconds of timing nothing, which every figure contains."""
    return statistics.median(timed_now(int)[0] for _ in range(10_001)) / 1000


def summarize(samples: Sequence[Sample]) -> Summary:
    """Summarize at least one sample.

    >>> summarize([Sample(3000, 1), Sample(1000, 1), Sample(2000, 4)])
    Summary(calls=3, results=2.0, median=2.0, p99=None)
    """
    microseconds = sorted(sample.nanoseconds / 1000 for sample in samples)
    count = len(microseconds)
    return Summary(
        calls=count,
        results=round(sum(sample.results for sample in samples) / count, 2),
        median=round(statistics.median(microseconds), 3),
        p99=round(percentile(microseconds, 0.99), 3) if count >= _MIN_CALLS_FOR_P99 else None,
    )
