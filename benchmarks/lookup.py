"""Part 1: every operation at every size, for every contestant; and what services ask besides."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks import answers, services
from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, REFERENCE, STORES, Contestant, contestants
from benchmarks.controls import Field, OnceAt, Pool, controls_of
from benchmarks.measure import TURNS, Budget, Lane, interleave, listen
from benchmarks.operations import DELETE, READS, SAVE, once
from benchmarks.progress import Progress
from benchmarks.results import Cell
from benchmarks.sessions import DISTRIBUTIONS, RECENT, UNIFORM, Population, SessionKeys, keys_of

SIDE_BY_SIDE = 200_000  # sessions, at 7 KB each in each store
_CHUNK = 250
_IN_ORDER = (*READS, *services.READS, SAVE, DELETE, services.UPDATE)  # what changes the stores comes last


async def run(
    sizes: Sequence[int], seed: int, budget: Budget, progress: Progress, side_by_side: int = SIDE_BY_SIDE
) -> list[Cell]:
    """Return the cells of all sizes.

    Up to `side_by_side` sessions the contestants are timed by turns, above that one after another, each alone in
    memory, and without the scan store: what it adds to the reference scan is the same at any size.

    Raises:
        AnswersDifferError: the contestants do not agree, at some size, on the answer to some query.
    """
    cells: list[Cell] = []
    for size in sizes:
        population = Population(size, seed)
        collected: dict[str, answers.Answers] = {}
        for names in [tuple(STORES)] if size <= side_by_side else [(INDEXED,), (REFERENCE,)]:
            cells += await _run_group(names, population, budget, collected, progress)
    return cells


async def _run_group(
    names: Sequence[str],
    population: Population,
    budget: Budget,
    collected: dict[str, answers.Answers],
    progress: Progress,
) -> list[Cell]:
    group = contestants(names, SteppedClock())
    keys = await _populate(group, population, progress)
    pools = {name: [keys[place] for place in places] for name, places in population.draws.items()}
    for contestant in group:
        for_all = answers.sample(pools[DISTRIBUTIONS[0]], population.size)
        collected[contestant.name] = await answers.collect(contestant, for_all)
        if contestant.name in services.STORES:
            collected[contestant.name] |= await services.collect(contestant, for_all)
    answers.compare(collected, population.size)
    return await _time(group, population.size, pools, budget, progress)


async def _populate(group: Sequence[Contestant], population: Population, progress: Progress) -> dict[int, SessionKeys]:
    """Save the sessions in all stores, with the same stamps; return the keys of those that will be asked for."""
    wanted = {place for places in population.draws.values() for place in places}
    keys: dict[int, SessionKeys] = {}
    clock = group[0].clock
    with progress.stage(f"{population.size:,} sessions: save", population.size) as advance, _garbage_left_alone():
        for place, session in enumerate(population):
            clock.tick()
            for contestant in group:
                await contestant.store.save(session)
            if place in wanted:
                keys[place] = keys_of(session)
            if place % _CHUNK == _CHUNK - 1:
                advance(_CHUNK)
                await listen()
    return keys


@contextmanager
def _garbage_left_alone() -> Iterator[None]:
    """Hold back the collector, which among ever more live sessions takes a third of the time: this is not timed."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _time(
    group: Sequence[Contestant],
    size: int,
    pools: dict[str, list[SessionKeys]],
    budget: Budget,
    progress: Progress,
) -> list[Cell]:
    cells: list[Cell] = []
    field = {contestant.name: contestant for contestant in group}
    contests = [
        (operation, distribution, lanes)
        for operation in _IN_ORDER
        for distribution, pool in pools.items()
        if (lanes := _lanes(operation, distribution, field, pool))
    ]
    gc.collect()
    with progress.stage(f"{size:,} sessions: time", TURNS * len(contests)) as advance:
        for operation, distribution, lanes in contests:
            # Not a full collection: among live sessions it takes seconds, and since the one above nothing grew old.
            gc.collect(1)
            summaries = await interleave(lanes, budget, partial(advance, 1))
            cells += [Cell(size, operation, distribution, name, summary) for name, summary in summaries.items()]
    return cells


def _lanes(operation: str, distribution: str, field: Field, pool: Pool) -> list[Lane]:
    """Return the lanes of the contestants and of the controls; of recently used keys, for the store and its controls.

    What services ask has uniform keys only: most of it is of agents, who are few, or of scenarios, who are fewer.

    Each begins elsewhere in the pool: what one lane has read is in the processor's cache, and should not be there for
    the next one only because it comes second.
    """
    controls = {control.name: control.on(field, pool) for control in controls_of(operation, field)}
    if (distribution == RECENT and not controls) or (distribution != UNIFORM and operation in services.OPERATIONS):
        return []
    names = [name for name in field if _takes_part(name, operation, distribution)]
    onces: dict[str, OnceAt] = {name: _on(operation, field[name], pool) for name in names} | controls
    apart = len(pool) // len(onces)
    return [
        Lane(name, _from(number * apart, len(pool), once_at)) for number, (name, once_at) in enumerate(onces.items())
    ]


def _takes_part(name: str, operation: str, distribution: str) -> bool:
    if operation in services.OPERATIONS:
        return name in services.STORES
    return name == INDEXED or distribution != RECENT


def _on(operation: str, contestant: Contestant, pool: Pool) -> OnceAt:
    call = services.once if operation in services.OPERATIONS else once
    return lambda position: call(operation, contestant, pool[position])


def _from(start: int, length: int, once_at: OnceAt) -> OnceAt:
    return lambda position: once_at((start + position) % length)
