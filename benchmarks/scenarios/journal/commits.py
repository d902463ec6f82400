"""Count the commits of journals, and the saves in them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from sessiondex.stores.sqlite.database import Database
from sessiondex.stores.sqlite.rows import Write


@dataclass
class CommitCount:
    """The commits so far, and the saves in them."""

    commits: int = 0
    saves: int = 0

    def take_saves_per_commit(self) -> float | None:
        """Return the saves per commit since the last call; `None` without any."""
        found = self.saves / self.commits if self.commits else None
        self.commits = self.saves = 0
        return found


@contextmanager
def count_commits() -> Iterator[CommitCount]:
    """Count what all journals of this process write while this context is open."""
    count, write = CommitCount(), Database.write

    def counted(self: Database, writes: Iterable[Write], sequence: int) -> None:
        some = list(writes)
        count.commits += 1
        count.saves += len(some)
        write(self, some, sequence)

    with mock.patch.object(Database, "write", counted):
        yield count
