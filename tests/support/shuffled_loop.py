"""Provide an event loop that runs ready callbacks in a seeded random order.

asyncio runs callbacks in the order in which they were scheduled, so of all the ways in which tasks could interleave a
test sees one, ever the same. Here each round of the loop is shuffled by a seeded generator.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class ShuffledLoop(asyncio.SelectorEventLoop):
    """Runs what is ready in an order that the seed decides."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        super().__init__()

    def _run_once(self) -> None:
        self._rng.shuffle(self._ready)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run_interleaved(main: Coroutine[Any, Any, T], seed: int) -> T:
    """Run the coroutine to its end in a loop of its own. A failure is repeated by the same seed."""
    with asyncio.Runner(loop_factory=lambda: ShuffledLoop(seed)) as runner:
        return runner.run(main)
