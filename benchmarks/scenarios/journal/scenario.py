"""Measure a store with a journal on disk."""

import gc
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import Budget
from benchmarks.scenarios.journal import loads, pauses, reads, saving
from benchmarks.scenarios.journal.loads import Load
from benchmarks.scenarios.journal.pauses import Pauses
from benchmarks.scenarios.journal.saving import SaveRate
from benchmarks.scenarios.journal.subjects import open_subjects
from benchmarks.scenarios.lookups import Cell
from benchmarks.scenarios.sessions import Population


class JournalExtent(NamedTuple):
    """How much is measured: sessions that are saved and that are read, tasks, and rounds with the seconds of a turn."""

    sessions: int
    read_sessions: int
    tasks: tuple[int, ...]
    rounds: int
    seconds: float
    pause_rounds: int
    pause_seconds: float


@dataclass(frozen=True)
class JournalResults:
    """The results of a store with a journal, beside a store without one and SQLite."""

    sessions: int
    sync: float
    """Milliseconds of syncing 4 KB that were appended to a file, the median."""
    rates: list[SaveRate]
    pauses: list[Pauses]
    reads: list[Cell]
    loads: list[Load]


async def run(
    extent: JournalExtent, sizes: Sequence[int], seed: int, budget: Budget, progress: Progress
) -> JournalResults:
    """Measure everything in a temporary folder (`TMPDIR` chooses the disk); load journals of these sizes.

    Raises:
        AnswersDifferError: a journal, or SQLite, has other sessions than were saved.
        ProcessFailedError: a process that loads a journal failed.
    """
    with tempfile.TemporaryDirectory(prefix="journal-") as name:
        folder = Path(name)
        sessions = list(Population(extent.sessions, seed))
        ids = [session.session_id for session in sessions]
        gc.collect()
        gc.freeze()  # the sessions belong to the benchmark
        try:
            async with open_subjects(folder, sessions) as subjects:
                rates, sync = await saving.run(
                    subjects, ids, extent.tasks, extent.rounds, extent.seconds, folder, progress
                )
                paused = await pauses.run(subjects, ids, extent.pause_rounds, extent.pause_seconds, progress)
        finally:
            gc.unfreeze()
        return JournalResults(
            sessions=extent.sessions,
            sync=sync,
            rates=rates,
            pauses=paused,
            reads=await reads.run(extent.read_sessions, seed, budget, folder, progress),
            loads=await loads.run(sizes, seed, folder, progress),
        )
