"""From which loop a store is used, what runs in its background, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from inspect import isawaitable
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, Self
from uuid import UUID
from weakref import WeakSet

from sessiondex.contract import Change, S
from sessiondex.errors import ForkedStoreError, StoreClosedError, TurnTimeoutError, WrongLoopError
from sessiondex.stores import arguments as check
from sessiondex.stores.commits import Commits
from sessiondex.stores.eviction import Eviction
from sessiondex.stores.feed import Reader
from sessiondex.stores.turns import Turns

_log = logging.getLogger("sessiondex")

_SWEPT = 20  # sessions evicted between two turns of the loop: about a millisecond
_SLICE = 0.002  # seconds of telling between two turns of the loop, if no session takes longer
_SWEEP_EVERY = 1.0  # seconds, or sooner if sessions expire sooner

# Held while a store goes from one loop to another, never while it works.
_handover = threading.Lock()

_used: WeakSet[LifeCycle[Any]] = WeakSet()


def _forked() -> None:
    global _handover  # noqa: PLW0603  # another thread may have held it, and there is none now to release it
    _handover = threading.Lock()
    for store in _used:
        store._is_forked, store._loop = True, None  # noqa: SLF001  # of this module's own class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class LifeCycle(Commits[S], Generic[S]):
    """Belongs to one running loop at a time, sweeps in the background while it is open, and can be closed (law 12)."""

    def __init__(
        self, clock: Callable[[], datetime], eviction: Eviction, changes_kept: int, *, debug: bool = False
    ) -> None:
        super().__init__(clock, eviction, changes_kept, debug=debug)
        self._owner: asyncio.AbstractEventLoop | None = None
        """The loop that the store belongs to."""
        self._is_closed = self._is_forked = False
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None
        # Bound to the loop, once anyone had to wait for them.
        self._lock = asyncio.Lock()
        self._turns, self._creations = Turns(), Turns()

    # Every method looks whether the loop is the one of last time, and comes here if it is not: which costs no call.
    def _move_to_this_loop(self) -> None:
        loop = get_running_loop()
        with _handover:
            if self._is_closed:
                raise StoreClosedError
            if self._is_forked:
                raise ForkedStoreError
            if self._owner is not loop:
                if self._owner is not None and self._owner.is_running():
                    raise WrongLoopError
                lock, turns, creations, closing = asyncio.Lock(), Turns(), Turns(), asyncio.Event()
                _used.add(self)
                self._lock, self._turns, self._creations, self._closing = lock, turns, creations, closing
                self._sweeper = self._teller = None
                self._owner = loop  # last: whoever is interrupted before does it all again
            self._settle()
            if self._evicted:  # some of it by a loop that ended before all was told
                self._tell_soon()
            self._loop = loop

    def _settle_here(self) -> None:
        """For what needs no loop: do to its end what was interrupted, unless another thread is at it."""
        if self._intent is not None and (
            self._owner is None or not self._owner.is_running() or _runs_here(self._owner)
        ):
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

    def changes(self, *, since: int | None = None) -> AsyncIterator[Change[S]]:
        if self._is_closed:
            raise StoreClosedError
        self._settle_here()
        last = self._feed.sequence
        if since is not None:
            check.at_least("since", since, 0, "0 follows from the first change on")
        reader = Reader(self._feed, last if since is None else since, self._opened, self._check_loop)
        self._feed.is_on = True
        return reader

    def _check_loop(self) -> None:
        # Once the store is closed, what is left may be read to the end.
        if not self._is_closed and get_running_loop() is not self._loop:
            self._move_to_this_loop()

    # -- open and closed --

    async def __aenter__(self) -> Self:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if self._eviction.idle_ttl is not None and self._sweeper is None:
            pause = min(_SWEEP_EVERY, self._eviction.idle_ttl.total_seconds())
            sweeping = self._sweep_until_closed(self._lock, self._closing, pause)
            self._sweeper = asyncio.create_task(sweeping, name="sessiondex sweeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if not self._is_closed:
            if get_running_loop() is not self._loop:
                self._move_to_this_loop()
            self._is_closed, self._loop, self._owner = True, None, None
        # Each step may be done again: the first call may have been interrupted, or may be under way.
        self._turns.close()
        self._creations.close()
        self._feed.close()
        self._closing.set()
        if self._sweeper is not None and not self._sweeper.done():
            await asyncio.wait([self._sweeper])
        if self._evicted:
            self._tell_soon()
        teller = self._teller
        if teller is not None and not teller.done() and teller is not asyncio.current_task():  # where `on_evict` runs
            await asyncio.wait([teller])

    async def health_check(self) -> bool:
        if self._is_closed:
            return False
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        return self._sweeper is None or not self._sweeper.done()

    # -- sweeping --

    async def _sweep(self) -> None:
        """Evict all that have expired, a few at a time. When this returns, none is left."""
        lock, is_swept = self._lock, False
        while not is_swept:
            async with lock:
                self._check_is_ours(lock)
                is_swept = not self._evict_idle(_SWEPT, self._since())
            if not is_swept:
                await asyncio.sleep(0)

    async def _sweep_if_needed(self) -> None:
        if self._eviction.idle_ttl is not None:
            await self._sweep()

    async def _sweep_until_closed(self, lock: asyncio.Lock, closing: asyncio.Event, pause: float) -> None:
        while not closing.is_set():
            try:
                async with lock:
                    self._check_is_ours(lock)
                    is_swept = not self._evict_idle(_SWEPT, self._since())
            except (StoreClosedError, WrongLoopError):
                return
            except Exception:  # noqa: BLE001  # of the clock, which is the user's: it may be well the next time
                _log.exception("sweeping idle sessions failed; it is tried again")
                is_swept = True
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if is_swept else 0):
                    await closing.wait()

    # -- telling what was evicted --

    def _tell_soon(self) -> None:
        if self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._tell(), name="sessiondex on_evict")

    async def _tell(self) -> None:
        """Tell `on_evict` all that was evicted, in a task of its own: no write waits for it, and no call is nested.

        Its errors are its own. What is being told when the task is cancelled, since its loop ends, is told again.
        """
        on_evict, deadline = self._eviction.on_evict, perf_counter() + _SLICE
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
                _log.exception("on_evict was cancelled within; the session is evicted all the same")
            except Exception:  # noqa: BLE001  # whatever it is, it is the user's
                _log.exception("on_evict raised an error; the session is evicted all the same")
            if perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = perf_counter() + _SLICE


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return get_running_loop() is loop
    except RuntimeError:
        return False
