"""Time reads of a store that was restored from a journal, beside those of a store that never had one."""

import asyncio
import gc
from functools import partial
from pathlib import Path
from typing import TypeAlias

from benchmarks.measure.clock import SteppedClock
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Budget, Lane, interleave
from benchmarks.scenarios import answers
from benchmarks.scenarios.controls import OnceAt, Pool
from benchmarks.scenarios.loading import load_into
from benchmarks.scenarios.lookups import Cell
from benchmarks.scenarios.operations import BY_AGENT, BY_CHANNEL, GET, READS, once
from benchmarks.scenarios.sessions import UNIFORM, Population
from benchmarks.stores.subjects import Subject
from sessiondex import InMemorySessionStore, Session
from sessiondex.stores.sqlite import SQLiteJournal

NEVER_SAVED, RESTORED = "without journal", "restored from a journal"
OPERATIONS = (GET, BY_AGENT, BY_CHANNEL)

Store: TypeAlias = InMemorySessionStore[Session]


async def run(size: int, seed: int, budget: Budget, folder: Path, progress: Progress) -> list[Cell]:
    """Load both stores, open one of them again from its journal, compare their answers, and time them in turns.

    Raises:
        AnswersDifferError: the stores answer a query differently.
    """
    population, clock, path = Population(size, seed), SteppedClock(), folder / "reads.db"
    saved = Store(clock=clock, journal=SQLiteJournal(path, durability="batched"))
    restored = Store(clock=clock, journal=SQLiteJournal(path, durability="batched"))
    subjects = {
        NEVER_SAVED: Subject(NEVER_SAVED, Store(clock=clock), clock),
        RESTORED: Subject(RESTORED, saved, clock),
    }
    wanted = set(population.draws[UNIFORM])
    async with saved, load_into(subjects, _put, population, progress, wanted) as loaded:
        await saved.aclose()
        async with restored:
            await repacked()
            subjects[RESTORED] = Subject(RESTORED, restored, clock)
            pool = [loaded.keys[position] for position in population.draws[UNIFORM]]
            asked = answers.sample(pool, size)
            found = {name: await answers.collect(subject, asked, READS) for name, subject in subjects.items()}
            answers.compare(found, size)
            return await _time(subjects, pool, size, budget, progress)


async def repacked() -> None:
    """Wait until stores that were restored have their sessions in the same form as others."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "sessiondex repacking"]
    if tasks:
        await asyncio.wait(tasks)


async def _put(session: Session, subject: Subject) -> None:
    await subject.store.save(session)


def _once_at(operation: str, subject: Subject, pool: Pool) -> OnceAt:
    return lambda position: once(operation, subject, pool[position % len(pool)])


async def _time(subjects: dict[str, Subject], pool: Pool, size: int, budget: Budget, progress: Progress) -> list[Cell]:
    cells: list[Cell] = []
    with progress.stage("journal: reads", budget.turns * len(OPERATIONS)) as advance:
        for place, operation in enumerate(OPERATIONS):
            gc.collect()
            start = place * len(pool) // len(OPERATIONS)
            lanes = [
                Lane(name, _once_at(operation, subject, pool), start + number * len(pool) // 10)
                for number, (name, subject) in enumerate(subjects.items())
            ]
            summaries = await interleave(lanes, budget, partial(advance, 1))
            cells += [Cell(size, operation, UNIFORM, name, summary) for name, summary in summaries.items()]
    return cells
