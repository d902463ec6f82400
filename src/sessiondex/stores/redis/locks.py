"""Lock sessions across processes: a token on the server, which expires unless its owner renews it."""

from __future__ import annotations

import asyncio
import random
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Generic
from uuid import UUID, uuid4

from sessiondex.contract import S
from sessiondex.errors import StoreClosedError, StoreUnavailableError, TurnTimeoutError
from sessiondex.stores import arguments as check
from sessiondex.stores.loops import log
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.home import RedisHome

CallLockFunction = Callable[[str, str, int], Awaitable[bool]]
"""Calls a function of `lua/locks.lua` with token and milliseconds. Returns whether the token owns or owned the lock."""

POLL_MIN_SECONDS, POLL_MAX_SECONDS = 0.002, 0.05
"""Pauses between two attempts to acquire a lock that another process owns."""
RENEWALS_PER_TTL = 3


class LockLease:
    """One task's lease of a session's lock.

    The lease expires `ttl` milliseconds after its last renewal. Then another process can acquire the lock while this
    task still works. Saves with `expected_revision` stay safe: the server refuses them if the other process has saved.
    """

    def __init__(self, call: CallLockFunction, ttl: int) -> None:
        self._call = call
        self._ttl = ttl
        self._token = uuid4().hex
        self._request: asyncio.Future[bool] | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def acquire(self, timeout: float | None) -> None:  # noqa: ASYNC109  # excludes the first round trip
        """Acquire the lock, and renew it in the background until `release`.

        `timeout` bounds the wait for other owners, in seconds. A free lock is acquired however slow the server is.

        Raises:
            TimeoutError: another process kept the lock for longer than `timeout`.
        """
        pause = POLL_MIN_SECONDS
        is_owner = await self._ask("acquire_lock")
        async with asyncio.timeout(timeout):
            while not is_owner:
                await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311  # no secret
                pause = min(2 * pause, POLL_MAX_SECONDS)
                is_owner = await self._ask("acquire_lock")
        self._renewal = asyncio.create_task(self._renew(), name="sessiondex lock renewal")

    async def _ask(self, function: str) -> bool:
        # Shielded: after a cancellation `release` must know whether the lock was acquired.
        self._request = asyncio.ensure_future(self._call(function, self._token, self._ttl))
        return await asyncio.shield(self._request)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 1_000 / RENEWALS_PER_TTL)
            try:
                is_owner = await self._ask("renew_lock")
            except StoreUnavailableError as error:
                log.warning("the lock of a session could not be renewed, trying again: %s", error)
                continue
            if not is_owner:
                log.warning("the lock of a session expired, and another process has it; save with expected_revision")
                return

    async def release(self) -> None:
        """Release the lock, also if it is unknown whether it was acquired. Errors are logged: the lock expires."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        if self._request is not None:
            await asyncio.wait([self._request])
            self._request.exception()  # retrieved, so that asyncio does not log it
        try:
            await self._call("release_lock", self._token, 0)
        except StoreUnavailableError as error:
            log.warning("the lock of a session could not be released; it expires within %d ms: %s", self._ttl, error)


class RedisLocks(RedisHome[S], Generic[S]):
    """Implements `exclusive`: first a lock of this process, which is fair, then the lock on the server."""

    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        session_id = check.exact_id("session_id", session_id)
        check.seconds("timeout", timeout)
        return self._exclusive(session_id, timeout)

    @asynccontextmanager
    async def _exclusive(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # it covers the wait alone
        self._check_loop()
        turns, key, loop = self._turns, session_id.bytes, get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        lease = LockLease(partial(self._call_lock_function, keys.lock(self._prefix, session_id)), self._turn_ttl)
        try:
            await turns.take(key, timeout)
            try:
                await lease.acquire(None if deadline is None else max(deadline - loop.time(), 0.001))
            except BaseException:
                turns.pass_on(key)
                self._spawn(lease.release())
                raise
        except TimeoutError as error:
            if isinstance(error, StoreUnavailableError):
                raise
            raise TurnTimeoutError(session_id, timeout or 0) from None
        try:
            yield
        finally:
            releasing = self._spawn(lease.release())
            try:
                await asyncio.shield(releasing)
            finally:
                turns.pass_on(key)

    async def _call_lock_function(self, key: bytes, function: str, token: str, ttl: int) -> bool:
        client = self._client
        if self._is_closed and function == "acquire_lock":
            raise StoreClosedError
        _, is_owner = await client.call(function, [key], "", "", token, ttl)
        return bool(is_owner)
