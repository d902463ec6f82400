"""How calls are timed and summarized; no test looks at a real clock."""

import random
import re

import pytest

from benchmarks.measure.delays import delays
from benchmarks.measure.timing import Budget, Lane, Sample, interleave, summarize
from benchmarks.measure.zipf import Zipf


def _lane(name: str, nanoseconds: int, log: list[str]) -> Lane:
    async def once(_: int) -> Sample:
        log.append(name)
        return Sample(nanoseconds, 1)

    return Lane(name, once)


async def test_number_of_calls() -> None:
    """A fast lane makes as many calls as it may, a slow one as many as fit, and none fewer than the least."""
    lanes = [_lane("fast", 1_000, []), _lane("slow", 10_000_000, []), _lane("slowest", 10**9, [])]
    summaries = await interleave(lanes, Budget(seconds=0.1, most_calls=400, least_calls=5), lambda: None)

    assert {name: summary.calls for name, summary in summaries.items()} == {"fast": 400, "slow": 10, "slowest": 5}


async def test_turns() -> None:
    """Lanes take turns, and progress is drawn once for each turn."""
    log: list[str] = []
    lanes = [_lane(name, 200_000, log) for name in ("a", "b")]
    await interleave(lanes, Budget(seconds=1, most_calls=200), lambda: log.append("drawn"))
    turns = "".join(log).split("drawn")[1:-1]

    assert len(turns) == 19
    assert {re.sub(r"(.)\1+", r"\1", turn) for turn in turns} == {"ab"}


async def test_collection_in_a_call() -> None:
    """One call that takes very long does not use up the time of the lane."""
    durations = iter([1_000] * 310 + [10**10] + [1_000] * 1000)

    async def once(_: int) -> Sample:
        return Sample(next(durations), 1)

    summaries = await interleave([Lane("a", once)], Budget(seconds=0.1, most_calls=300), lambda: None)

    assert summaries["a"].calls == 300


def test_summary() -> None:
    """The 99th percentile is the smallest time that 99 of 100 calls did not exceed; it needs 100 calls."""
    summary = summarize([Sample(1000 * number, number % 2) for number in range(1, 201)])

    assert (summary.calls, summary.results, summary.median, summary.p99) == (200, 0.5, 100.5, 198.0)
    assert summarize([Sample(1000, 1)] * 99).p99 is None
    assert summarize([Sample(1000, 1)] * 100).p99 == 1


def test_delays() -> None:
    """One delay in a hundred, and one in a thousand, are longer than the percentiles."""
    found = delays([*(0.5 for _ in range(990)), *(3.0 for _ in range(9)), 200.0])

    assert (found.count, found.p50, found.p99, found.p999, found.longest) == (1_000, 0.5, 0.5, 3.0, 200.0)


def test_zipf() -> None:
    """Rank r is drawn about 1 / (r + 1) ** 0.99 times as often as rank 0; an exponent of 0 is uniform."""
    draws, even = Zipf(1000).draws(random.Random(1), 100_000), Zipf(10, exponent=0).draws(random.Random(1), 10_000)

    for rank in (1, 4, 9, 99):
        assert draws.count(rank) / draws.count(0) == pytest.approx((rank + 1) ** -0.99, rel=0.15)
    assert max(map(even.count, range(10))) < 1.2 * min(map(even.count, range(10)))
