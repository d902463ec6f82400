"""From which loop a store is used, and what runs in its background."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from sessiondex.errors import ForkedStoreError, StoreClosedError, WrongLoopError

log = logging.getLogger("sessiondex")

# Held while a store goes from one loop to another, never while it works.
_handover = threading.Lock()

_used: WeakSet[LoopBound] = WeakSet()


def _forked() -> None:
    global _handover  # noqa: PLW0603  # another thread may have held it, and there is none now to release it
    _handover = threading.Lock()
    for store in _used:
        store._is_forked, store._loop = True, None  # noqa: SLF001  # of this module's own class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class LoopBound:
    """Belongs to one running loop at a time, until it is closed (law 12)."""

    def __init__(self) -> None:
        self._loop: object = None
        """The loop that may call without a further look."""
        self._owner: asyncio.AbstractEventLoop | None = None
        """The loop that this belongs to."""
        self._is_closed = self._is_forked = False
        self._closer: asyncio.Task[Any] | None = None

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
                _used.add(self)
                self._begin_in_this_loop()
                self._owner = loop  # last: whoever is interrupted before does it all again
        self._go_on()
        self._loop = loop

    def _begin_in_this_loop(self) -> None:
        """Make anew what is bound to a loop, and let go of what was. May be done again."""
        raise NotImplementedError

    def _go_on(self) -> None:
        """Do what was left undone."""

    def _check_loop(self) -> None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()

    def _leave_loop(self) -> bool:
        """Be closed: no loop may call any longer. Return whether this task is to do what belongs to it.

        It is for the first one, and for another if that was interrupted. To wait for the first might be to wait for
        oneself: `on_evict` may close the store, and what closes a store waits for `on_evict`.
        """
        task = asyncio.current_task()
        if not self._is_closed:
            self._check_loop()
            self._closer = task
            self._is_closed, self._loop, self._owner = True, None, None
        return self._closer is None or self._closer is task or self._closer.done()


async def repeat_until(closing: asyncio.Event, pause: float, some: Callable[[], Awaitable[bool]]) -> None:
    """Do some of the work again and again: at once while there is more of it, else after a pause, in seconds."""
    while not closing.is_set():
        try:
            is_more = await some()
        except (StoreClosedError, WrongLoopError):
            return
        except Exception:  # of the clock, which is the user's, or of a server
            log.exception("sweeping idle sessions failed; it is tried again")
            is_more = False
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if is_more else pause):
                await closing.wait()
