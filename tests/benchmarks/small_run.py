"""Make a run of every part but the servers on a handful of sessions, for tests of tables and pages."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from benchmarks.measure.machine import machine, versions
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Budget
from benchmarks.run import Run
from benchmarks.scenarios import floods, footprint, indexes, lookups, mixes, replay
from benchmarks.scenarios.footprint import WITHOUT_CACHE
from benchmarks.scenarios.journal import scenario as journal
from benchmarks.scenarios.journal.scenario import JournalExtent
from benchmarks.scenarios.traces import generate
from benchmarks.stores.subjects import INDEXED, REFERENCE

BUDGET = Budget(seconds=0.001, most_calls=2, least_calls=1, turns=1)
JOURNAL = JournalExtent(20, 60, (1, 5), rounds=1, seconds=0.01, pause_rounds=1, pause_seconds=0.01)


@cache
def small_run() -> Run:
    """Return the run, made once; its command contains characters that HTML must escape."""
    with ThreadPoolExecutor(1) as pool:  # an async test has a running loop in this thread
        return pool.submit(asyncio.run, _make()).result()


async def _make() -> Run:
    quiet = Progress()
    return Run(
        date="2025-06-02",
        command="nox -s bench <&>",
        seed=1,
        seconds=2.0,
        machine=machine(),
        versions=versions(),
        timer_overhead=0.1,
        lookups=await lookups.run([30, 60], 1, BUDGET, quiet, services=True),
        replays=await replay.run(generate(3, 1), 2, 1, quiet),
        footprints=[await footprint.measure(name, 60, 1, 0.02) for name in (INDEXED, WITHOUT_CACHE, REFERENCE)],
        peers=await lookups.run_peers(60, 1, BUDGET, quiet),
        mixes=await mixes.run(60, 1, 0.002, quiet),
        floods=await floods.run(250, 1, quiet),
        indexes=await indexes.run([30, 60], 1, BUDGET, quiet),
        journal=await journal.run(JOURNAL, [60], 1, BUDGET, quiet),
    )
