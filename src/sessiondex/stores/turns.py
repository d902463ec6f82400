"""Turns: one task at a time, first come first served."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sessiondex.errors import ReentryError, StoreClosedError


@dataclass(slots=True)
class _Queue:
    """Whose turn it is, and who comes next."""

    holder: asyncio.Task[Any] | None
    # An ordered dict, from which many that give up are taken in no time.
    waiting: OrderedDict[asyncio.Future[None], asyncio.Task[Any] | None] = field(default_factory=OrderedDict)


class Turns:
    """Lets one task at a time have the turn of each key.

    Keeps nothing of keys that nobody has the turn of. Keys are bytes, whose hash is salted.

    >>> async def main():
    ...     turns = Turns()
    ...     async with turns.turn(b"key"):
    ...         pass
    ...     return len(turns)
    >>> asyncio.run(main())
    0
    """

    def __init__(self) -> None:
        self._queues: dict[bytes, _Queue] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """Return of how many keys somebody has the turn."""
        return len(self._queues)

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[None]:
        """Wait until it is this task's turn, and have it while this is open. Raises what `take` does."""
        await self.take(key)
        try:
            yield
        finally:
            self.pass_on(key)

    async def take(self, key: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # it covers the wait alone
        """Wait until it is this task's turn, for up to so many seconds.

        Raises:
            ReentryError: this task has the turn.
            StoreClosedError: `close` was called before the turn came.
            TimeoutError: it did not come in time.
        """
        if self._is_closed:
            raise StoreClosedError
        task = asyncio.current_task()
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = _Queue(task)
            return
        if queue.holder is task:
            raise ReentryError
        turn = asyncio.get_running_loop().create_future()
        queue.waiting[turn] = task
        try:
            async with asyncio.timeout(timeout):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.pass_on(key)  # it came, and the cancellation with it
            else:
                queue.waiting.pop(turn, None)  # it is not there if the turn was passed on past it, or the store closed
            raise

    def pass_on(self, key: bytes) -> None:
        """Let the next have the turn, of those who wait for it."""
        try:
            self._pass_on(key)
        except BaseException:  # it was interrupted, and nobody else would do the rest
            self._pass_on(key)
            raise

    def _pass_on(self, key: bytes) -> None:
        queue = self._queues.get(key)
        while queue is not None and queue.waiting:
            turn = next(iter(queue.waiting))
            is_passed = turn.done() and not turn.cancelled()  # before it was interrupted
            if not turn.done():
                queue.holder = queue.waiting[turn]
                turn.set_result(None)
                is_passed = True
            queue.waiting.pop(turn, None)
            if is_passed:
                return
        self._queues.pop(key, None)

    def close(self) -> None:
        """Let nobody wait any longer. Who has a turn keeps it."""
        self._is_closed = True
        for queue in self._queues.values():
            for turn in tuple(queue.waiting):
                if not turn.done():
                    turn.set_exception(StoreClosedError())
