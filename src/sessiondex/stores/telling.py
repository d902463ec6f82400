"""Telling `on_evict` what was evicted."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from inspect import isawaitable
from time import perf_counter
from typing import Any, Generic

from sessiondex.contract import EvictionReason, S
from sessiondex.stores.eviction import OnEvict
from sessiondex.stores.loops import LoopBound, log

_SLICE = 0.002  # seconds of telling between two turns of the loop, if no session takes longer


class Telling(LoopBound, Generic[S]):
    """Tells `on_evict` all that was evicted, in a task of its own: no write waits for it, and no call is nested."""

    def __init__(self, on_evict: OnEvict | None) -> None:
        super().__init__()
        self._on_evict = on_evict
        self._evicted: deque[tuple[Any, EvictionReason]] = deque()
        """Of whom it is still to be told."""
        self._teller: asyncio.Task[None] | None = None

    def _move_to_this_loop(self) -> None:
        super()._move_to_this_loop()
        if self._evicted:  # some of it by a loop that ended before all was told
            self._tell_soon()

    @abstractmethod
    def _opened(self, image: Any) -> S:
        """Return a session like the image that is the caller's own."""

    def _tell_soon(self) -> None:
        if self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._tell(), name="sessiondex on_evict")

    async def _tell(self) -> None:
        """Tell of all. Errors of `on_evict` are its own.

        What is being told when the task is cancelled, since its loop ends, is told again.
        """
        on_evict, deadline = self._on_evict, perf_counter() + _SLICE
        while self._evicted and on_evict is not None:
            image, reason = evicted = self._evicted.popleft()
            try:
                telling = on_evict(self._opened(image), reason)
                if isawaitable(telling):
                    await telling
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    self._evicted.appendleft(evicted)
                    raise
                log.exception("on_evict was cancelled within; the session is evicted all the same")
            except Exception:  # noqa: BLE001  # whatever it is, it is the user's
                log.exception("on_evict raised an error; the session is evicted all the same")
            if perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = perf_counter() + _SLICE

    async def _all_told(self) -> None:
        """Wait until all is told, unless this is called by what is told."""
        if self._evicted:
            self._tell_soon()
        teller = self._teller
        if teller is not None and not teller.done() and teller is not asyncio.current_task():
            await asyncio.wait([teller])
