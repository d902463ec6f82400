"""A journal after a power failure at any moment: acknowledged writes survive, and nothing is in between."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import pytest

from sessiondex import InMemorySessionStore
from sessiondex.errors import InvalidJournalError
from sessiondex.snapshots.codec import Document
from sessiondex.stores.sqlite import database, files, wal
from sessiondex.stores.sqlite.database import Database
from sessiondex.stores.sqlite.rows import Put
from tests.support.disk import RecordedDisk
from tests.support.journal_states import (
    MarkingJournal,
    State,
    bounds,
    commits_in,
    connector,
    rows_of,
    state_in,
    state_of,
    states_after,
)
from tests.support.journal_work import Task
from tests.support.power_failure import Mark, write_to
from tests.support.seeds import TryEach, skip_with_seed
from tests.support.sizes import search_size
from tests.support.sqlite_vfs import why_unsupported

DATABASE = "sessions.db"
TASKS = 4

pytestmark = [
    pytest.mark.search,
    pytest.mark.skipif(why_unsupported() is not None, reason=str(why_unsupported())),
]


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a new log begin many times in a short run."""
    monkeypatch.setattr(database, "ROWS_PER_CHECKPOINT", 12)


class Run(NamedTuple):
    """What a store did on a disk, and the state after each of its commits."""

    disk: RecordedDisk
    states: list[State]


async def run_on(disk: RecordedDisk, path: Path, rng: random.Random, durability: Any, calls: int) -> Run:
    journal = MarkingJournal(path, disk, durability=durability, flush_interval=timedelta(milliseconds=3))
    async with InMemorySessionStore(journal=journal) as store:
        await asyncio.gather(*(Task(store, journal, number, rng).run(calls) for number in range(TASKS)))
    disk.mark("closed")
    journal.acknowledge_all(len(journal.commits))
    return Run(disk, states_after(journal.commits))


@contextmanager
def recorded(
    folder: Path,
    seed: int,
    durability: str,
    *,
    calls: int = 16,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> Iterator[Run]:
    """Run a store in a new folder, on a disk that is kept for this block."""
    folder.mkdir()
    with RecordedDisk() as disk:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "connect", connector(disk, factory))
            run = asyncio.run(run_on(disk, folder / DATABASE, random.Random(seed), durability, calls))
        yield run


def cuts_of(disk: RecordedDisk, rng: random.Random) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield cuts in their order, with states of the disk after each."""
    operations = disk.operations
    cuts = [cut for cut in range(len(operations) + 1) if cut == 0 or not isinstance(operations[cut - 1], Mark)]
    for cut in [*sorted(rng.sample(cuts, search_size(len(cuts), 16))), len(operations)]:
        end = cut
        while end < len(operations) and isinstance(operations[end], Mark):
            end += 1  # the disk is the same, and more was acknowledged
        yield end, disk.with_pending_lost(end)
        yield end, disk.with_pending_kept(end)
        for _ in range(2):
            yield end, disk.after_power_failure(end, rng)


def losses(run: Run, folder: Path, rng: random.Random, *, may_refuse: bool = False) -> int:
    """Open the file after power failures, and return how often something that had to survive was not there."""
    lost = 0
    for cut, state in cuts_of(run.disk, rng):
        at_least, at_most = bounds(run.disk.operations[:cut])
        write_to(folder, state)
        try:
            found = state_in(folder / DATABASE, begins=rng.random() < 0.2)
        except InvalidJournalError:
            if not may_refuse:
                raise
        else:
            lost += commits_in(found, run.states, at_most) < at_least
        rmtree(folder)
    return lost


@pytest.mark.parametrize("durability", ["full", "batched"])
def test_power_failure(tmp_path: Path, try_each: TryEach, durability: str) -> None:
    """The file opens, and holds the first commits, each as a whole: with "full" all whose writes had returned.

    With "batched" it holds at least what was there at the last flush.
    """

    def attempt(seed: int) -> None:
        folder = tmp_path / str(seed)
        with recorded(folder, seed, durability) as run:
            assert losses(run, folder / "after", random.Random(seed)) == 0

    try_each(range(search_size(4)), attempt)


class Relaxed(sqlite3.Connection):
    """Syncs less than the journal asks for."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *values)


@skip_with_seed
def test_power_failure_without_syncs_of_the_log(tmp_path: Path) -> None:
    """The control: acknowledged writes are lost, and what looks like damage is left."""
    with recorded(tmp_path / "1", 1, "full", factory=Relaxed) as run:
        assert losses(run, tmp_path / "after", random.Random(1), may_refuse=True) > 0


@pytest.mark.parametrize("durability", ["full", "batched"])
def test_a_log_after_a_power_failure_is_not_damaged(tmp_path: Path, try_each: TryEach, durability: str) -> None:
    """A commit that is half written, and what an earlier log left behind it, are no damage."""
    log = tmp_path / "log"

    def attempt(seed: int) -> None:
        rng = random.Random(seed)
        with recorded(tmp_path / str(seed), seed, durability) as (disk, _):
            cuts = range(len(disk.operations) + 1)
            for cut in sorted(rng.sample(cuts, search_size(len(cuts), 16))):
                for _ in range(2):
                    log.write_bytes(disk.after_power_failure(cut, rng).get(f"{DATABASE}-wal", b""))
                    assert wal.find_damage(log) is None

    try_each(range(100, 100 + search_size(12)), attempt)


def test_a_second_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, try_each: TryEach) -> None:
    """Power fails again while the file is opened after a power failure, or soon after that."""

    def attempt(seed: int) -> None:
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        with recorded(folder, seed, "batched", calls=15) as (disk, states):
            cuts = [cut for cut in range(len(disk.operations)) if not isinstance(disk.operations[cut], Mark)]
            for number, cut in enumerate(sorted(rng.sample(cuts, search_size(80, 16)))):
                at_most = bounds(disk.operations[:cut])[1]
                before = folder / str(number)
                write_to(before, disk.after_power_failure(cut, rng))
                fail_again(before, states, at_most, rng, monkeypatch)

    try_each(range(200, 200 + search_size(4)), attempt)


def fail_again(
    folder: Path, states: list[State], at_most: int, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open the file, save a session and let power fail at some moments."""
    put = Put(bytes(16), 1, 1, Document("Session", 1, b"{}"))
    added = (put.key, (1, 1, "Session", 1, b"{}"))
    path, after = folder / DATABASE, folder / "after"
    with RecordedDisk() as disk:
        with monkeypatch.context() as patch:
            patch.setattr(files, "connect", connector(disk))
            opened = Database(path)
            found = state_of(rows_of(opened))
            opened.begin(opened.reserved)
            disk.mark("begun")
            opened.write([put], 1)
            disk.mark("saved")
            opened.close(None)
        commits_in(found, states, at_most)
        for cut in range(len(disk.operations) + 1):
            write_to(after, disk.after_power_failure(cut, rng))
            again = state_in(after / DATABASE, begins=False)
            rmtree(after)
            assert again - {added} == found
            assert added in again or Mark("saved") not in disk.operations[:cut]
