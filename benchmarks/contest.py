"""The indexed store among its peers: every operation on the same sessions, kept in memory in other ways."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import answers
from benchmarks.contestants import Contestant
from benchmarks.measure import TURNS, Budget, Lane, Sample, interleave
from benchmarks.operations import OPERATIONS, once
from benchmarks.peers.all import PEERS
from benchmarks.peers.load import Loaded, load
from benchmarks.peers.peer import Description, Peer
from benchmarks.progress import Progress
from benchmarks.results import Cell
from benchmarks.sessions import RECENT, UNIFORM, Population, SessionKeys

SIZE = 100_000
BUDGET = Budget(seconds=0.1, most_calls=2_000, least_calls=3)
KEYS = (UNIFORM, RECENT)


@dataclass(frozen=True)
class Contest:
    """What the contest found. A peer has a cell for each operation that it can do and each way to draw keys."""

    sessions: int
    peers: list[Description]
    cells: list[Cell]


async def run(size: int, seed: int, budget: Budget, progress: Progress, peers: Sequence[Peer] = PEERS) -> Contest:
    """Time those peers that are installed, by turns, all of them in memory at once: at 100,000 sessions 2 GB.

    Raises:
        AnswersDifferError: a peer answers some query otherwise than the first one.
    """
    installed = [peer for peer in peers if peer.version() is not None]
    population = Population(size, seed)
    async with load(installed, population, progress) as loaded:
        pools = {name: [loaded.keys[place] for place in population.draws[name]] for name in KEYS}
        await _compare(installed, loaded, pools[UNIFORM])
        cells = await _time(installed, loaded, pools, budget, progress)
    return Contest(size, [peer.described() for peer in peers], cells)


async def _compare(peers: Sequence[Peer], loaded: Loaded, pool: Sequence[SessionKeys]) -> None:
    size = len(loaded.keys)
    asked = answers.sample(pool, size)
    answers.compare(
        {peer.name: await answers.collect(loaded.field[peer.name], asked, peer.cannot) for peer in peers}, size
    )


async def _time(
    peers: Sequence[Peer],
    loaded: Loaded,
    pools: dict[str, list[SessionKeys]],
    budget: Budget,
    progress: Progress,
) -> list[Cell]:
    cells: list[Cell] = []
    size = len(loaded.keys)
    with progress.stage(f"{size:,} sessions: peers", TURNS * len(OPERATIONS) * len(pools)) as advance:
        for operation in OPERATIONS:
            able = [loaded.field[peer.name] for peer in peers if operation not in peer.cannot]
            for keys, pool in pools.items():
                gc.collect()
                summaries = await interleave(_lanes(operation, able, pool), budget, partial(advance, 1))
                cells += [Cell(size, operation, keys, name, summary) for name, summary in summaries.items()]
    return cells


def _lanes(operation: str, field: Sequence[Contestant], pool: Sequence[SessionKeys]) -> list[Lane]:
    """Return a lane for each, which begins elsewhere in the pool: to come second is then no advantage."""
    apart = len(pool) // len(field)
    return [
        Lane(contestant.name, _once_from(number * apart, operation, contestant, pool))
        for number, contestant in enumerate(field)
    ]


def _once_from(
    start: int, operation: str, contestant: Contestant, pool: Sequence[SessionKeys]
) -> Callable[[int], Awaitable[Sample]]:
    return lambda position: once(operation, contestant, pool[(start + position) % len(pool)])
