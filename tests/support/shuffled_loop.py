"""Provide an event loop that runs ready callbacks in a seeded random order.

asyncio runs callbacks in the order in which they were scheduled, so a test sees only one interleaving of its tasks.
This loop shuffles the callbacks of each round with a seeded generator.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class ShuffledLoop(asyncio.SelectorEventLoop):
    """An event loop that runs ready callbacks in an order given by the seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        super().__init__()

    def _run_once(self) -> None:
        self._rng.shuffle(self._ready)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run_interleaved(main: Coroutine[Any, Any, T], seed: int) -> T:
    """Run the coroutine in a new loop. The same seed repeats a failure."""
    with asyncio.Runner(loop_factory=lambda: ShuffledLoop(seed)) as runner:
        return runner.run(main)
