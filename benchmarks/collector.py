"""How long the garbage collector holds up everything else."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

_FORCED = 5


@dataclass(frozen=True)
class Pauses:
    """The collections of one generation, in milliseconds."""

    generation: int
    count: int
    longest: float
    total: float


class CollectorWatch:
    """Times the collections that happen while it is `watching`."""

    def __init__(self) -> None:
        self._start = 0.0
        self._counts = [0, 0, 0]
        self._longest = [0.0, 0.0, 0.0]
        self._totals = [0.0, 0.0, 0.0]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for as long as this is open."""
        gc.callbacks.append(self._called)
        try:
            yield
        finally:
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._start = perf_counter()
            return
        milliseconds, generation = (perf_counter() - self._start) * 1000, info["generation"]
        self._counts[generation] += 1
        self._totals[generation] += milliseconds
        self._longest[generation] = max(self._longest[generation], milliseconds)

    def pauses(self) -> list[Pauses]:
        """Return the pauses of each generation, the youngest first."""
        return [
            Pauses(generation, count, round(self._longest[generation], 3), round(self._totals[generation], 3))
            for generation, count in enumerate(self._counts)
        ]


def forced_collection() -> float:
    """Return the milliseconds that a full collection takes: the median of a few, after one that is not counted."""
    gc.collect()
    took = []
    for _ in range(_FORCED):
        start = perf_counter()
        gc.collect()
        took.append((perf_counter() - start) * 1000)
    return round(statistics.median(took), 3)
