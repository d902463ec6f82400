"""Provide event loops with virtual time: when nothing can run, time jumps to the next timer.

A task that sleeps takes no time, and tasks wake in the same order on any machine. Slices end after a count of items. A
test that nothing can wake any more fails at once instead of hanging.
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
    """Every task waits, and nothing is left that could wake one."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is ready in the order in which it became so; its time goes on only when nothing is."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumps(self))

    def time(self) -> float:
        return self.now


class ShuffledVirtualLoop(ShuffledLoop, VirtualLoop):
    """Runs what is ready in an order that the seed decides."""


class _Jumps(selectors.SelectSelector):
    """Jumps over the time for which it should wait. Of files it sees nothing: the tests' loops have none."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._of = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("every task waits, and nothing is left that could wake one")
        self._of.now += timeout
        return []


def run(main: Coroutine[Any, Any, T], make_loop: Callable[[], VirtualLoop] = VirtualLoop) -> T:
    """Run the coroutine in a loop of its own. What the loop would only log, such as a forgotten error, is raised."""
    complaints: list[dict[str, Any]] = []
    with counted_slices(), asyncio.Runner(loop_factory=make_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = runner.run(main)
    assert not complaints, complaints
    return result


def run_shuffled(main: Coroutine[Any, Any, T], seed: int) -> T:
    """Run the coroutine in an order that the seed decides, and so does all that asks `random`."""
    state = random.getstate()
    random.seed(seed)
    try:
        return run(main, lambda: ShuffledVirtualLoop(seed))
    finally:
        random.setstate(state)
