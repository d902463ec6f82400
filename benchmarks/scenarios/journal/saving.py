"""Measure how many sessions per second some tasks get, change and save, and how long each save takes.

The subjects take turns in each round, and each is compared with SQLite in the same round, so that noise of the machine
affects both. A turn ends when all that was saved in it is written: a queue is not faster than the disk behind it.
"""

import asyncio
import gc
import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

from benchmarks.measure.delays import percentile
from benchmarks.measure.progress import Progress
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.journal.commits import CommitCount, count_commits
from benchmarks.scenarios.journal.disk import sync_milliseconds
from benchmarks.scenarios.journal.subjects import DIRECT_FULL, Saver, Savers
from benchmarks.scenarios.operations import change

_SYNCS_PER_ROUND = 50


@dataclass(frozen=True)
class SaveRate:
    """Sessions per second that were got, changed and saved by this many tasks: the medians of all rounds.

    `of_direct` is the rate divided by that of SQLite with "FULL" in the same round. Latencies of a save are in ms.
    """

    subject: str
    tasks: int
    per_second: float
    of_direct: float
    saves_per_commit: float | None
    """`None` for subjects without a journal."""
    p50: float
    p99: float


class _Turn(NamedTuple):
    saves: int
    per_second: float
    saves_per_commit: float | None
    p50: float
    p99: float


async def run(  # noqa: PLR0917  # as `JournalExtent` has them
    subjects: Savers,
    ids: Sequence[UUID],
    tasks: Sequence[int],
    rounds: int,
    seconds: float,
    folder: Path,
    progress: Progress,
) -> tuple[list[SaveRate], float]:
    """Make some rounds with each number of tasks; also return the milliseconds of a sync, the median.

    Raises:
        AnswersDifferError: a save was lost.
    """
    rates: list[SaveRate] = []
    syncs: list[float] = []
    due = {name: await _conversation_turns(subject, ids) for name, subject in subjects.items()}
    with count_commits() as count, progress.stage("journal: saves", rounds * len(tasks)) as advance:
        for some in tasks:
            turns: dict[str, list[_Turn]] = {name: [] for name in subjects}
            for name, subject in subjects.items():
                due[name] += (await _turn(subject, ids, some, seconds / 5, count)).saves
            for number in range(rounds):
                syncs += sync_milliseconds(folder, _SYNCS_PER_ROUND)
                for name in list(subjects) if number % 2 else list(reversed(subjects)):
                    turns[name].append(await _turn(subjects[name], ids, some, seconds, count))
                advance(1)
            for name, made in turns.items():
                due[name] += sum(turn.saves for turn in made)
            rates += [_rate(name, some, turns) for name in subjects]
    await _check(subjects, ids, due)
    return rates, round(statistics.median(syncs), 4)


async def _turn(subject: Saver, ids: Sequence[UUID], tasks: int, seconds: float, count: CommitCount) -> _Turn:
    """Let the tasks work, each on sessions of its own."""
    gc.collect()
    count.take_saves_per_commit()
    took = array("d")
    start = perf_counter()
    await asyncio.gather(*[_work(subject, ids[task::tasks], start + seconds, took) for task in range(tasks)])
    await subject.flush()
    per_second = len(took) / (perf_counter() - start)
    saves_per_commit = count.take_saves_per_commit()
    in_order = sorted(took)
    return _Turn(len(took), per_second, saves_per_commit, percentile(in_order, 0.5), percentile(in_order, 0.99))


async def _work(subject: Saver, ids: Sequence[UUID], deadline: float, took: "array[float]") -> None:
    number = 0
    while number == 0 or perf_counter() < deadline:  # at least one, however late the task begins
        session = await subject.get(ids[number % len(ids)])
        assert session is not None
        change(session)
        start = perf_counter()
        await subject.save(session)
        took.append((perf_counter() - start) * 1000)
        number += 1
        await asyncio.sleep(0)  # a store that never waits would let no other task run


async def _check(subjects: Savers, ids: Sequence[UUID], due: dict[str, int]) -> None:
    for name, subject in subjects.items():
        found = await _conversation_turns(subject, ids)
        if found != due[name]:
            raise AnswersDifferError(f"{name}: {due[name]:,} turns were saved, and {found:,} are there")


async def _conversation_turns(subject: Saver, ids: Sequence[UUID]) -> int:
    found = [await subject.get(session_id) for session_id in ids]
    return sum(session.turn_count for session in found if session is not None)


def _rate(name: str, tasks: int, turns: dict[str, list[_Turn]]) -> SaveRate:
    mine, direct = turns[name], turns[DIRECT_FULL]
    per_commit = [turn.saves_per_commit for turn in mine if turn.saves_per_commit is not None]
    return SaveRate(
        name,
        tasks,
        per_second=round(statistics.median(turn.per_second for turn in mine), 1),
        of_direct=round(
            statistics.median(ours.per_second / theirs.per_second for ours, theirs in zip(mine, direct, strict=True)), 3
        ),
        saves_per_commit=round(statistics.median(per_commit), 2) if per_commit else None,
        p50=round(statistics.median(turn.p50 for turn in mine), 4),
        p99=round(statistics.median(turn.p99 for turn in mine), 4),
    )
