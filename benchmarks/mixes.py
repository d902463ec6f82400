"""Mixes of operations, as services have them: those of YCSB, A to F, as a session store means them, and one of finds.

YCSB: Cooper et al., Benchmarking Cloud Serving Systems with YCSB, 2010. Its records are sessions here; its short ranges
are the newest sessions of an agent.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

from benchmarks.contestants import INDEXED
from benchmarks.peers.all import DEEP_COPY, PEERS, SQLITE
from benchmarks.peers.load import load
from benchmarks.progress import Progress
from benchmarks.sessions import Population
from benchmarks.workload import (
    BY_STATUS,
    BY_STEP,
    CREATE,
    LATEST,
    LIST,
    MODIFY,
    READ,
    SAVE,
    Recipe,
    Wanted,
    Workload,
)

SIZE = 100_000
SECONDS = 1.0
CONTESTANTS = (INDEXED, SQLITE, DEEP_COPY)
"""Those that hand out copies: with live references there is nothing to save."""

RECIPES = (
    Recipe("A", "half reads, half saves", {READ: 0.5, SAVE: 0.5}),
    Recipe("B", "reads, some saves", {READ: 0.95, SAVE: 0.05}),
    Recipe("C", "reads only", {READ: 1}),
    Recipe("D", "reads of the latest, some new", {READ: 0.95, CREATE: 0.05}, LATEST),
    Recipe("E", "short lists, some new", {LIST: 0.95, CREATE: 0.05}),
    Recipe("F", "read, change, save", {MODIFY: 1}),
    Recipe("G", "finds by status and by step", {BY_STATUS: 0.5, BY_STEP: 0.5}),
)

_DONORS = 200
_TURNS = 10


@dataclass(frozen=True)
class Latency:
    """What calls of one kind took, in microseconds. `None`: too few calls to say."""

    calls: int
    p50: float
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Mix:
    """One contestant's closed loop through one mix."""

    name: str
    title: str
    keys: str
    sessions: int
    contestant: str
    calls: int
    seconds: float
    """What the calls took, without the making of new sessions, and of changes to those that are only saved."""
    calls_per_second: float
    latencies: dict[str, Latency]
    """By kind of call."""


async def run(
    size: int, seed: int, seconds: float, progress: Progress, recipes: Sequence[Recipe] = RECIPES
) -> list[Mix]:
    """Run each mix for so many seconds on each contestant, by turns, all of them in memory at once."""
    population = Population(size, seed)
    mixes: list[Mix] = []
    async with load([peer for peer in PEERS if peer.name in CONTESTANTS], population, progress) as loaded:
        wanted = Wanted(loaded.keys, seed)
        donors = [session.model_dump_json() for session in islice(population, _DONORS)]
        with progress.stage(f"{size:,} sessions: mixes", _TURNS * len(recipes)) as advance:
            for recipe in recipes:
                workloads = [Workload(recipe, loaded.field[name], wanted, donors, seed) for name in CONTESTANTS]
                await _take_turns(workloads, seconds, advance)
                for workload in workloads:
                    mixes.append(_mix(recipe, size, workload))
                    await workload.tidy_up()
    return mixes


async def _take_turns(workloads: Sequence[Workload], seconds: float, advance: Callable[[int], None]) -> None:
    gc.collect()
    for workload in workloads:
        await workload.warm_up(seconds / _TURNS)
    for turn in range(1, _TURNS + 1):
        for workload in workloads:
            await workload.run(seconds * turn / _TURNS)
        advance(1)


def _mix(recipe: Recipe, size: int, workload: Workload) -> Mix:
    calls = sum(map(len, workload.took.values()))
    return Mix(
        name=recipe.name,
        title=recipe.title,
        keys=recipe.keys,
        sessions=size,
        contestant=workload.contestant.name,
        calls=calls,
        seconds=workload.seconds,
        calls_per_second=calls / workload.seconds,
        latencies={kind: latency(nanoseconds) for kind, nanoseconds in workload.took.items()},
    )


def latency(nanoseconds: Sequence[int]) -> Latency:
    """Return what the times of some calls, at least one, say: p95 from 20 calls on, p99 from 100.

    >>> latency([1000 * number for number in range(1, 61)])
    Latency(calls=60, p50=30.0, p95=57.0, p99=None)
    """
    ordered = sorted(nanoseconds)
    return Latency(
        calls=len(ordered),
        p50=_percentile(ordered, 50),
        p95=_percentile(ordered, 95) if len(ordered) >= 20 else None,
        p99=_percentile(ordered, 99) if len(ordered) >= 100 else None,
    )


def _percentile(ordered: Sequence[int], percent: int) -> float:
    """Return the smallest time, in microseconds, that so many in a hundred did not exceed."""
    return ordered[ceil(len(ordered) * percent / 100) - 1] / 1000
