"""Hold the results of one run, and read and write them as JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.measure.timing import Summary
from benchmarks.scenarios.floods import Flood
from benchmarks.scenarios.footprint import Footprint
from benchmarks.scenarios.indexes import IndexResults
from benchmarks.scenarios.journal.scenario import JournalResults
from benchmarks.scenarios.lookups import Cell, PeerResults
from benchmarks.scenarios.mixes import Mix
from benchmarks.scenarios.replay import Replayed
from benchmarks.scenarios.servers.scenario import ServerResults
from benchmarks.scenarios.sessions import UNIFORM
from benchmarks.stores.subjects import INDEXED


@dataclass(frozen=True)
class Run:
    """The results of one run. Times are in microseconds per call unless their name says otherwise."""

    date: str
    command: str
    seed: int
    seconds: float
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    timer_overhead: float
    lookups: list[Cell]
    replays: list[Replayed]
    footprints: list[Footprint]
    peers: PeerResults | None = None
    mixes: list[Mix] = field(default_factory=list)
    floods: list[Flood] = field(default_factory=list)
    servers: ServerResults | None = None
    indexes: IndexResults | None = None
    journal: JournalResults | None = None

    def to_json(self) -> str:
        """Return the run as JSON, with each cell on one line."""
        return _lines(asdict(self), "") + "\n"

    @staticmethod
    def read(path: Path) -> "Run":
        """Read a run from a file that `to_json` made."""
        return TypeAdapter(Run).validate_json(path.read_text(encoding="utf-8"))


class Cells:
    """Find cells by size, operation, keys and subject."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._cells = {(cell.sessions, cell.operation, cell.keys, cell.subject): cell.summary for cell in cells}

    @property
    def sizes(self) -> list[int]:
        """The numbers of sessions, smallest first."""
        return sorted({sessions for sessions, *_ in self._cells})

    def summary(self, sessions: int, operation: str, subject: str, keys: str = UNIFORM) -> Summary | None:
        """Return the summary of a cell, or `None` if it was not timed."""
        return self._cells.get((sessions, operation, keys, subject))

    def median(self, sessions: int, operation: str, subject: str, keys: str = UNIFORM) -> float | None:
        """Return the median of a cell in microseconds, or `None` if it was not timed."""
        summary = self.summary(sessions, operation, subject, keys)
        return None if summary is None else summary.median

    def factor(self, sessions: int, operation: str, other: str, keys: str = UNIFORM) -> float | None:
        """Return how many times faster the indexed store is than the other; less than 1 if it is slower."""
        ours, theirs = (self.median(sessions, operation, name, keys) for name in (INDEXED, other))
        return None if ours is None or theirs is None else theirs / ours


def write_whole(path: Path, text: str) -> None:
    """Write the file, or leave it as it was if the process is stopped: never half of it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _lines(value: object, indent: str) -> str:
    """Return JSON with one line for each element of a list of objects, and for each key above it."""
    inner = f"\n{indent} "
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"[{inner}{f',{inner}'.join(map(json.dumps, value))}\n{indent}]"
    if isinstance(value, dict) and any(isinstance(item, list) for item in value.values()):
        items = [f"{json.dumps(key)}: {_lines(item, indent + ' ')}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}\n{indent}}}"
    return json.dumps(value)
