"""From which loop a store is used, what runs in its background, and how it ends."""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Generic, Self
from uuid import UUID

from sessiondex.contract import Change, S
from sessiondex.errors import StoreClosedError, TurnTimeoutError, WrongLoopError
from sessiondex.stores import arguments as check
from sessiondex.stores.commits import Commits
from sessiondex.stores.eviction import SWEEP_EVERY, Eviction
from sessiondex.stores.feed import Reader
from sessiondex.stores.loops import repeat_until
from sessiondex.stores.turns import Turns

_SWEPT = 20  # sessions evicted between two turns of the loop: about a millisecond


class LifeCycle(Commits[S], Generic[S]):
    """Sweeps in the background while it is open, and can be closed."""

    def __init__(
        self, clock: Callable[[], datetime], eviction: Eviction, changes_kept: int, *, debug: bool = False
    ) -> None:
        super().__init__(clock, eviction, changes_kept, debug=debug)
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        # Bound to the loop, once anyone had to wait for them.
        self._lock = asyncio.Lock()
        self._turns, self._creations = Turns(), Turns()

    def _begin_in_this_loop(self) -> None:
        lock, turns, creations, closing = asyncio.Lock(), Turns(), Turns(), asyncio.Event()
        self._lock, self._turns, self._creations, self._closing = lock, turns, creations, closing
        self._sweeper = self._teller = None

    def _go_on(self) -> None:
        self._settle()

    def _settle_here(self) -> None:
        """For what needs no loop: do to its end what was interrupted, unless another thread is at it."""
        if self._is_interrupted and (self._owner is None or not self._owner.is_running() or _runs_here(self._owner)):
            self._settle()

    def _check_is_ours(self, lock: asyncio.Lock) -> None:
        """Raise unless the lock that was waited for is still the store's."""
        if self._is_closed:
            raise StoreClosedError
        if lock is not self._lock:  # this loop stood still, and meanwhile the store went over to another
            raise WrongLoopError
        if self._loop is None:  # who had the lock before was interrupted
            self._move_to_this_loop()

    # -- one turn at a time, and the change feed --

    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        session_id = check.exact_id("session_id", session_id)
        check.seconds("timeout", timeout)
        return self._exclusive(session_id, timeout)

    @asynccontextmanager
    async def _exclusive(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # it covers the wait alone
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        turns, key = self._turns, session_id.bytes
        try:
            await turns.take(key, timeout)
        except TimeoutError:
            raise TurnTimeoutError(session_id, timeout or 0) from None
        try:
            yield
        finally:
            turns.pass_on(key)

    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        if self._is_closed:
            raise StoreClosedError
        self._settle_here()
        last = self._feed.sequence
        if since is not None:
            since = check.at_least("since", since, 0, "0 follows from the first change on")
        reader = Reader(self._feed, last if since is None else since, self._check_loop_of_reader)
        self._feed.is_on = True
        return reader

    def _check_loop_of_reader(self) -> None:
        # Once the store is closed, what is left may be read to the end.
        if not self._is_closed and get_running_loop() is not self._loop:
            self._move_to_this_loop()

    # -- open and closed --

    async def __aenter__(self) -> Self:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if self._eviction.idle_ttl is not None and self._sweeper is None:
            pause = min(SWEEP_EVERY, self._eviction.idle_ttl.total_seconds())
            sweeping = repeat_until(self._closing, pause, partial(self._sweep_some, self._lock))
            self._sweeper = asyncio.create_task(sweeping, name="sessiondex sweeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if not self._leave_loop():
            return
        # Each step may be done again: the first call may have been interrupted, or may be under way.
        self._turns.close()
        self._creations.close()
        self._feed.close()
        self._closing.set()
        if self._sweeper is not None and not self._sweeper.done():
            await asyncio.wait([self._sweeper])
        await self._all_told()

    async def health_check(self) -> bool:
        if self._is_closed:
            return False
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        return self._sweeper is None or not self._sweeper.done()

    # -- sweeping --

    async def _sweep(self) -> None:
        """Evict all that have expired, a few at a time. When this returns, none is left."""
        lock, is_more = self._lock, True
        while is_more:
            is_more = await self._sweep_some(lock)
            if is_more:
                await asyncio.sleep(0)

    async def _sweep_some(self, lock: asyncio.Lock) -> bool:
        """Evict a few of those that have expired, and return whether there may be more."""
        async with lock:
            self._check_is_ours(lock)
            return self._evict_idle(_SWEPT, self._since())

    async def _sweep_if_needed(self) -> None:
        if self._eviction.idle_ttl is not None:
            await self._sweep()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return get_running_loop() is loop
    except RuntimeError:
        return False
