"""Part 3: what more sessions cost, in time of a query, in memory, and in stalls of the event loop.

The queries are timed side by side in this process, see `paired`. All else is measured in a process for each variant,
see `alone`, one process at a time.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks import paired
from benchmarks.alone import VARIANTS, Footprint
from benchmarks.controls import DICT_READ
from benchmarks.measure import Budget
from benchmarks.operations import GET
from benchmarks.progress import Progress
from benchmarks.results import Cell, Cells
from benchmarks.sessions import UNIFORM
from benchmarks.traffic import Traffic

LEAST = 10_000  # sessions: a process for fewer would say nothing that a reader wants to know

_FOOTPRINT = TypeAdapter(Footprint)
_ROOT = Path(__file__).parents[1]


class AloneFailedError(Exception):
    """A process that was to measure one variant ended otherwise."""


@dataclass(frozen=True)
class Scale:
    """The cells of the queries side by side, and what each variant takes at each size."""

    queries: list[Cell]
    footprints: list[Footprint]

    @property
    def cells(self) -> Cells:
        """The queries, by what their cells are of."""
        return Cells(self.queries)

    @property
    def largest(self) -> int | None:
        """The largest population that was weighed."""
        return max((footprint.sessions for footprint in self.footprints), default=None)

    def footprint(self, variant: str, sessions: int) -> Footprint | None:
        """Return what the variant takes with so many sessions, or `None` if this run did not measure it."""
        for footprint in self.footprints:
            if (footprint.variant, footprint.sessions) == (variant, sessions):
                return footprint
        return None

    def traffic(self, variant: str, sessions: int, keys: str) -> Traffic | None:
        """Return what came of the traffic with such keys, or `None` if this run did not send it."""
        footprint = self.footprint(variant, sessions)
        return next((traffic for traffic in footprint.traffic if traffic.keys == keys), None) if footprint else None

    def growth(self, query: str, name: str, keys: str = UNIFORM) -> float | None:
        """Return the cost of a session of the result in the largest population, over that in the smallest."""
        sizes = self.cells.sizes
        if len(sizes) < 2:
            return None
        small, large = (self.cells.summary(size, query, keys, name) for size in (sizes[0], sizes[-1]))
        if small is None or large is None:
            return None
        return (large.median / max(large.results, 1)) / (small.median / max(small.results, 1))

    def beside_dict(self, query: str, name: str, keys: str = UNIFORM) -> float | None:
        """Return the growth of the query over the growth of a dict read."""
        ours, dict_read = self.growth(query, name, keys), self.growth(GET, DICT_READ, keys)
        return None if ours is None or dict_read is None else ours / dict_read

    def worst_growth(self, name: str) -> float | None:
        """Return the growth of whichever query grows most beside a dict read, keys drawn in either way."""
        beside = [self.beside_dict(query, name, keys) for query in paired.QUERIES for keys in paired.DISTRIBUTIONS]
        return max((growth for growth in beside if growth is not None), default=None)


async def run(sizes: Sequence[int], seed: int, budget: Budget, seconds: float, progress: Progress) -> Scale:
    """Time the queries at all sizes, then weigh each variant, at the largest size with traffic of so many seconds.

    Sizes of less than 10,000 are not weighed, unless there is none larger.

    Raises:
        AloneFailedError: a process with a variant did not end well; the message holds what it said.
    """
    queries = await paired.run(sizes, seed, budget, progress)
    weighed = [size for size in sizes if size >= LEAST] or [sizes[-1]]
    footprints = []
    for size in weighed:
        with progress.stage(f"{size:,} alone", len(VARIANTS)) as advance:
            for variant in VARIANTS:
                footprints.append(await alone(variant, size, seed, seconds if size == weighed[-1] else 0))
                advance(1)
    return Scale(queries, footprints)


async def alone(variant: str, size: int, seed: int, seconds: float) -> Footprint:
    """Measure one variant in a process of its own, which ends with this call however that ends."""
    arguments = ["-m", "benchmarks.alone", variant, str(size), str(seed), str(seconds)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=_ROOT, stdout=pipe, stderr=pipe)
    try:
        out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise AloneFailedError(f"{variant}, {size:,} sessions, alone in a process: {errors.decode().strip()}")
    found: dict[str, Any] = json.loads(out)
    return _FOOTPRINT.validate_python(found)
