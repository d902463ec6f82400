"""SQLiteJournal: the loop's side of a journal. It queues commits, has them written, and wakes those who wait.

With durability "full", a hand-over is made once per turn of the loop: after a transaction, all writers that waited for
it run and save again, and only then the next one begins, with all that they saved. So commits share a sync of the disk.
A single writer does not wait for a turn: while nothing is under way, its commit is handed over at once.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias, TypeVar

from sessiondex.arguments import check_callable, check_min
from sessiondex.changes import ChangeKind
from sessiondex.errors import InvalidArgumentError, StoreUnavailableError
from sessiondex.progress import report
from sessiondex.stores.commit import Commit
from sessiondex.stores.journal import JournalHead, JournalRow
from sessiondex.stores.sqlite.database import Reserved
from sessiondex.stores.sqlite.lock import IS_SUPPORTED
from sessiondex.stores.sqlite.rows import Delete, Put, Touch, Write
from sessiondex.stores.sqlite.thread import JournalThread, ThreadEndedError
from sessiondex.stores.stats import JournalStats

T = TypeVar("T")

log: logging.Logger = logging.getLogger("sessiondex")

Durability: TypeAlias = Literal["full", "batched"]

MAX_PENDING_BYTES = 64 * 2**20
_BYTES_PER_WRITE = 500  # of what Python adds to a row, about
_FLUSH_INTERVAL = timedelta(seconds=0.2)


@dataclass(frozen=True)
class LoadProgress:
    """How far loading a journal has come: `skipped` of the `loaded` rows could not be read."""

    loaded: int
    skipped: int
    total: int


OnLoaded = Callable[[LoadProgress], Awaitable[None] | None]


class SQLiteJournal:
    """A SQLite file from which an `InMemorySessionStore` is restored, and to which it writes each change.

    Reads are answered from memory. With durability "full", a save returns when it is on disk and survives a power
    failure; tasks that save at the same time share a sync of the disk. With "batched", it returns at once, and is on
    disk within `flush_interval`; a crash loses the saves since, and no others. `max_pending_bytes` bounds what waits
    for the disk: beyond it, writers wait.

    The file belongs to one store at a time. Everybody but its user is denied access. `progress` is called while the
    sessions are loaded, and may be a coroutine function. A journal serves one store, from `async with` to its end.

    >>> import asyncio, tempfile
    >>> from uuid import uuid4
    >>> from sessiondex import InMemorySessionStore, Session
    >>> async def main(path):
    ...     session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel="sms", user_channel_id="1")
    ...     async with InMemorySessionStore(journal=SQLiteJournal(path)) as store:
    ...         await store.save(session)
    ...     async with InMemorySessionStore(journal=SQLiteJournal(path)) as store:
    ...         return await store.get(session.session_id) == session
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(main(f"{folder}/sessions.db"))
    True

    Raises:
        InvalidArgumentError: an argument cannot be used.
        NotImplementedError: this system cannot lock files, as Windows.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        durability: Durability = "full",
        flush_interval: timedelta = _FLUSH_INTERVAL,
        max_pending_bytes: int = MAX_PENDING_BYTES,
        progress: OnLoaded | None = None,
    ) -> None:
        if not IS_SUPPORTED:
            raise NotImplementedError("SQLiteJournal needs file locks by flock, which this system does not have")
        self._path = _checked_path("path", path)
        given: object = durability
        if given not in ("full", "batched"):
            raise InvalidArgumentError("durability", "must be 'full' or 'batched'")
        interval: object = flush_interval
        if not isinstance(interval, timedelta) or interval <= timedelta(0):
            raise InvalidArgumentError("flush_interval", "must be a timedelta above zero")
        check_min("max_pending_bytes", max_pending_bytes, 1, "the queue needs room for a commit")
        if progress is not None:
            check_callable("progress", progress)
        self._is_full = durability == "full"
        self._max_pending_bytes = max_pending_bytes
        self._progress = progress
        self._thread = JournalThread(self._path, interval.total_seconds(), self._on_written)
        self._scrubbing: Future[str | None] | None = None
        self._is_taken = self._has_started = False
        self._is_writing = False
        self._last_sequence = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()  # in the order of the numbers
        self._room_waiters: deque[asyncio.Future[None]] = deque()

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._path

    # -- opening --

    def take(self) -> None:
        if self._is_taken:
            raise InvalidArgumentError("journal", "has served a store already; make a new SQLiteJournal for each store")
        self._is_taken = True

    async def open(self) -> JournalHead:
        if not self._path.parent.is_dir():
            raise InvalidArgumentError("path", f"there is no folder {self._path.parent}; make it first")
        self._loop = asyncio.get_running_loop()
        opening = self._thread.start()
        self._has_started = True
        return await self._run("open", opening)

    async def read(self, after: int, limit: int) -> Sequence[JournalRow]:
        return await self._run("open", self._thread.run(lambda database: database.read(after, limit)))

    async def report(self, loaded: int, skipped: int, total: int) -> None:
        await report(self._progress, LoadProgress(loaded, skipped, total))

    async def begin(self, stamp: int, sequence: int) -> None:
        self._last_sequence = sequence
        await self._run("open", self._thread.begin(Reserved(stamp, sequence)))

    # -- writing --

    def on_commit(self, commit: Commit[Any]) -> None:
        sequence = commit.sequence + len(commit.mutations) - 1
        if sequence <= self._last_sequence:
            return
        if self._thread.has_stopped:
            self._last_sequence = sequence  # so that closing says that something is missing
            return
        writes: list[Write] = []
        stamp = size = 0
        for mutation in commit.mutations:
            kind, session_id, _, its_stamp, revision, _, _, document = mutation
            key = session_id.int.to_bytes(16)
            size += _BYTES_PER_WRITE
            if document is not None:
                writes.append(Put(key, its_stamp, revision, document))
                size += len(document.data)
            elif kind is ChangeKind.TOUCHED:
                writes.append(Touch(key, its_stamp, revision))
            else:
                writes.append(Delete(key))
                continue
            stamp = max(stamp, its_stamp)
        # In this order: if Ctrl-C interrupts it, it is called again, and writing a commit twice does no harm.
        self._thread.add(sequence, stamp, size, writes)
        if not self._is_full:
            self._thread.write_later()
        elif not self._is_writing:
            self._thread.write_now()
            self._is_writing = True
        self._last_sequence = sequence

    @property
    def is_ready(self) -> bool:
        return not self._thread.has_stopped and self._thread.pending_bytes < self._max_pending_bytes

    async def ready(self, operation: str) -> None:
        while not self._thread.has_stopped and self._thread.pending_bytes >= self._max_pending_bytes:
            if not self._is_full:
                self._thread.write_now()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room_waiters.append(waiter)
            await waiter
        if self._thread.has_stopped:
            self._raise(operation)

    async def settle(self, sequence: int, operation: str) -> None:
        if self._is_full and self._thread.written < sequence and not self._thread.has_stopped:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((sequence, waiter))
            await waiter
        if self._thread.has_stopped and self._thread.written < sequence:
            self._raise(operation, is_outcome_unknown=True)

    async def flush(self) -> None:
        """Wait until all that was saved so far is on disk.

        Raises:
            StoreUnavailableError: an error stopped the journal.
        """
        await self._run("flush", self._thread.run(lambda _: None), is_outcome_unknown=True)

    async def scrub(self, operation: str = "scrub") -> None:
        """Remove every trace of what was deleted from the file, and give its space back.

        Erasures do this by themselves; after other deletions, copies may be left in pages that are in use. Saves wait
        until the file is written again. If that cannot be done now, because somebody reads the file or the disk has no
        room for a second copy, that is logged. Cost: about 11 s per GB.

        Raises:
            StoreUnavailableError: an error stopped the journal.
        """
        if self._scrubbing is None or self._scrubbing.running() or self._scrubbing.done():
            self._scrubbing = self._thread.run(lambda database: database.scrub(), is_vital=True)
        # Else one that has not begun is for all who wait.
        hindrance = await self._run(operation, self._scrubbing, is_outcome_unknown=True)
        if hindrance is not None:
            log.warning("traces of what was deleted are left in %s for now: %s", self._path, hindrance)

    async def backup(self, path: str | PathLike[str]) -> None:
        """Write a copy of all that was saved so far to a new file, which can be opened as a journal.

        Saves go on, and wait for at most some milliseconds each. Cost: that of writing the file.

        Raises:
            InvalidArgumentError: there is such a file, or no folder for it.
            StoreUnavailableError: an error stopped the journal, or the copy cannot be written.
        """
        target = _checked_path("path", path)
        if not target.parent.is_dir():
            raise InvalidArgumentError("path", f"there is no folder {target.parent}; make it first")
        await self._run("backup", self._thread.run(partial(self._thread.backup, target)))

    async def _run(self, operation: str, future: Future[T], *, is_outcome_unknown: bool = False) -> T:
        """Wait for work of the thread, with errors for users."""
        try:
            return await self._result(future)
        except ThreadEndedError:
            self._raise(operation, is_outcome_unknown=is_outcome_unknown)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailableError(
                str(self._path), operation, str(error), is_outcome_unknown=is_outcome_unknown, kind="journal"
            ) from error

    async def _result(self, future: Future[T]) -> T:
        """Wait for work of the thread. If this is cancelled, the work goes on."""
        loop, is_done = asyncio.get_running_loop(), asyncio.Event()
        future.add_done_callback(lambda _: _call_in(loop, is_done.set))
        await is_done.wait()
        return future.result()

    def _raise(self, operation: str, *, is_outcome_unknown: bool = False) -> NoReturn:
        error = self._thread.error
        reason = "it is not open; use it within `async with store: ...`"
        if error is not None:
            reason = f"an error stopped it ({error}); mend the cause, then open it with a new store"
        raise StoreUnavailableError(
            str(self._path),
            operation,
            reason,
            is_outcome_unknown=is_outcome_unknown and error is not None,
            kind="journal",
        ) from error

    # -- after each transaction --

    def _on_written(self) -> None:
        """Is called in the thread."""
        if (loop := self._loop) is not None:
            _call_in(loop, partial(self._wake, loop))

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return  # the store moved to another one, whose `on_new_loop` did this
        thread = self._thread
        while self._waiters and (self._waiters[0][0] <= thread.written or thread.has_stopped):
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if thread.has_stopped or thread.pending_bytes < self._max_pending_bytes:
            while self._room_waiters:
                waiter = self._room_waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
        if self._is_full:
            # After all whom this woke: what they save goes into the next transaction together.
            loop.call_soon(self._hand_over, loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            self._is_writing = self._thread.pending_commits > 0
            if self._is_writing:
                self._thread.write_now()

    def on_new_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiters.clear()
        self._room_waiters.clear()
        if self._has_started:
            self._hand_over(self._loop)

    # -- the life of a journal --

    def stats(self) -> JournalStats:
        thread = self._thread
        return JournalStats(
            thread.pending_commits, thread.pending_bytes, thread.lag_seconds, is_stopped=thread.has_stopped
        )

    async def aclose(self) -> None:
        if not self._has_started:
            return
        # With "full", who saved what is missing has got an error already.
        was_told = self._is_full and self._thread.error is not None
        await self._result(self._thread.stop())
        self._thread.join()
        if self._thread.error is not None and self._thread.written < self._last_sequence and not was_told:
            self._raise("aclose", is_outcome_unknown=True)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call it in the loop, from another thread, unless the loop has ended."""
    with suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(callback)


def _checked_path(name: str, path: object) -> Path:
    if not isinstance(path, str | PathLike) or not isinstance(fspath(path), str) or not Path(path).name:
        raise InvalidArgumentError(name, "must be the path of a file")
    if fspath(path) == ":memory:":
        raise InvalidArgumentError(name, "must be the path of a file; a store without a journal is in memory alone")
    if "\0" in fspath(path):
        raise InvalidArgumentError(name, "must not contain NUL characters")
    return Path(path).absolute()
