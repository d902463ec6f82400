"""Database: the file of a journal, as one thread uses it. Synchronous; knows no event loop and no session."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from sessiondex.errors import InvalidArgumentError, InvalidJournalError
from sessiondex.snapshots.codec import Document
from sessiondex.stores.journal import JournalRow
from sessiondex.stores.sqlite import files, wal
from sessiondex.stores.sqlite.rows import WRONG_TYPES, Delete, Put, Touch, Write, data_check, head_check
from sessiondex.stores.sqlite.statements import COLUMNS, statements_for

ROWS_PER_CHECKPOINT = 1_000
_BYTES_PER_CHECKPOINT = 16 * 2**20
_PAGES_AT_ONCE = 256  # of a backup or when space is given back; writers wait for that many
_FREE_SHARE = 8  # pages are given back until at most one in so many is free
STAMPS_AHEAD = 2_000_000
"""How far stamps are reserved ahead, in microseconds, so that few commits write the reservation too."""
NUMBERS_AHEAD = 1_000_000
"""How far the numbers of changes are reserved ahead."""
_META_KEY = bytes(16)
_BUSY_MILLISECONDS = 5_000  # how long a write waits for somebody else who writes to the file, which nobody should

_READ = f"SELECT number, {COLUMNS} FROM sessions WHERE number > ? ORDER BY number LIMIT ?"
_NO_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
}
"""Errors of the system, to which no backup is an answer."""
_RESTORE = "move it away, with its -wal file, and restore a backup"
_ACCEPT = (
    f"{_RESTORE}; or keep what can be read, by "
    "`sqlite3 FILE 'UPDATE journal SET is_open = 0; PRAGMA wal_checkpoint(TRUNCATE)'`"
)


class Reserved(NamedTuple):
    """No stamp and no change number beyond these was ever given."""

    stamp: int
    """In microseconds since 1970-01-01 UTC."""
    sequence: int


class Database:
    """An open journal file. Made, used and closed by one thread, whose caller holds the lock of the file."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            InvalidJournalError: it is damaged, or something else, or of a later release. It is left as it is.
            sqlite3.OperationalError: the system cannot read or write it.
        """
        self._path = path
        self._rows_read = self._rows_since_checkpoint = self._bytes_since_checkpoint = 0
        self._has_deleted = False
        log_path = path.with_name(f"{path.name}-wal")
        if not files.check_header(path):
            if log_path.exists():
                raise InvalidJournalError(path, f"is missing, and its {log_path.name} is there; restore a backup")
            files.create(path, head_check(_META_KEY, 0, 0))
        has_log = log_path.exists()
        damage = wal.find_damage(log_path) if has_log else None
        if damage is not None:
            raise InvalidJournalError(path, f"has a damaged log, {log_path.name}: {damage}; {_ACCEPT}")
        if not has_log and files.says_open(path):  # looked up first, as opening makes a log
            raise InvalidJournalError(path, f"lacks its -wal file, which has the last saves; {_ACCEPT}")
        before = files.identity(path)
        self._connection = files.connect(path)
        self._log_keeper: sqlite3.Connection | None = None
        try:
            if has_log:
                self._keep_log()
            self._set_up(before)
        except sqlite3.DatabaseError as error:
            self._close_connections()
            if error.sqlite_errorcode & 0xFF in _NO_DAMAGE:
                raise
            raise InvalidJournalError(path, f"cannot be read ({error}); {_RESTORE}") from error
        except BaseException:
            self._close_connections()
            raise

    def _set_up(self, before: tuple[int, int]) -> None:
        execute = self._connection.execute
        self._connection.text_factory = bytes
        for setting in ("synchronous = FULL", "wal_autocheckpoint = 0", "secure_delete = ON", "fullfsync = ON"):
            execute(f"PRAGMA {setting}").fetchall()
        execute("PRAGMA checkpoint_fullfsync = ON").fetchall()
        if files.identity(self._path) != before:
            raise InvalidJournalError(self._path, "was replaced while it was opened; open it again")
        mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != b"wal":
            raise InvalidJournalError(self._path, "is on a file system without shared memory; put it on a local one")
        # Not `quick_check`: if the index of ids disagrees with the table, a later save stores a session twice.
        verdict = execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != b"ok":  # or the disk could not be read, once
            verdict = execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != b"ok":
            raise InvalidJournalError(self._path, f"is damaged ({verdict.decode(errors='replace')}); {_RESTORE}")
        try:
            # By their names, as damage may have changed those in the schema.
            execute(f"SELECT {COLUMNS} FROM sessions LIMIT 0")
            ((_, stamp, sequence, check),) = execute(
                "SELECT is_open, stamp, sequence, head_check FROM journal"
            ).fetchall()
            if head_check(_META_KEY, stamp, sequence) != check:
                raise ValueError("checksum")  # as if it were of a wrong type
        except WRONG_TYPES as error:
            raise InvalidJournalError(self._path, "is damaged (its table `journal`); restore a backup") from error
        self.reserved: Reserved = Reserved(stamp, sequence)
        self.row_count: int = execute("SELECT count(*) FROM sessions").fetchone()[0]

    # -- reading --

    def read(self, after: int, limit: int) -> list[JournalRow]:
        """Return up to `limit` rows that follow the row of that number; 0 begins."""
        rows = [_checked(values) for values in self._connection.execute(_READ, (after, limit))]
        self._rows_read += len(rows)
        return rows

    # -- writing --

    def begin(self, reserved: Reserved) -> None:
        """Say in the file that it is open, and empty the log. Stamps are reserved with the first that is written.

        Raises:
            InvalidJournalError: the file lacks rows that its index has.
        """
        if self._rows_read != self.row_count:
            reason = f"is damaged ({self.row_count} sessions are in its index, {self._rows_read} in its table)"
            raise InvalidJournalError(self._path, f"{reason}; {_RESTORE}")
        has_log = self._log_keeper is not None
        self._keep_log()
        if has_log:
            # Before anything is written to it: behind its end may be the rest of a commit that a crash cut off.
            self._checkpoint("TRUNCATE")
        self._write_reserved(Reserved(reserved.stamp, reserved.sequence + NUMBERS_AHEAD), is_open=True)
        self._has_deleted = not self._checkpoint("TRUNCATE")  # else what was deleted before may be in it

    def write(self, writes: Iterable[Write], sequence: int) -> None:
        """Write all that these commits changed, in one transaction; `sequence` is the number of the last change."""
        last: dict[bytes, Write] = {}
        stamp = 0  # the latest, also of what is deleted by now
        for one in writes:
            stamp = stamp if isinstance(one, Delete) else max(stamp, one.stamp)
            earlier = last.get(one.key)
            if isinstance(one, Touch) and isinstance(earlier, Put):
                one = earlier._replace(stamp=one.stamp)  # noqa: PLW2901  # one row for both
            last[one.key] = one
        statements = statements_for(last.values())
        reserves = (
            stamp + STAMPS_AHEAD // 2 > self.reserved.stamp or sequence + NUMBERS_AHEAD // 2 > self.reserved.sequence
        )
        if len(statements) == 1 and not reserves:
            self._connection.execute(*statements[0])
        elif statements:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                self._connection.execute(statement, values)
            if reserves:
                ahead = Reserved(max(stamp + STAMPS_AHEAD, self.reserved.stamp), sequence + NUMBERS_AHEAD)
                self._write_reserved(ahead, is_open=True)
            self._connection.execute("COMMIT")
        self._has_deleted = self._has_deleted or any(type(one) is Delete for one in last.values())
        self._rows_since_checkpoint += len(last)
        self._bytes_since_checkpoint += sum(len(one.document.data) for one in last.values() if type(one) is Put)
        if self._rows_since_checkpoint >= ROWS_PER_CHECKPOINT or self._bytes_since_checkpoint >= _BYTES_PER_CHECKPOINT:
            self._checkpoint("PASSIVE")

    def _write_reserved(self, reserved: Reserved, *, is_open: bool) -> None:
        check = head_check(_META_KEY, *reserved)
        self._connection.execute(
            "UPDATE journal SET is_open = ?, stamp = ?, sequence = ?, head_check = ?", (is_open, *reserved, check)
        )
        self.reserved = reserved

    def _checkpoint(self, mode: str) -> bool:
        """Copy the log into the file, and return whether all of it was: somebody may be reading."""
        # Explicitly, because SQLite does not report the errors of automatic ones.
        self._connection.execute("PRAGMA busy_timeout = 0")  # writers should not wait for those who read the file
        is_busy, size, copied = self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        self._rows_since_checkpoint = self._bytes_since_checkpoint = 0
        return not is_busy and size == copied

    # -- upkeep --

    @property
    def needs_tidying(self) -> bool:
        """Whether something was deleted since `tidy` returned `False` last."""
        return self._has_deleted

    def tidy(self) -> bool:
        """Give space back, or overwrite what was deleted in the log; return whether there is more to do.

        One call takes some milliseconds. While somebody reads the file, the log cannot be emptied; try again later.
        """
        free = self._pragma("freelist_count")
        if free > self._pragma("page_count") // _FREE_SHARE:
            # A script, because `execute` would free one page only.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            return True
        self._empty_log()
        return False

    def scrub(self) -> str | None:
        """Remove every trace of what was deleted from file and log; return why that cannot be done now, or `None`.

        Deleting overwrites a row with zeros, but copies of it may be left in pages that are in use, where SQLite had
        moved it. So all pages are written again, which takes about 11 s per GB.
        """
        try:
            self._connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise
            return "the disk has no room for a second copy"
        return None if self._empty_log() else "somebody reads it"

    def _empty_log(self) -> bool:
        """Copy the log into the file and empty it, unless somebody reads it; return whether that was done."""
        is_empty = self._checkpoint("PASSIVE") and self._checkpoint("TRUNCATE")
        self._has_deleted = self._has_deleted and not is_empty
        return is_empty

    def _pragma(self, name: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def backup(self, path: Path, between: Callable[[], None]) -> None:
        """Write a copy to a new file, in slices; `between` is called after each and may write.

        Raises:
            InvalidArgumentError: there is such a file.
        """
        for suffix in ("", "-wal", "-shm", "-journal"):
            other = path.with_name(path.name + suffix)
            if other.exists() or other.is_symlink():
                raise InvalidArgumentError("path", f"there is a file {other} already; give the path of a new one")
        partial = files.make_private(path)
        try:
            copy = files.connect(partial)
            try:
                self._connection.backup(copy, pages=_PAGES_AT_ONCE, progress=lambda *_: between(), sleep=0)
                copy.execute("UPDATE journal SET is_open = 0")
            finally:
                copy.close()
            files.move_into_place(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def close(self, last: Reserved | None) -> None:
        """Close the file. `last` is given when all was written: then the next owner begins exactly there."""
        try:
            if last is not None:
                self._write_reserved(last, is_open=False)
                self._checkpoint("TRUNCATE")
                self._drop_log_keeper()
        finally:
            self._close_connections()

    def _keep_log(self) -> None:
        """Have the log outlive the connection: SQLite would copy it into the file and delete it, even after errors.

        It does so when the last connection is closed, if that may write. This one may only read, and so is closed last.
        """
        if self._log_keeper is None:
            self._log_keeper = files.connect_to_read(self._path)
            self._log_keeper.execute("PRAGMA schema_version").fetchone()  # it opens the log

    def _drop_log_keeper(self) -> None:
        if self._log_keeper is not None:
            self._log_keeper.close()
            self._log_keeper = None

    def _close_connections(self) -> None:
        with suppress(sqlite3.Error):  # it was reported when it occurred first
            self._connection.close()
        self._drop_log_keeper()


def _checked(values: tuple[Any, ...]) -> JournalRow:
    number, key, stamp, revision, name, version, head, checksum, data = values
    try:
        is_intact = head == head_check(key, stamp, revision) and checksum == data_check(key, name, version, data)
        document = Document(name.decode(errors="replace"), version, data)
        return JournalRow(number, key, stamp, revision, document, is_intact)
    except WRONG_TYPES:
        return JournalRow(number, b"", 0, 0, Document("", 0, b""), is_intact=False)
