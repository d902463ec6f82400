"""The simulated disk, tried with SQLite alone: it loses what SQLite may lose, and keeps what SQLite promises."""

from __future__ import annotations

import errno
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from shutil import rmtree
from threading import Thread

import pytest

from tests.support.disk import RecordedDisk
from tests.support.power_failure import (
    Change,
    Deletion,
    DiskState,
    Mark,
    Operation,
    Sync,
    Truncation,
    Write,
    drawn,
    kept,
    lost,
    write_to,
)
from tests.support.sqlite_vfs import why_unsupported

PAGES_PER_CHECKPOINT = 30  # several checkpoints during the commits
DATABASE = "sessions.db"

pytestmark = pytest.mark.skipif(why_unsupported() is not None, reason=str(why_unsupported()))


@pytest.fixture
def disk() -> Iterator[RecordedDisk]:
    with RecordedDisk() as disk:
        yield disk


def connect(disk: RecordedDisk, folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(disk.uri(folder / DATABASE), uri=True, isolation_level=None)


def commit_numbers(
    connection: sqlite3.Connection, disk: RecordedDisk, *, commits: int, synchronous: str, journal_mode: str = "WAL"
) -> None:
    """Commit the numbers from 0, one at a time, and mark each as acknowledged."""
    connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT}")
    connection.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY, filling BLOB)")
    for number in range(commits):
        connection.execute("INSERT INTO numbers VALUES (?, randomblob(300))", [number])
        disk.mark(number)


