"""JournalThread: the one thread that touches the file of a journal.

The loop queues commits and says when to write. The thread writes all that are queued in one transaction, and reports
it. In between it does other work on the file, as it is asked to. The first error stops it for good: going on might
leave a gap in the commits. It ends on `stop`, which the end of the interpreter calls too.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from enum import Enum, auto
from math import inf
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, TypeAlias, TypeVar

from sessiondex.stores.journal import JournalHead
from sessiondex.stores.sqlite.database import Database, Reserved
from sessiondex.stores.sqlite.lock import FileLock
from sessiondex.stores.sqlite.rows import Write

T = TypeVar("T")

log: logging.Logger = logging.getLogger("sessiondex")

_MAX_WRITES = 1_000  # in one transaction, unless a single commit has more
_TIDY_SECONDS = 1.0  # after something was deleted
_POLL_SECONDS = 1.0  # after which it looks at the queue without a command: Ctrl-C may have prevented one
_EXIT_SECONDS = 30.0  # how long the end of the interpreter waits for the disk


_PendingCommit: TypeAlias = tuple[int, int, float, Sequence[Write]]
"""The number of its last change, its size in bytes, its time by `monotonic`, and what it wrote. A plain tuple: one is
made for each save."""


class ThreadEndedError(Exception):
    """The thread has ended or was stopped by an error, so it did not do what it was asked for."""


_Work: TypeAlias = tuple[Callable[[Database], Any], "Future[Any]", bool]


class _Command(Enum):
    WRITE_NOW = auto()
    WRITE_LATER = auto()
    STOP = auto()


_running: set[JournalThread] = set()


class JournalThread:
    """Owns a journal file from `start` to `stop`. Its methods are called from the loop.

    `on_written` is called in the thread, after each transaction and after the error that stopped it.
    """

    def __init__(self, path: Path, interval_seconds: float, on_written: Callable[[], None]) -> None:
        self.path = path
        self._interval = interval_seconds
        self._on_written = on_written
        self._commands: SimpleQueue[_Command | _Work] = SimpleQueue()
        self._pending: deque[_PendingCommit] = deque()
        self._is_write_due = False
        self._added_bytes = self._written_bytes = 0  # each is changed by one thread only
        self._last_stamp = self._last_sequence = 0
        self._has_begun = self._has_ended = False
        self._under_way: list[_PendingCommit] = []
        self._opened: Future[JournalHead] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=f"sessiondex journal {path.name}", daemon=True)
        self.written: int = 0
        """The number of the last change that is on disk."""
        self.error: BaseException | None = None
        """What stopped the thread, or `None`."""

    # -- for the loop --

    @property
    def pending_bytes(self) -> int:
        """The size of the commits that are not on disk yet."""
        return self._added_bytes - self._written_bytes

    @property
    def has_stopped(self) -> bool:
        """Whether nothing is written any more."""
        return self.error is not None or self._has_ended

    @property
    def pending_commits(self) -> int:
        """How many commits are not on disk yet."""
        return len(self._pending) + len(self._under_way)

    @property
    def lag_seconds(self) -> float:
        """How long the oldest of them has waited."""
        try:
            return monotonic() - (self._under_way or self._pending)[0][2]
        except IndexError:
            return 0.0

    def start(self) -> Future[JournalHead]:
        """Start the thread, and open the file in it."""
        self._thread.start()
        _running.add(self)
        return self._opened

    def begin(self, last: Reserved) -> Future[None]:
        """Say in the file that it is in use, from these last stamps and numbers on."""
        self._last_stamp, self._last_sequence = last
        self.written = last.sequence
        return self.run(lambda database: self._begin(database, last))

    def add(self, sequence: int, stamp: int, size: int, writes: Sequence[Write]) -> None:
        """Queue a commit; `write_now` or `write_later` must follow.

        Its last change has that number, its latest save that stamp, and it takes about so many bytes.
        """
        self._pending.append((sequence, size, monotonic(), writes))
        self._added_bytes += size
        self._last_stamp, self._last_sequence = max(self._last_stamp, stamp), sequence

    def write_now(self) -> None:
        """Write all that is queued."""
        self._commands.put(_Command.WRITE_NOW)

    def write_later(self) -> None:
        """Write all that is queued after the interval, unless it is written before for another reason."""
        if not self._is_write_due:
            self._is_write_due = True
            self._commands.put(_Command.WRITE_LATER)

    def run(self, work: Callable[[Database], T], *, is_vital: bool = False) -> Future[T]:
        """Write all that is queued, then do the work. If it fails and is vital, that stops the thread.

        Until the result is `running()`, what is queued later is written before the work, too.
        """
        future: Future[T] = Future()
        self._commands.put((work, future, is_vital))
        if self._has_ended or not self._thread.is_alive():
            self._refuse_work()  # it may not have seen the work
        return future

    def backup(self, path: Path, database: Database) -> None:
        """Write a copy of the file; what is queued is written in between. To be passed to `run`."""
        database.backup(path, lambda: self._write_pending(database))

    def stop(self) -> Future[None]:
        """Write all that is queued, close the file and end. May be called twice."""
        self._commands.put(_Command.STOP)
        return self._ended

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended, and return whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- in the thread --

    def _run(self) -> None:
        lock = None
        try:
            lock = FileLock(self.path)
            # In this frame alone: a forked child, which has no such frame, must never close its copy.
            database = Database(self.path)
        except Exception as error:  # noqa: BLE001  # it is passed on
            if lock is not None:
                lock.release()
            self._opened.set_exception(error)
            self._end()
            return
        self._opened.set_result(JournalHead(*database.reserved, database.row_count))
        try:
            self._serve(database)
        except BaseException as error:  # noqa: BLE001  # such as a lack of memory: saves must not hang
            self._fail(error)
        finally:
            self._close(database)
            lock.release()
            self._on_written()
            self._end()

    def _serve(self, database: Database) -> None:
        """Do what is asked for, until `stop`."""
        write_at = tidy_at = inf
        while True:
            command: _Command | _Work | None
            try:
                wait = min(write_at, tidy_at) - monotonic()
                command = self._commands.get(timeout=min(max(wait, 0), _POLL_SECONDS))
            except Empty:
                command = None if monotonic() < write_at < inf else _Command.WRITE_NOW
            if command is _Command.WRITE_LATER:
                write_at = min(write_at, monotonic() + self._interval)
                continue
            if command is not None:
                write_at = inf
                if isinstance(command, _Command):
                    self._write_pending(database)
                else:
                    self._work(database, *command)
            if command is _Command.STOP:
                return
            if not database.needs_tidying or self.error is not None:
                tidy_at = inf
            elif tidy_at == inf:
                tidy_at = monotonic() + _TIDY_SECONDS
            elif tidy_at <= monotonic():
                has_more = self._try(database.tidy)
                tidy_at = monotonic() + (0 if has_more else _TIDY_SECONDS)

    def _write_pending(self, database: Database) -> None:
        """Write what is queued now. What comes while this writes is for the next time: else it would never end."""
        self._is_write_due = False  # before the queue is looked at: a commit that comes later has it set again
        left = len(self._pending)
        while left and self.error is None:
            writes: list[Write] = []
            commits: list[_PendingCommit] = []
            while left and (not writes or len(writes) + len(self._pending[0][3]) <= _MAX_WRITES):
                commits.append(self._pending.popleft())
                writes += commits[-1][3]
                left -= 1
            self._under_way, sequence = commits, commits[-1][0]
            self._try(lambda: database.write(writes, sequence))  # noqa: B023  # it is called at once
            self._under_way = []
            self._written_bytes += sum(size for _, size, _, _ in commits)
            if self.error is None:
                self.written = sequence
            self._on_written()
        if self.error is not None and self._pending:
            self._pending.clear()

    def _try(self, work: Callable[[], T]) -> T | None:
        """Do the work, and stop for good if it fails."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001  # of the disk, most of all
            self._fail(error)
            return None

    def _fail(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            log.critical("the journal %s stopped, so nothing can be saved: %s", self.path, error)
            self._on_written()

    def _work(
        self,
        database: Database,
        work: Callable[[Database], Any],
        future: Future[Any],
        is_vital: bool,
    ) -> None:
        future.set_running_or_notify_cancel()  # before the queue is looked at: see `run`
        self._write_pending(database)
        if self.error is not None:
            future.set_exception(ThreadEndedError())
            return
        try:
            future.set_result(work(database))
        except Exception as error:  # noqa: BLE001  # it is passed on
            if is_vital:
                self._fail(error)
            future.set_exception(error)

    def _begin(self, database: Database, last: Reserved) -> None:
        database.begin(last)
        self._has_begun = True

    def _close(self, database: Database) -> None:
        is_whole = self._has_begun and self.error is None
        last = Reserved(self._last_stamp, self._last_sequence)
        self._try(lambda: database.close(last if is_whole else None))

    def _end(self) -> None:
        _running.discard(self)
        self._has_ended = True  # before the queue is emptied: `run` looks at it after it has added to the queue
        self._refuse_work()
        self._ended.set_result(None)

    def _refuse_work(self) -> None:
        """Answer all who asked for something that will not be done."""
        while True:
            try:
                command = self._commands.get_nowait()
            except Empty:
                return
            if not isinstance(command, _Command) and not command[1].done():
                command[1].set_exception(ThreadEndedError())


def _stop_all() -> None:
    """At the end of the interpreter, write what is pending of stores that were not closed."""
    threads = [*_running]
    for thread in threads:
        thread.stop()
    for thread in threads:
        if not thread.join(_EXIT_SECONDS) or thread.error is not None:
            log.error("the interpreter ends before all was saved to the journal %s", thread.path)


atexit.register(_stop_all)
