"""A run: where and how it was made, and all that it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.contest import Contest
from benchmarks.figure import Figure
from benchmarks.figures import Growth, growths, lookup_figures
from benchmarks.figures_contest import contest_figures
from benchmarks.figures_remote import remote_figures
from benchmarks.figures_scale import scale_figures
from benchmarks.flood import Flood
from benchmarks.mixes import Mix
from benchmarks.remote.all import Remote
from benchmarks.results import Cell, Cells, Replayed
from benchmarks.scale import Scale


@dataclass(frozen=True)
class Run:
    """What `results.json` holds and the report shows. Times are in microseconds a call, unless named otherwise."""

    date: str
    command: str
    seed: int
    seconds: float
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    timer_overhead: float
    """What timing nothing takes; it is in every figure."""
    lookup: list[Cell]
    replay: list[Replayed]
    scale: Scale
    contest: Contest
    mixes: list[Mix]
    floods: list[Flood]
    remote: Remote

    @property
    def cells(self) -> Cells:
        """The lookup, by what its cells are of."""
        return Cells(self.lookup)

    @property
    def figures(self) -> list[Figure]:
        """The headline figures."""
        return [
            *lookup_figures(self.cells),
            *scale_figures(self.scale),
            *contest_figures(self.contest),
            *remote_figures(self.remote),
        ]

    @property
    def growths(self) -> list[Growth]:
        """How costs grow with the number of sessions."""
        return growths(self.cells)

    def to_json(self) -> dict[str, Any]:
        """Return everything, also what follows from the rest, as JSON values."""
        return {
            "figures": [asdict(figure) | {"state": figure.state} for figure in self.figures],
            "growths": [asdict(growth) for growth in self.growths],
            **asdict(self),
        }