def numbers_in(folder: Path) -> list[int]:
    """Return the numbers that SQLite finds after a restart, and check the file."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # this and the next line save time
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        tables = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        return (
            [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")] if tables else []
        )


def acknowledged(operations: Iterable[Operation]) -> list[object]:
    return [operation.value for operation in operations if isinstance(operation, Mark)]


def losses(disk: RecordedDisk, folder: Path, rng: random.Random) -> int:
    """Return how many states lack acknowledged commits, of some states after each possible power failure."""
    operations, lossy = disk.operations, 0
    for cut in range(len(operations) + 1):
        if cut < len(operations) and isinstance(operations[cut], Mark):
            continue  # the next cut leaves the same on the disk
        expected = acknowledged(operations[:cut])
        for state in [disk.with_pending_lost(cut), *(disk.after_power_failure(cut, rng) for _ in range(2))]:
            write_to(folder / "after", state)
            found = numbers_in(folder / "after")
            rmtree(folder / "after")
            assert found == list(range(len(found))), "a commit is there without an earlier one"
            lossy += len(found) < len(expected)
    return lossy


def test_power_failure_with_full_synchronization(disk: RecordedDisk, tmp_path: Path) -> None:
    """No acknowledged commit is lost, wherever the power fails."""
    with closing(connect(disk, tmp_path)) as connection:
        commit_numbers(connection, disk, commits=100, synchronous="FULL")

    assert losses(disk, tmp_path, random.Random(1)) == 0


def test_power_failure_with_normal_synchronization(disk: RecordedDisk, tmp_path: Path) -> None:
    """The control: acknowledged commits are lost, but the file stays intact."""
    with closing(connect(disk, tmp_path)) as connection:
        commit_numbers(connection, disk, commits=40, synchronous="NORMAL")

    assert losses(disk, tmp_path, random.Random(2)) > 0


def test_power_failure_with_a_rollback_journal(disk: RecordedDisk, tmp_path: Path) -> None:
    """With the folder synced after each deletion, as EXTRA asks for, no acknowledged commit is lost."""
    with closing(connect(disk, tmp_path)) as connection:
        commit_numbers(connection, disk, commits=8, synchronous="EXTRA", journal_mode="DELETE")

    assert losses(disk, tmp_path, random.Random(3)) == 0


@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_each_call_fails(tmp_path: Path, error: int, for_ever: bool) -> None:
    """SQLite raises an error or is not harmed, and all acknowledged commits are there after a restart."""
    errors = 0
    for number in count():
        folder = tmp_path / str(number)
        folder.mkdir()
        with RecordedDisk(counts_reads=True) as disk:
            disk.fail(number, error, for_ever=for_ever)
            try:
                with closing(connect(disk, folder)) as connection:
                    commit_numbers(connection, disk, commits=5, synchronous="FULL")
            except sqlite3.OperationalError:
                errors += 1
            if disk.calls <= number:
                break
        found, expected = numbers_in(folder), acknowledged(disk.operations)
        assert found[: len(expected)] == expected
        assert len(found) <= len(expected) + 1, "at most the commit that failed may be there as well"

    assert errors > 10


def test_a_full_disk_gets_space(disk: RecordedDisk, tmp_path: Path) -> None:
    with closing(connect(disk, tmp_path)) as connection:
        commit_numbers(connection, disk, commits=1, synchronous="FULL")
        disk.fail(disk.calls, errno.ENOSPC, for_ever=True)
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match="database or disk is full"):
                connection.execute("INSERT INTO numbers VALUES (1, NULL)")
        disk.repair()
        connection.execute("INSERT INTO numbers VALUES (1, NULL)")

    assert numbers_in(tmp_path) == [0, 1]


def test_files_that_were_there_before(tmp_path: Path) -> None:
    """A second disk begins with the files that the first has left."""
    with RecordedDisk() as first, closing(connect(first, tmp_path)) as connection:
        commit_numbers(connection, first, commits=1, synchronous="FULL")
    with RecordedDisk() as second, closing(connect(second, tmp_path)) as connection:
        connection.execute("INSERT INTO numbers VALUES (1, NULL)")
    write_to(tmp_path / "before", second.with_pending_lost(0))
    write_to(tmp_path / "after", second.with_pending_kept(len(second.operations)))

    assert numbers_in(tmp_path / "before") == [0]
    assert numbers_in(tmp_path / "after") == [0, 1]


def test_two_disks(tmp_path: Path) -> None:
    """Each records its own files."""
    with RecordedDisk() as one, RecordedDisk() as other:
        for disk, name in ((one, "one"), (other, "other")):
            sqlite3.connect(disk.uri(tmp_path / name), uri=True).execute(
                "CREATE TABLE numbers (number)"
            ).connection.close()

    assert {"one", "one-journal"} == {getattr(operation, "file", None) for operation in one.operations}
    assert {"other", "other-journal"} == {getattr(operation, "file", None) for operation in other.operations}


def test_closing_with_an_open_connection(disk: RecordedDisk, tmp_path: Path) -> None:
    """The disk refuses, as SQLite would call functions that are gone."""
    with closing(connect(disk, tmp_path)), pytest.raises(ValueError, match="close the connections first"):
        disk.close()

    disk.close()
    with pytest.raises(sqlite3.OperationalError, match="no such vfs"):
        connect(disk, tmp_path)


def test_a_slow_sync(disk: RecordedDisk, tmp_path: Path) -> None:
    """Other threads run during a sync."""
    disk.sync_delay_seconds = 0.02
    with closing(sqlite3.connect(disk.uri(tmp_path / DATABASE), uri=True, check_same_thread=False)) as connection:
        writer = Thread(target=connection.execute, args=["CREATE TABLE numbers (number)"])
        writer.start()
        turns = 0
        while writer.is_alive():
            turns += 1
            writer.join(timeout=0.001)

    assert turns > 5


# -- the rules of a power failure, without SQLite --


def state_of(*operations: Operation) -> DiskState:
    state = DiskState({})
    for operation in operations:
        state.apply(operation)
    return state


OLD, NEW = Write("file", 0, b"old"), Write("file", 0, b"new")


def test_a_write_during_a_sync() -> None:
    """The sync is not about it."""
    state = state_of(OLD, NEW, Sync("file", operations=1))

    assert state.after_power_failure(lost) == {"file": b"old"}
    assert state.after_power_failure(kept) == {"file": b"new"}


def test_a_sync_after_a_failed_one() -> None:
    """It makes later changes durable, but not those of the failed sync."""
    failed, later = Sync("file", operations=1, has_failed=True), Write("file", 4, b"later")
    state = state_of(OLD, failed, later, Sync("file", operations=3))

    assert state.after_power_failure(lost) == {"file": b"\0\0\0\0later"}
    assert state.after_power_failure(kept) == {"file": b"old\0later"}


def test_a_lost_deletion() -> None:
    """The old file is there, without the changes of its successor, until the folder is synced."""
    deleted: list[Operation] = [
        OLD,
        Sync("file", operations=1),
        Deletion("file", is_folder_synced=False),
        Write("file", 3, b"new"),
    ]

    def lose_deletions(change: Change) -> Change | None:
        return None if isinstance(change, Deletion) else change

    assert state_of(*deleted).after_power_failure(lose_deletions) == {"file": b"old"}
    assert state_of(*deleted).after_power_failure(kept) == {"file": b"\0\0\0new"}
    folder_sync = Sync("other", operations=4, is_folder_synced=True)
    assert state_of(*deleted, folder_sync).after_power_failure(lost) == {}


def test_a_truncation() -> None:
    state = state_of(OLD, Sync("file", operations=1), Truncation("file", 1))

    assert state.after_power_failure(lost) == {"file": b"old"}
    assert state.after_power_failure(kept) == {"file": b"o"}


def test_a_torn_write() -> None:
    """It ends at the border of a sector."""
    state = state_of(Write("file", 100, bytes(range(1, 251)) * 8))
    rng = random.Random(4)
    sizes = {len(state.after_power_failure(drawn(rng)).get("file", b"")) for _ in range(200)}

    assert sizes == {0, 512, 1024, 1536, 2048, 2100}
