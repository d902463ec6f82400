"""Makes and checks the files of a journal: private to their user, never behind a link, and never somebody else's."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from tempfile import mkstemp
from urllib.parse import quote

from sessiondex.errors import InvalidJournalError

APPLICATION_ID = 0x53444A4C
"""What SQLite keeps in the header of the file to say whose it is."""
FORMAT = 1
"""The version of the tables. A journal of a later one is refused."""
PAGE_SIZE = 8_192

_MAGIC = b"SQLite format 3\0"
_HEADER_SIZE = 100
_WRITE_VERSION_AT, _FORMAT_AT, _APPLICATION_ID_AT = 18, slice(60, 64), slice(68, 72)
_WAL_VERSION = 2

_SCHEMA = f"""
    PRAGMA page_size = {PAGE_SIZE};
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {FORMAT};
    BEGIN;
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        stamp INTEGER NOT NULL, -- last_activity_at, in microseconds since 1970-01-01 UTC
        revision INTEGER NOT NULL,
        type TEXT NOT NULL, -- of the class, and its schema_version
        version INTEGER NOT NULL,
        head_check INTEGER NOT NULL,
        data_check INTEGER NOT NULL,
        data TEXT NOT NULL -- JSON, in which last_activity_at and revision have no meaning
    );
    CREATE TABLE journal (
        is_open INTEGER NOT NULL, -- a store has it open, or crashed: the -wal file belongs to it
        stamp INTEGER NOT NULL, -- no stamp and no change number beyond these was ever given
        sequence INTEGER NOT NULL,
        head_check INTEGER NOT NULL
    );
    INSERT INTO journal VALUES (0, 0, 0, {{check}});
    COMMIT;
    PRAGMA journal_mode = WAL;
"""  # id and version stand in the header of the file at once, because they are set before the log is switched on


def _url(path: Path) -> str:
    """Return the absolute path as SQLite reads it: of any bytes, and also if it begins with two slashes."""
    return f"file://{quote(os.fsencode(path))}"


def connect(path: Path) -> sqlite3.Connection:
    """Open a file that exists. Each statement is a transaction, unless BEGIN comes first. Tests replace this."""
    return sqlite3.connect(f"{_url(path)}?mode=rw", uri=True, isolation_level=None)


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a file that exists, without the right to write."""
    return sqlite3.connect(f"{_url(path)}?mode=ro", uri=True, isolation_level=None)


def says_open(path: Path) -> bool:
    """Return whether the file says that a store has it open, without a look at its log. It makes no file."""
    connection = sqlite3.connect(f"{_url(path)}?mode=ro&immutable=1", uri=True)
    try:
        found = connection.execute("SELECT is_open FROM journal").fetchone()
    except sqlite3.Error:  # the file is damaged, which is found out later
        return False
    finally:
        connection.close()
    return bool(found and found[0])


def create(path: Path, check: int) -> None:
    """Make an empty journal, readable by its user alone: the whole file appears at once. The caller holds the lock."""
    partial = make_private(path)
    try:
        connection = connect(partial)
        try:
            connection.executescript(_SCHEMA.format(check=check))
        finally:
            connection.close()
        move_into_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def make_private(path: Path) -> Path:
    """Make an empty file beside that path, which only its user can read, under a name that nothing else has."""
    descriptor, name = mkstemp(prefix=f"{path.name}-new-", dir=path.parent)
    os.close(descriptor)
    return Path(name)


def move_into_place(partial: Path, path: Path) -> None:
    """Give the file its name, so that a power failure undoes neither it nor its contents."""
    _sync(partial)
    partial.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int]:
    """Return device and inode of the file, or raise `InvalidJournalError` if it is a link or no file."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise InvalidJournalError(path, "must be a file; symbolic links are refused, since they can be changed")
    if found.st_nlink > 1:
        raise InvalidJournalError(path, "must have one name only: by another one, a second store could open it")
    return found.st_dev, found.st_ino


def check_header(path: Path) -> bool:
    """Return whether there is a journal, and not nothing; raise `InvalidJournalError` if there is something else."""
    try:
        identity(path)
    except FileNotFoundError:
        return False
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)
    if not header:
        return False  # as a temporary file is made
    if not header.startswith(_MAGIC) or int.from_bytes(header[_APPLICATION_ID_AT]) != APPLICATION_ID:
        raise InvalidJournalError(path, "is not a journal of sessiondex; it was left as it is. Give another path")
    found = int.from_bytes(header[_FORMAT_AT])
    if found > FORMAT:
        reason = f"has format {found}, of a later release; this one reads up to {FORMAT}. Use that release"
        raise InvalidJournalError(path, reason)
    if found < 1 or header[_WRITE_VERSION_AT] > _WAL_VERSION:  # SQLite would take the latter for a read-only file
        raise InvalidJournalError(path, "has a damaged header; restore a backup")
    return True
