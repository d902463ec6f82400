"""Cancel an operation at each of its suspension points.

A coroutine can be cancelled only where it yields to the loop, so trying each of these places tries all. There are four
ways at each place. The cancellation comes as soon as the coroutine waits, or when its result is ready and the loop is
about to wake it. And it comes once, or a second time at the next suspension during the clean-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class CancelPoint(NamedTuple):
    """Where and how an operation is cancelled: at its suspension number `at`, counted from 0."""

    at: int
    as_it_wakes: bool = False
    is_twice: bool = False


class CancelledRun(Generic[T]):
    """Runs a coroutine in the task that awaits this object, and cancels that task at the cut.

    The coroutine must be awaited here first. After its end, `is_cut` is true if it reached the cut.
    `waits_on_its_way_out` is true if it yielded to the loop again after that. `waits_for_more_than_a_turn` is true if
    the result that it waited for at either place could have come together with the cancellation.
    """

    def __init__(self, operation: Coroutine[Any, Any, T], cut: CancelPoint | None = None) -> None:
        self.suspensions = 0
        self.is_cut = self.waits_on_its_way_out = self.waits_for_more_than_a_turn = False
        self._operation = operation
        self._places = set() if cut is None else {cut.at, cut.at + cut.is_twice}
        self._as_it_wakes = cut is not None and cut.as_it_wakes

    def __await__(self) -> Generator[Any, Any, T]:
        resume, value = self._operation.send, None
        while True:
            try:
                awaited = resume(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            self.waits_on_its_way_out |= self.is_cut
            if self.suspensions in self._places:
                self.waits_for_more_than_a_turn |= asyncio.isfuture(awaited)
                self._cancel_at(awaited)
            self.suspensions += 1
            try:
                resume, value = self._operation.send, (yield awaited)
            except GeneratorExit:
                self._operation.close()
                raise
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is the operation's
                resume, value = self._operation.throw, error

    def _cancel_at(self, awaited: Any) -> None:
        task = asyncio.current_task()
        assert task is not None

        def cancel(_: Any = None) -> None:
            self.is_cut |= task.cancel()

        if self._as_it_wakes and asyncio.isfuture(awaited):
            awaited.add_done_callback(cancel)  # added before the callback of the task, so it runs first
        else:
            cancel()


def cancel_everywhere(attempt: Callable[[CancelPoint], CancelledRun[Any]]) -> int:
    """Repeat the attempt with every different cut, and return the number of its suspension points."""
    for place in count():
        for as_it_wakes in (False, True):
            cut = CancelPoint(place, as_it_wakes)
            run = attempt(cut)
            if not run.is_cut:
                return place
            is_for_more = run.waits_for_more_than_a_turn
            if run.waits_on_its_way_out:
                is_for_more |= attempt(cut._replace(is_twice=True)).waits_for_more_than_a_turn
            if not is_for_more:
                break
    raise AssertionError


async def ended(
    operation: Coroutine[Any, Any, T], cut: CancelPoint | None = None
) -> tuple[asyncio.Task[T], CancelledRun[T]]:
    """Run the operation in a task with that cut, and return the finished task."""
    run = CancelledRun(operation, cut)

    async def stepping() -> T:
        return await run

    task = asyncio.ensure_future(stepping())
    await asyncio.wait([task])
    return task, run
