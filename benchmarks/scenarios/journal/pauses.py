"""Measure how long the event loop keeps others waiting while sessions are saved at a fixed rate.

Each operation is a task that starts when it is due, whether those before it are done or not, as requests are.
"""

import asyncio
import gc
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple
from uuid import UUID

from benchmarks.measure.delays import Delays, Ticker
from benchmarks.measure.progress import Progress
from benchmarks.scenarios.journal.subjects import STORES, Saver, Savers
from benchmarks.scenarios.operations import change

SAVES_PER_SECOND = 2_000


@dataclass(frozen=True)
class Pauses:
    """The pauses of the loop in milliseconds, beyond a sleep of 1 ms: medians of all rounds, and the longest of all."""

    subject: str
    saves_per_second: float
    p99: float
    p999: float
    longest: float
    longest_of_all: float


class _Turn(NamedTuple):
    saves_per_second: float
    pauses: Delays


async def run(subjects: Savers, ids: Sequence[UUID], rounds: int, seconds: float, progress: Progress) -> list[Pauses]:
    """Send 2,000 saves per second to each store in turn, in each of some rounds."""
    turns: dict[str, list[_Turn]] = {name: [] for name in STORES}
    with progress.stage("journal: pauses", rounds) as advance:
        for number in range(rounds):
            for name in STORES if number % 2 else reversed(STORES):
                turns[name].append(await _turn(subjects[name], ids, seconds, number))
            advance(1)
    return [_pauses(name, mine) for name, mine in turns.items()]


async def _turn(subject: Saver, ids: Sequence[UUID], seconds: float, number: int) -> _Turn:
    total = round(SAVES_PER_SECOND * seconds)
    asked = random.Random(f"pauses {number}").choices(ids, k=total)
    gc.collect()
    ticker = Ticker()
    with ticker.running():
        await asyncio.sleep(0)
        start = perf_counter()
        async with asyncio.TaskGroup() as group:
            sent = 0
            while sent < total:
                due = min(total, int((perf_counter() - start) * SAVES_PER_SECOND) + 1)
                for session_id in asked[sent:due]:
                    group.create_task(_save(subject, session_id))
                sent = due
                await asyncio.sleep(max(0.0, start + sent / SAVES_PER_SECOND - perf_counter()))
        took = perf_counter() - start
    await subject.flush()
    return _Turn(total / took, ticker.pauses())


async def _save(subject: Saver, session_id: UUID) -> None:
    session = await subject.get(session_id)
    assert session is not None
    change(session)
    await subject.save(session)


def _pauses(name: str, turns: Sequence[_Turn]) -> Pauses:
    return Pauses(
        name,
        saves_per_second=round(statistics.median(turn.saves_per_second for turn in turns), 1),
        p99=statistics.median(turn.pauses.p99 for turn in turns),
        p999=statistics.median(turn.pauses.p999 for turn in turns),
        longest=statistics.median(turn.pauses.longest for turn in turns),
        longest_of_all=max(turn.pauses.longest for turn in turns),
    )
