"""What a run found, as it is written to `results.json`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.measure import Summary


@dataclass(frozen=True)
class Cell:
    """One operation of one contestant, or one control, on a population of one size, with keys drawn in one way."""

    sessions: int
    operation: str
    keys: str
    contestant: str
    summary: Summary


class Cells:
    """The cells of a run, found by what they are of."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._cells = {(cell.sessions, cell.operation, cell.keys, cell.contestant): cell for cell in cells}

    def all(self) -> list[Cell]:
        """Return the cells in the order in which they were timed."""
        return list(self._cells.values())

    @property
    def sizes(self) -> list[int]:
        """The sizes of the populations, smallest first."""
        return sorted({cell.sessions for cell in self._cells.values()})

    def summary(self, sessions: int, operation: str, keys: str, contestant: str) -> Summary | None:
        """Return what the cell says, or `None` if this run did not time it."""
        cell = self._cells.get((sessions, operation, keys, contestant))
        return None if cell is None else cell.summary

    def median(self, sessions: int, operation: str, keys: str, contestant: str) -> float | None:
        """Return the cell's median in microseconds, or `None` if this run did not time it."""
        summary = self.summary(sessions, operation, keys, contestant)
        return None if summary is None else summary.median


@dataclass(frozen=True)
class Replayed:
    """One store's replay of conversations.

    `operations` are their times, `sessions_by_step` counts the sessions that stand at each step in the end, and
    `answers` is a digest of every answer that the store gave, in order, where there is another store's to compare.
    """

    contestant: str
    conversations: int
    turns: int
    seconds: float
    operations: dict[str, Summary]
    sessions_by_step: dict[str, int]
    answers: str | None

    @property
    def turns_per_second(self) -> float:
        """Turns in a second of what the store and the changes of the sessions took."""
        return self.turns / self.seconds
