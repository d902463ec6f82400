"""A disk for SQLite that loses power after any operation, and whose calls fail."""

from __future__ import annotations

import errno
import random
import time
from enum import Enum
from itertools import count
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self
from urllib.parse import quote

from tests.support import power_failure
from tests.support.power_failure import Deletion, DiskState, Mark, Operation, Survival, Sync, Truncation, Write
from tests.support.sqlite_vfs import SQLITE_OK, Proceed, Vfs

NUMBERS = count(1)


class Call(Enum):
    """The kinds of calls that can fail."""

    READ = "read"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    DELETE = "delete"


SQLITE_FULL = 13
SQLITE_IOERR = {
    Call.READ: 266,
    Call.WRITE: 778,
    Call.SYNC: 1034,
    Call.TRUNCATE: 1546,
    Call.DELETE: 2570,
}
RESULTS = {
    errno.EIO: SQLITE_IOERR,
    errno.ENOSPC: {**SQLITE_IOERR, Call.WRITE: SQLITE_FULL, Call.READ: SQLITE_OK},  # a full disk can be read
}
"""SQLite's result code, by the error and the kind of the call that fails with it."""


class Failure(NamedTuple):
    """The call with that number fails with that error, and so do all later ones if it is `for_ever`."""

    call_number: int
    error: int
    for_ever: bool

    def result(self, call_number: int, call: Call) -> int:
        """Return SQLite's result code for that call; `SQLITE_OK` if it does not fail."""
        is_hit = call_number == self.call_number or (self.for_ever and call_number > self.call_number)
        return RESULTS[self.error][call] if is_hit else SQLITE_OK


class RecordedDisk:
    """Records what SQLite does to the files of one folder; any of its calls can be made to fail.

    The caller lets nothing else change these files, and closes its connections before the disk. Files are known by
    their names without the folder. Nothing is synced in fact, as a sync only matters for the record. Reads count as
    calls, and so can fail, only if `counts_reads`.

        with RecordedDisk() as disk:
            connection = sqlite3.connect(disk.uri(path), uri=True)
            ...
            disk.mark("acknowledged")
            connection.close()
        write_to(folder, disk.after_power_failure(len(disk.operations), rng))
    """

    def __init__(self, *, counts_reads: bool = False) -> None:
        self.name = f"recorded-disk-{next(NUMBERS)}"
        self.sync_delay_seconds = 0.0
        self._counts_reads = counts_reads
        self._lock = Lock()
        self._calls = 0
        self._failure: Failure | None = None
        self._initial: dict[str, bytes] = {}
        """The content of the files that were there before the disk."""
        self._opened: set[str] = set()
        self._operations: list[Operation] = []
        self._state = DiskState(self._initial)
        """The state at the last power failure: those at later cuts follow from it."""
        self._vfs = Vfs(self.name, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Make the disk's name unknown to SQLite, and keep the record; raise ValueError if a connection is open."""
        self._vfs.close()

    def uri(self, path: Path) -> str:
        """Return what `sqlite3.connect(..., uri=True)` needs to open the file on this disk."""
        return f"file:{quote(str(path))}?vfs={self.name}"

    @property
    def calls(self) -> int:
        """The number of calls that could fail so far, which is also the number of the next one."""
        return self._calls

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All that happened to the files, and all marks, in order."""
        return tuple(self._operations)

    def mark(self, value: object) -> None:
        """Note in the record that something happened outside the disk, for instance an acknowledgement."""
        self._record(Mark(value))

    def fail(self, call_number: int, error: int, *, for_ever: bool) -> None:
        """Fail the call with that number, counted from 0, or this and all later ones.

        The error is `errno.EIO` or `errno.ENOSPC`. A call that fails changes nothing. This replaces an earlier failure.
        """
        assert error in RESULTS
        self._failure = Failure(call_number, error, for_ever)

    def repair(self) -> None:
        """Let all further calls succeed."""
        self._failure = None

    def after_power_failure(self, cut: int, rng: random.Random) -> dict[str, bytes]:
        """Return what the files may hold if power fails after `cut` operations: pending changes survive at random.

        See `tests.support.power_failure` for the rules. It is fastest when cuts only grow.
        """
        return self._state_after(cut, power_failure.drawn(rng))

    def with_pending_lost(self, cut: int) -> dict[str, bytes]:
        """Return the files if power fails after `cut` operations and no pending change survives."""
        return self._state_after(cut, power_failure.lost)

    def with_pending_kept(self, cut: int) -> dict[str, bytes]:
        """Return the files if power fails after `cut` operations and all pending changes survive."""
        return self._state_after(cut, power_failure.kept)

    def _state_after(self, cut: int, survive: Survival) -> dict[str, bytes]:
        if cut < self._state.operations:
            self._state = DiskState(self._initial)
        for operation in self._operations[self._state.operations : cut]:
            self._state.apply(operation)
        return self._state.after_power_failure(survive)

    # -- the calls of the VFS --

    def on_open(self, path: Path, proceed: Proceed) -> int:
        with self._lock:
            # Only the first time: reading a file closes it, and so releases the locks that SQLite has on it.
            if path.name not in self._opened and path.is_file():
                self._initial[path.name] = path.read_bytes()
                self._state = DiskState(self._initial)
            self._opened.add(path.name)
        return proceed()

    def on_read(self, proceed: Proceed) -> int:
        return self._failed(Call.READ) or proceed()

    def on_write(self, path: Path, offset: int, content: bytes, proceed: Proceed) -> int:
        return self._change(Call.WRITE, Write(path.name, offset, content), proceed)

    def on_truncate(self, path: Path, size: int, proceed: Proceed) -> int:
        return self._change(Call.TRUNCATE, Truncation(path.name, size), proceed)

    def on_sync(self, path: Path, is_folder_synced: bool, proceed: Proceed) -> int:  # noqa: ARG002  # see the class
        operations = len(self._operations)  # a sync is not about what other threads write during it
        result = self._failed(Call.SYNC)
        time.sleep(self.sync_delay_seconds)
        self._record(Sync(path.name, operations, is_folder_synced, has_failed=result != SQLITE_OK))
        return result

    def on_delete(self, path: Path, is_folder_synced: bool, proceed: Proceed) -> int:
        return self._change(Call.DELETE, Deletion(path.name, is_folder_synced), proceed)

    def _change(self, call: Call, operation: Operation, proceed: Proceed) -> int:
        """Proceed unless the call fails, and record the operation if it was done."""
        result = self._failed(call) or proceed()
        if result == SQLITE_OK:
            self._record(operation)
        return result

    def _failed(self, call: Call) -> int:
        """Count the call, and return the result code with which it fails; `SQLITE_OK` if it does not."""
        if call is Call.READ and not self._counts_reads:
            return SQLITE_OK
        with self._lock:
            number = self._calls
            self._calls += 1
        failure = self._failure
        return SQLITE_OK if failure is None else failure.result(number, call)

    def _record(self, operation: Operation) -> None:
        with self._lock:
            self._operations.append(operation)
