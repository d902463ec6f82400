"""Measure the steps of a query, and provide the locks that a service writes by hand."""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any
from weakref import WeakValueDictionary


async def bytecodes(call: Callable[[], Awaitable[Any]]) -> int:
    """Return the number of Python bytecodes that the call runs: a measure of its work that no noise disturbs."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    if current := inspect.currentframe():
        current.f_trace_opcodes = True  # Python 3.12 looks for it when tracing starts, not later
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        await call()
    finally:
        sys.settrace(before)
    return count


class KeyedLocks:
    """Keeps a lock for each key that a task of this process uses."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, key: str) -> asyncio.Lock:
        """Return the lock of the key, for `async with`."""
        return self._locks.setdefault(key, asyncio.Lock())


async def most_at_once(turn: Callable[[], AbstractAsyncContextManager[Any]]) -> int:
    """Let five tasks ask for a turn at once; return how many had it at the same time."""
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(5)))
    return most
