"""Journal: what an in-memory store needs of a file that keeps its sessions across restarts.

The journal listens to commits, so the store works at the speed of memory. A writer then waits for the disk, outside all
locks, if the journal says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, NamedTuple, Protocol, runtime_checkable

from sessiondex.snapshots.codec import Document
from sessiondex.stores.commit import Commit
from sessiondex.stores.stats import JournalStats


class JournalHead(NamedTuple):
    """What is known of a journal before its rows are read."""

    stamp: int
    """No stamp beyond this one was ever given, in microseconds since 1970-01-01 UTC."""
    sequence: int
    """No change beyond this number was ever published."""
    row_count: int


class JournalRow(NamedTuple):
    """A stored session. What is damaged may hold anything."""

    number: int
    key: bytes
    stamp: int
    revision: int
    document: Document
    is_intact: bool


@runtime_checkable
class Journal(Protocol):
    """Keeps the sessions of one store in a file. Opened, used and closed by that store."""

    # -- opening: in this order --

    def take(self) -> None:
        """Be the journal of one store from now on; raise `InvalidArgumentError` if it has served another."""

    async def open(self) -> JournalHead:
        """Open the file for this store alone.

        Raises:
            JournalInUseError: another store has it open.
            InvalidJournalError: it is damaged, something else, or of a later release.
        """

    async def read(self, after: int, limit: int) -> Sequence[JournalRow]:
        """Return up to `limit` rows after that number; 0 begins."""

    async def report(self, loaded: int, skipped: int, total: int) -> None:
        """Report to the user how far loading has come."""

    async def begin(self, stamp: int, sequence: int) -> None:
        """Be ready for commits. The last stamp and the last number that were given are these."""

    # -- writing --

    def on_commit(self, commit: Commit[Any]) -> None:
        """Take notice of a commit, as a `CommitListener`."""

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would return at once."""

    async def ready(self, operation: str) -> None:
        """Wait until there is room for one more commit.

        Raises:
            StoreUnavailableError: an error stopped the journal.
        """

    async def settle(self, sequence: int, operation: str) -> None:
        """Wait until the commits up to this number are as durable as they are to be before a write returns.

        Raises:
            StoreUnavailableError: an error stopped the journal, so it is unknown what of them is on disk.
        """

    async def flush(self) -> None:
        """Wait until all commits are on disk. Raises as `settle` does."""

    async def scrub(self, operation: str = "scrub") -> None:
        """Flush, and remove every trace of what was deleted. Raises as `settle` does."""

    async def backup(self, path: str | PathLike[str]) -> None:
        """Write a copy to a new file."""

    # -- the life of a journal --

    def on_new_loop(self) -> None:
        """Forget what waits in an earlier event loop."""

    def stats(self) -> JournalStats:
        """Return how far the file is behind."""

    async def aclose(self) -> None:
        """Flush and close. May be called twice, and before `open`. Raises as `settle` does."""
