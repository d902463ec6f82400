"""Provide event loops with virtual time: when no callback is ready, the time jumps to the next timer.

Sleeping takes no real time, and the order of timers does not depend on the machine. Slices end after a count of items.
A test in which no event can wake a task fails at once instead of hanging.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support.shuffled_loop import ShuffledLoop
from tests.support.slice_time import counted_slices

T = TypeVar("T")


class StuckError(AssertionError):
    """Raised if every task waits and no event can wake one."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time, which advances only when no callback is ready."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumps(self))

    def time(self) -> float:
        return self.now


class ShuffledVirtualLoop(ShuffledLoop, VirtualLoop):
    """A loop with virtual time that runs ready callbacks in an order given by the seed."""


class _Jumps(selectors.SelectSelector):
    """A selector that advances the time instead of waiting. It watches no files: the tests' loops have none."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._of = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("every task waits, and nothing is left that could wake one")
        self._of.now += timeout
        return []


def run(main: Coroutine[Any, Any, T], make_loop: Callable[[], VirtualLoop] = VirtualLoop) -> T:
    """Run the coroutine in a new loop, and raise errors that the loop would only log."""
    complaints: list[dict[str, Any]] = []
    with counted_slices(), asyncio.Runner(loop_factory=make_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = runner.run(main)
    assert not complaints, complaints
    return result


def run_shuffled(main: Coroutine[Any, Any, T], seed: int) -> T:
    """Run the coroutine in an order given by the seed, which also seeds `random`."""
    state = random.getstate()
    random.seed(seed)
    try:
        return run(main, lambda: ShuffledVirtualLoop(seed))
    finally:
        random.setstate(state)
