"""Time every operation on stores that hold the same sessions: the scans, or the peers."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Budget, Lane, Summary, interleave
from benchmarks.scenarios import answers
from benchmarks.scenarios.controls import OnceAt, Pool, controls_of
from benchmarks.scenarios.loading import load
from benchmarks.scenarios.operations import DELETE, READS, SAVE, SERVICE_READS, SERVICES, UPDATE, once
from benchmarks.scenarios.sessions import RECENT, UNIFORM, Population
from benchmarks.stores.subjects import (
    DEEP_COPY,
    INDEXED,
    LITTLETABLE,
    REFERENCE,
    SCAN_STORE,
    SQLITE,
    Subject,
    installed_version,
)

PEERS = (INDEXED, REFERENCE, DEEP_COPY, SQLITE, LITTLETABLE)
SERVICE_STORES = (INDEXED, REFERENCE)
MAX_SCAN_STORE_SIZE = 10_000
"""Sessions: loading more of them into the scan store would take longer than timing everything."""
MAX_TOGETHER_SIZE = 200_000
"""Sessions that fit in memory in two stores at once, at up to 10 KB each."""

_Extent: TypeAlias = Literal["scans", "services", "peers"]
Subjects: TypeAlias = Mapping[str, Subject]

_IN_ORDER = (*READS, *SERVICE_READS, SAVE, DELETE, UPDATE)  # the operations that change the stores come last


@dataclass(frozen=True)
class Cell:
    """One operation of one subject, or one control, at one size and with keys drawn in one way."""

    sessions: int
    operation: str
    keys: str
    subject: str
    summary: Summary


@dataclass(frozen=True)
class PeerResults:
    """The cells of the peers, and the versions of those that are installed; `None` for the others."""

    sessions: int
    versions: dict[str, str | None]
    cells: list[Cell]


async def run(sizes: Sequence[int], seed: int, budget: Budget, progress: Progress, *, services: bool) -> list[Cell]:
    """Time the indexed store and the scans at all sizes, with the operations of services or without.

    Stores are timed in turns. Above 200,000 sessions each is alone in memory, and they are timed one after another.

    Raises:
        AnswersDifferError: two stores answer a query differently.
    """
    cells: list[Cell] = []
    for size in sizes:
        names = (INDEXED, SCAN_STORE, REFERENCE) if size <= MAX_SCAN_STORE_SIZE else SERVICE_STORES
        groups = [names] if size <= MAX_TOGETHER_SIZE else [(name,) for name in names]
        cells += await _run_groups(
            groups, Population(size, seed), budget, progress, "services" if services else "scans"
        )
    return cells


async def run_peers(size: int, seed: int, budget: Budget, progress: Progress) -> PeerResults:
    """Time the peers that are installed, all of them in memory at once: 2 GB at 100,000 sessions.

    Raises:
        AnswersDifferError: a peer answers a query differently from the indexed store.
    """
    versions = {name: installed_version(name) for name in PEERS}
    names = [name for name, version in versions.items() if version is not None]
    return PeerResults(size, versions, await _run_groups([names], Population(size, seed), budget, progress, "peers"))


async def _run_groups(
    groups: Sequence[Sequence[str]],
    population: Population,
    budget: Budget,
    progress: Progress,
    extent: _Extent,
) -> list[Cell]:
    """Load, compare and time the groups one after another; answers are compared across groups."""
    wanted = {position for positions in population.draws.values() for position in positions}
    collected: dict[str, answers.Answers] = {}
    cells: list[Cell] = []
    for names in groups:
        async with load(names, population, progress, wanted) as loaded:
            pools = {keys: [loaded.keys[position] for position in population.draws[keys]] for keys in (UNIFORM, RECENT)}
            asked = answers.sample(pools[UNIFORM], population.size)
            for name, subject in loaded.subjects.items():
                with_services = extent == "services" and name in SERVICE_STORES
                queries = READS | SERVICE_READS if with_services else READS
                collected[name] = await answers.collect(subject, asked, queries)
            answers.compare(collected, population.size)
            cells += await _time(loaded.subjects, population.size, pools, budget, progress, extent)
        del loaded, subject, pools  # or the next group would be loaded beside this one
    return cells


def lanes_of(subjects: Subjects, operation: str, keys: str, pool: Pool, extent: _Extent) -> list[Lane]:
    """Return the lanes of one operation: the subjects that take part, and the control.

    Each operation begins at its own stretch of the pool, and each lane at another position of it: sessions that were
    just read are in the store's or the processor's cache, which would be an advantage of the next lane.
    """
    if operation in SERVICES:
        names = [name for name in SERVICE_STORES if name in subjects and extent == "services" and keys == UNIFORM]
    else:
        names = [name for name in subjects if extent == "peers" or keys == UNIFORM or name == INDEXED]
    calls = {name: _lane(operation, subjects[name], pool) for name in names}
    if keys == RECENT and extent != "peers":
        calls |= controls_of(operation, subjects, pool)
    stretch = len(pool) // len(_IN_ORDER)
    start, distance = _IN_ORDER.index(operation) * stretch, stretch // max(1, len(calls))
    return [Lane(name, once_at, start + number * distance) for number, (name, once_at) in enumerate(calls.items())]


async def _time(  # noqa: PLR0917  # all of them are needed
    subjects: Subjects, size: int, pools: Mapping[str, Pool], budget: Budget, progress: Progress, extent: _Extent
) -> list[Cell]:
    rounds = [
        (operation, keys, lanes)
        for operation in _IN_ORDER
        for keys, pool in pools.items()
        if (lanes := lanes_of(subjects, operation, keys, pool, extent))
    ]
    cells: list[Cell] = []
    with progress.stage(f"{size:,} sessions: time", budget.turns * len(rounds)) as advance:
        for operation, keys, lanes in rounds:
            gc.collect()
            summaries = await interleave(lanes, budget, partial(advance, 1))
            cells += [Cell(size, operation, keys, name, summary) for name, summary in summaries.items()]
    return cells


def _lane(operation: str, subject: Subject, pool: Pool) -> OnceAt:
    return lambda position: once(operation, subject, pool[position % len(pool)])
