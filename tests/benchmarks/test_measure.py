"""Timing: how many calls are made, and what their times come to."""

from __future__ import annotations

from benchmarks.measure import Budget, Lane, Sample, interleave, summarize


def _lane(name: str, nanoseconds: int, log: list[str]) -> Lane:
    async def once(_: int) -> Sample:
        log.append(name)
        return Sample(nanoseconds, 1)

    return Lane(name, once)


async def test_calls() -> None:
    """A fast lane makes as many calls as it may, a slow one as many as fit its time, and none fewer than the least."""
    lanes = [_lane("fast", 1_000, []), _lane("slow", 10_000_000, []), _lane("slowest", 10**9, [])]
    summaries = await interleave(lanes, Budget(seconds=0.1, most_calls=400, least_calls=5), lambda: None)

    assert {name: summary.calls for name, summary in summaries.items()} == {"fast": 400, "slow": 10, "slowest": 5}


async def test_no_time() -> None:
    """Where the time is up before the first call, as on a busy machine, the least number of calls is made still."""
    summaries = await interleave(
        [_lane("a", 1_000, [])], Budget(seconds=0, most_calls=400, least_calls=5), lambda: None
    )

    assert summaries["a"].calls == 5


async def test_turns() -> None:
    """Lanes go by turns: none has made half of its calls before the others have made some."""
    log: list[str] = []
    lanes = [_lane(name, 200_000, log) for name in ("a", "b")]
    await interleave(lanes, Budget(seconds=1, most_calls=200), lambda: None)

    assert log[-220:-200] != ["a"] * 20
    assert 19 <= sum(left != right for left, right in zip(log[-400:], log[-399:], strict=False)) <= 40


async def test_collection_in_a_call() -> None:
    """One call that takes very long does not use up the time of the lane."""
    durations = iter([1_000] * 60 + [10**10] + [1_000] * 1000)

    async def once(_: int) -> Sample:
        return Sample(next(durations), 1)

    summaries = await interleave([Lane("a", once)], Budget(seconds=0.1, most_calls=300), lambda: None)

    assert summaries["a"].calls == 300


def test_summary() -> None:
    """The median is of all calls; the 99th percentile is the smallest time that 99 in 100 calls did not exceed."""
    summary = summarize([Sample(1000 * number, number % 2) for number in range(1, 201)])

    assert (
        summary.calls,
        summary.results,
        summary.least,
        summary.median,
        summary.p99,
        summary.most,
    ) == (200, 0.5, 1.0, 100.5, 198.0, 200.0)


def test_too_few_calls_for_a_percentile() -> None:
    assert summarize([Sample(1000, 1)] * 99).p99 is None
    assert summarize([Sample(1000, 1)] * 100).p99 == 1
