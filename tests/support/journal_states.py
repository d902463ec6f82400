"""What a journal may hold: one state after each commit, and what was acknowledged until a cut of a simulated disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from sessiondex.changes import ChangeKind
from sessiondex.stores.commit import Commit
from sessiondex.stores.journal import JournalRow
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite.database import Database, Reserved
from tests.support.disk import RecordedDisk
from tests.support.power_failure import Mark, Operation

Stored: TypeAlias = tuple[int, int, str, int, bytes]
"""Stamp, revision, type, version and JSON of a session."""
State: TypeAlias = frozenset[tuple[bytes, Stored]]
"""All sessions with their ids."""


class Submitted(NamedTuple):
    """Marks that so many commits were made."""

    commits: int


class Acknowledged(NamedTuple):
    """Marks that so many commits must survive from now on."""

    commits: int


class MarkingJournal(SQLiteJournal):
    """A journal that keeps all its commits, and marks them on the disk."""

    def __init__(self, path: Path, disk: RecordedDisk | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.commits: list[Commit[Any]] = []
        self.is_synchronous = options.get("durability", "full") == "full"
        """Whether a write returns when it is on disk."""
        self._disk = disk

    def on_commit(self, commit: Commit[Any]) -> None:
        if not self.commits or commit.sequence > self.commits[-1].sequence:
            self.commits.append(commit)
            self._mark(Submitted(len(self.commits)))
        super().on_commit(commit)

    def acknowledge(self, session_ids: Iterable[UUID]) -> None:
        """Mark that a write of these sessions returned, and so their last commit and all before it must survive."""
        ids = set(session_ids)
        for number in range(len(self.commits), 0, -1):
            if any(mutation.session_id in ids for mutation in self.commits[number - 1].mutations):
                self._mark(Acknowledged(number))
                return

    def acknowledge_all(self, commits: int) -> None:
        """Mark that the first commits must survive."""
        self._mark(Acknowledged(commits))

    def _mark(self, value: object) -> None:
        if self._disk is not None:
            self._disk.mark(value)


def connector(disk: RecordedDisk, factory: type[sqlite3.Connection] = sqlite3.Connection) -> Callable[[Path], Any]:
    """Return what stands in for `files.connect`, so that a journal is on that disk."""

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"{disk.uri(path)}&mode=rw", uri=True, isolation_level=None, factory=factory)

    return connect


def states_after(commits: Sequence[Commit[Any]], before: State = frozenset()) -> list[State]:
    """Return the state before these commits, and after each."""
    stored = dict(before)
    states = [before]
    for commit in commits:
        for mutation in commit.mutations:
            key = mutation.session_id.bytes
            if mutation.kind is ChangeKind.SAVED:
                assert mutation.document is not None
                stored[key] = (mutation.stamp, mutation.revision, *mutation.document)
            elif mutation.kind is ChangeKind.TOUCHED:
                stored[key] = (mutation.stamp, mutation.revision, *stored[key][2:])
            else:
                del stored[key]
        states.append(frozenset(stored.items()))
    return states


def rows_of(database: Database) -> list[JournalRow]:
    """Return all rows."""
    rows: list[JournalRow] = []
    while some := database.read(rows[-1].number if rows else 0, 500):
        rows += some
    return rows


def state_of(rows: Iterable[JournalRow]) -> State:
    """Return the state that these rows are, none of which may be damaged."""
    stored = {}
    for row in rows:
        assert row.is_intact, f"row {row.number} is damaged"
        assert row.key not in stored, f"row {row.number} has the id of another"
        stored[row.key] = (row.stamp, row.revision, *row.document)
    return frozenset(stored.items())


def state_in(path: Path, *, begins: bool = True) -> State:
    """Open the file as a store does, and return what it holds; without `begins` it stays as it is."""
    database = Database(path)
    is_done = False
    try:
        state = state_of(rows_of(database))
        if begins:
            database.begin(database.reserved)
        is_done = begins
    finally:
        database.close(Reserved(*database.reserved) if is_done else None)
    return state


def bounds(operations: Sequence[Operation]) -> tuple[int, int]:
    """Return how many commits must be there after these operations, and how many may."""
    marks = [operation.value for operation in operations if isinstance(operation, Mark)]
    return (
        max((mark.commits for mark in marks if isinstance(mark, Acknowledged)), default=0),
        max((mark.commits for mark in marks if isinstance(mark, Submitted)), default=0),
    )


def commits_in(state: State, states: Sequence[State], at_most: int) -> int:
    """Return how many of the commits led to the state: they are a prefix, or this fails."""
    for number in range(at_most, -1, -1):
        if states[number] == state:
            return number
    raise AssertionError("the sessions are not those after any number of commits")
