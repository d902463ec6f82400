"""KeyedLocks: a first-in, first-out lock for each key."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sessiondex.errors import ReentryError, StoreClosedError, TurnTimeoutError


@dataclass(slots=True)
class _Lock:
    owner: asyncio.Task[Any] | None
    # An ordered dict: many waiters that give up are removed in O(1) each.
    waiters: OrderedDict[asyncio.Future[None], asyncio.Task[Any] | None] = field(default_factory=OrderedDict)


class KeyedLocks:
    """Locks by key, each owned by one task at a time; waiters are served in the order in which they came.

    Keeps nothing of keys that are not locked. The caller releases what it acquired, in the same event loop. Keys are
    bytes, whose hash is salted.

    >>> async def main():
    ...     locks = KeyedLocks()
    ...     async with locks.hold(b"key"):
    ...         return len(locks)
    >>> asyncio.run(main())
    1
    """

    def __init__(self) -> None:
        self._locks: dict[bytes, _Lock] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many keys are locked."""
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, key: bytes) -> AsyncIterator[None]:
        """Hold the lock of the key within the block. Raises as `acquire` does."""
        await self.acquire(key)
        try:
            yield
        finally:
            self.release(key)

    @asynccontextmanager
    async def hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # as in `acquire`
        """Hold the lock of the session within the block. Raises as `SessionStore.exclusive` does."""
        try:
            await self.acquire(session_id.bytes, timeout)
        except TimeoutError:
            raise TurnTimeoutError(session_id, timeout or 0) from None
        try:
            yield
        finally:
            self.release(session_id.bytes)

    async def acquire(self, key: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # it covers the wait alone
        """Wait for the lock of the key, up to `timeout` seconds.

        Raises:
            ReentryError: this task owns it.
            StoreClosedError: `close` was called before it was acquired.
            TimeoutError: it was not acquired in time.
        """
        if self._is_closed:
            raise StoreClosedError
        task = asyncio.current_task()
        lock = self._locks.get(key)
        if lock is None:
            self._locks[key] = _Lock(task)
            return
        if lock.owner is task:
            raise ReentryError
        waiter = asyncio.get_running_loop().create_future()
        lock.waiters[waiter] = task
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(key)  # it was acquired, and cancelled at the same time
            else:
                lock.waiters.pop(waiter, None)
            raise

    def release(self, key: bytes) -> None:
        """Pass the lock on to the first waiter, or unlock the key."""
        try:
            self._release(key)
        except BaseException:  # Ctrl-C: finish, or the waiters would wait for ever
            self._release(key)
            raise

    def _release(self, key: bytes) -> None:
        lock = self._locks.get(key)
        while lock is not None and lock.waiters:
            waiter = next(iter(lock.waiters))
            is_owner = waiter.done() and not waiter.cancelled()  # made so by a release that was interrupted
            if not waiter.done():
                lock.owner = lock.waiters[waiter]
                waiter.set_result(None)
                is_owner = True
            lock.waiters.pop(waiter, None)
            if is_owner:
                return
        self._locks.pop(key, None)

    def close(self) -> None:
        """Fail all waiters with `StoreClosedError`; current owners keep their lock."""
        self._is_closed = True
        for lock in self._locks.values():
            for waiter in tuple(lock.waiters):
                if not waiter.done():
                    waiter.set_exception(StoreClosedError())
