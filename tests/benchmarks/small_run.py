"""A run of every part on a handful of sessions, for what shows runs."""

from __future__ import annotations

import asyncio
from functools import cache

from benchmarks import contest, flood, lookup, mixes, replay, scale
from benchmarks.machine import machine, versions
from benchmarks.measure import Budget
from benchmarks.progress import QuietProgress
from benchmarks.remote import all as remote
from benchmarks.run import Run
from benchmarks.traces import generate

BUDGET = Budget(seconds=1, most_calls=2, least_calls=1)
REMOTE = remote.Extent(20, 1, 40, BUDGET, services=1, conversations=2, turns=4)


@cache
def small_run() -> Run:
    """Return the run, made once; its command has letters in it that mean something in HTML."""
    return asyncio.run(_make())


async def _make() -> Run:
    quiet = QuietProgress()
    return Run(
        date="2025-06-02",
        command="python -m benchmarks <&>",
        seed=1,
        seconds=2.0,
        machine=machine(),
        versions=versions(),
        timer_overhead=0.1,
        lookup=await lookup.run([30, 60], 1, BUDGET, quiet),
        replay=await replay.run(generate(3, 1), 3, 1, quiet),
        scale=await scale.run([30, 60], 1, BUDGET, 0.2, quiet),
        contest=await contest.run(60, 1, BUDGET, quiet),
        mixes=await mixes.run(60, 1, 0.01, quiet),
        floods=await flood.run(1, quiet, 250),
        remote=await remote.run(REMOTE, 1, quiet),
    )
