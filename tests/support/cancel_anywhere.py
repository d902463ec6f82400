"""Cancel an operation at each of its suspension points.

A coroutine can be cancelled only where it yields to the loop, so to try each of these places is to try all. There are
four ways at each: as soon as it waits, or just as what it waits for has come, when the loop has already set out to wake
it; and once, or again at the next place at which it waits, which is its way out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class CancelPoint(NamedTuple):
    """Where an operation is cancelled: at its suspension number `at`, counted from 0, and how."""

    at: int
    as_it_wakes: bool = False
    is_twice: bool = False


class CancelledRun(Generic[T]):
    """Runs a coroutine in the task that awaits this, and cancels that task as the cut says.

    The coroutine must be awaited here first. Once it has ended, `is_cut` says whether it had come so far,
    `waits_on_its_way_out` whether it yielded to the loop once more after that, and `waits_for_more_than_a_turn` whether
    what it waited for then could have come at the same time as the cancellation, at either place.
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
            awaited.add_done_callback(cancel)  # before the task adds its own, so it is called before it
        else:
            cancel()


def cancel_everywhere(attempt: Callable[[CancelPoint], CancelledRun[Any]]) -> int:
    """Attempt something with every cut that can differ, and return at how many places it yields to the loop."""
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
    """Run the operation in a task, cut as told, and return that task once it is done."""
    run = CancelledRun(operation, cut)

    async def stepping() -> T:
        return await run

    task = asyncio.ensure_future(stepping())
    await asyncio.wait([task])
    return task, run
