"""LoopGuard: one store, one running event loop at a time, in one process, until it is closed (law 12).

Rules. `enter` returns at once in the loop that entered last. From any other loop it takes the slow path. That raises
if the store is closed, was forked, or belongs to a loop that still runs; else the store moves to the new loop. While a
commit is under way the guard is suspended: then `enter` takes the slow path in every loop, and recovers first. So an
interrupted commit is finished before anybody reads.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import get_running_loop
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from sessiondex.errors import ForkedStoreError, StoreClosedError, StoreNotOpenError, WrongLoopError

_handover_lock = threading.Lock()
"""Held while a store moves from one loop to another, never while it works."""

_guards: WeakSet[LoopGuard] = WeakSet()


def _mark_all_forked() -> None:
    global _handover_lock  # noqa: PLW0603  # another thread may have held it, and no thread is left to release it
    _handover_lock = threading.Lock()
    for guard in _guards:
        guard.mark_forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_all_forked)


def _do_nothing() -> None:
    """Stand in for a callback that the owner does not need."""


class LoopGuard:
    """Admits the calls of one running event loop.

    Keeps the loop that may enter, and whether the store is closed. The owner calls `enter` at the beginning of each
    operation and after each wait, and gives two callbacks: `on_new_loop` makes what is bound to a loop anew, and may
    run twice; `recover` finishes an interrupted commit, and does nothing if there is none.

    >>> guard = LoopGuard()
    >>> async def main():
    ...     guard.enter()
    ...     return guard.close(), guard.is_closed
    >>> asyncio.run(main())
    (True, True)
    """

    __slots__ = (
        "__weakref__",
        "_closer",
        "_is_closed",
        "_is_forked",
        "_is_open",
        "_loop",
        "_on_new_loop",
        "_owner",
        "_recover",
        "_suspended_loop",
    )

    def __init__(
        self,
        on_new_loop: Callable[[], None] = _do_nothing,
        recover: Callable[[], None] = _do_nothing,
        *,
        is_open: bool = True,
    ) -> None:
        """With `is_open=False`, the store has to be opened first, see `enter_to_open`."""
        self._on_new_loop = on_new_loop
        self._recover = recover
        self._loop: asyncio.AbstractEventLoop | None = None  # may enter without a further check
        self._suspended_loop: asyncio.AbstractEventLoop | None = None
        self._owner: asyncio.AbstractEventLoop | None = None
        self._is_closed = self._is_forked = False
        self._is_open = is_open
        self._closer: asyncio.Task[Any] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    @property
    def is_open(self) -> bool:
        """Whether the store needs no opening, or was opened."""
        return self._is_open

    def enter_to_open(self) -> None:
        """Admit the running loop before the store is open. Raises as `enter` does otherwise."""
        self._bind(is_opening=True)

    def set_open(self) -> None:
        """Let `enter` admit the loop: the store is open now."""
        self._is_open = True

    def enter(self) -> None:
        """Admit the running loop, or raise. Cost: 30 ns in the loop that entered last.

        Raises:
            StoreClosedError: `close` was called.
            StoreNotOpenError: the store was not opened yet.
            ForkedStoreError: the store was made before the process was forked.
            WrongLoopError: another running loop uses the store.
        """
        if get_running_loop() is not self._loop:
            self._bind()

    def enter_unless_closed(self) -> None:
        """Admit the running loop, or do nothing after `close`: what is left may be read to the end."""
        if not self._is_closed:
            self.enter()

    def enter_without_loop(self) -> None:
        """Admit a call that needs no running loop, or raise.

        Raises:
            StoreClosedError: `close` was called.
            ForkedStoreError: the store was made before the process was forked.
            StoreNotOpenError: the store was not opened yet.
        """
        if self._is_closed:
            raise StoreClosedError
        if self._is_forked:
            raise ForkedStoreError
        if not self._is_open:
            raise StoreNotOpenError

    def recover_if_idle(self) -> None:
        """Finish an interrupted commit, unless the owner runs in another thread, which then does it."""
        if self._owner is None or not self._owner.is_running() or _is_running_here(self._owner):
            self._recover()

    def _bind(self, *, is_opening: bool = False) -> None:
        loop = get_running_loop()
        with _handover_lock:
            if self._is_closed:
                raise StoreClosedError
            if self._is_forked:
                raise ForkedStoreError
            if not self._is_open and not is_opening:
                raise StoreNotOpenError
            if self._owner is not loop:
                if self._owner is not None and self._owner.is_running():
                    raise WrongLoopError
                _guards.add(self)
                self._on_new_loop()
                self._owner = loop  # assigned last: an interrupted move starts over
        self._recover()
        if self._is_open:
            self._loop = loop

    def suspend(self) -> None:
        """Make every `enter` recover first, until `resume` is called."""
        self._suspended_loop, self._loop = self._loop, None

    def resume(self) -> None:
        """Admit the loop again that could enter before `suspend`."""
        self._loop = self._suspended_loop

    def mark_forked(self) -> None:
        """Refuse all further calls: the store was copied into a child process."""
        self._is_forked, self._loop = True, None

    def close(self) -> bool:
        """Refuse all further calls. Return whether the caller is to release what the store holds.

        That is the first task to close; another one only if the first was interrupted. A second task does not wait for
        the first, since the first may wait for the second: a callback of the store may close it.
        """
        task, loop = asyncio.current_task(), get_running_loop()
        if not self._is_closed:
            self._bind(is_opening=True)
            self._closer = task
            self._is_closed, self._loop = True, None
        elif self._owner is not None and self._owner is not loop and not self._owner.is_running():
            self._on_new_loop()  # the loop in which it was interrupted has ended
            self._owner = loop
        return self._closer is None or self._closer is task or self._closer.done()


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return get_running_loop() is loop
    except RuntimeError:
        return False
