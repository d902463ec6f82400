"""Timing calls: many a lane, the lanes of a cell in turns, so that noise falls on all of them alike."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import ceil
from time import perf_counter_ns
from typing import NamedTuple, TypeVar

R = TypeVar("R")

TURNS = 20
_ENOUGH_FOR_P99 = 100
_WARM_UPS = 200
_WARM_UP_SECONDS = 1.0
_SETTLING = 5
_FAST, _SLOW = 100_000, 10_000_000  # nanoseconds


class Sample(NamedTuple):
    """One timed call: how long it took, and how many sessions it answered with or wrote."""

    nanoseconds: int
    results: int


@dataclass(frozen=True)
class Summary:
    """What the samples of one lane say, in microseconds a call. `p99` is `None` for fewer than 100 calls."""

    calls: int
    results: float
    least: float
    median: float
    p99: float | None
    most: float


@dataclass(frozen=True)
class Budget:
    """How long one lane may take for one cell."""

    seconds: float
    most_calls: int
    least_calls: int = 5


class Lane:
    """A thing to time. `once` prepares and times the call at a position of the keys, and returns the sample."""

    def __init__(self, name: str, once: Callable[[int], Awaitable[Sample]]) -> None:
        self.name = name
        self._once = once
        self._samples: list[Sample] = []
        self._spent = 0.0
        self._typical = 0.0

    async def warm_up(self, budget: Budget) -> None:
        """Make calls that do not count, from the far end of the keys.

        A slow lane makes but a few. Others go on until what is asked for again and again is where it will be: of the
        few agents that there are, each is asked twice.
        """
        start = perf_counter_ns()
        took: list[int] = []
        while not took or len(took) < _WARM_UPS:
            took.append((await self._once(-len(took) - 1)).nanoseconds)
            self._typical = statistics.median(took)
            seconds = budget.seconds / TURNS if self._typical > _SLOW else min(_WARM_UP_SECONDS, 5 * budget.seconds)
            if perf_counter_ns() - start > seconds * 1e9:
                break

    async def run(self, budget: Budget, share: float) -> None:
        """Make calls until that share of the budget is spent."""
        await self._settle()
        due = budget.seconds * 1e9 * share
        most, least = ceil(budget.most_calls * share), ceil(budget.least_calls * share)
        while (self._spent < due and len(self._samples) < most) or len(self._samples) < least:
            sample = await self._once(len(self._samples))
            self._samples.append(sample)
            # Capped, or else one call that a garbage collection fell into would end the lane.
            self._spent += min(sample.nanoseconds, 10 * self._typical)

    async def _settle(self) -> None:
        # What ran before this turn has emptied the processor's caches of this lane's code. Its first calls would be the
        # slowest hundredth of a fast lane, and say nothing about it. A slow lane has no need, and no time.
        if self._typical < _FAST:
            for position in range(_SETTLING):
                await self._once(-position - 1)

    def summary(self) -> Summary:
        """Return what the samples say."""
        return summarize(self._samples)


async def interleave(lanes: Sequence[Lane], budget: Budget, tick: Callable[[], None]) -> dict[str, Summary]:
    """Run the lanes by turns until each has spent its budget; return their summaries by name.

    `tick` is called between turns, never while one is timed.
    """
    for lane in lanes:
        await lane.warm_up(budget)
        await listen()
    for turn in range(1, TURNS + 1):
        for lane in lanes:
            await lane.run(budget, turn / TURNS)
            await listen()
        tick()
    return {lane.name: lane.summary() for lane in lanes}


async def listen() -> None:
    """Let the loop hear Ctrl-C, which it does only where someone waits; the stores never do."""
    await asyncio.sleep(0)


async def timed(call: Callable[[], Awaitable[R]]) -> tuple[int, R]:
    """Return the nanoseconds that the awaited call took, and its result."""
    start = perf_counter_ns()
    result = await call()
    return perf_counter_ns() - start, result


def timed_at_once(call: Callable[[], R]) -> tuple[int, R]:
    """Return the nanoseconds that the call took, and its result."""
    start = perf_counter_ns()
    result = call()
    return perf_counter_ns() - start, result


def timer_overhead() -> float:
    """Return the microseconds that timing nothing takes; they are in every figure."""
    return statistics.median(timed_at_once(int)[0] for _ in range(10_001)) / 1000


def summarize(samples: Sequence[Sample]) -> Summary:
    """Return what the samples, at least one, say.

    >>> summarize([Sample(3000, 1), Sample(1000, 1), Sample(2000, 4)])
    Summary(calls=3, results=2.0, least=1.0, median=2.0, p99=None, most=3.0)
    """
    microseconds = sorted(sample.nanoseconds / 1000 for sample in samples)
    count = len(microseconds)
    return Summary(
        calls=count,
        results=sum(sample.results for sample in samples) / count,
        least=microseconds[0],
        median=statistics.median(microseconds),
        p99=microseconds[ceil(count * 0.99) - 1] if count >= _ENOUGH_FOR_P99 else None,
        most=microseconds[-1],
    )
