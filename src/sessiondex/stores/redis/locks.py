"""RedisLocks: lock sessions across processes by a token on the server, which expires unless its owner renews it."""

from __future__ import annotations

import asyncio
import logging
import random
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

from sessiondex.errors import StoreUnavailableError, TurnTimeoutError
from sessiondex.stores.keyed_locks import KeyedLocks
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.background_tasks import BackgroundTasks
from sessiondex.stores.redis.client import RedisClient

log: logging.Logger = logging.getLogger("sessiondex")

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


class RedisLocks:
    """The locks of sessions, from one event loop: first a lock of this process, which is fair, then one on the server.

    `ttl` is in milliseconds. `check` raises if the store was closed, or moved to another loop.
    """

    def __init__(
        self, client: RedisClient, prefix: str, ttl: int, tasks: BackgroundTasks, check: Callable[[], None]
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._ttl = ttl
        self._tasks = tasks
        self._check = check

    @asynccontextmanager
    async def hold(self, local_locks: KeyedLocks, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # it covers the wait alone
        """Hold both locks within the block, see `SessionStore.exclusive`."""
        key, loop = session_id.bytes, get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        lease = LockLease(partial(self.call, session_id), self._ttl)
        try:
            await local_locks.acquire(key, timeout)
            try:
                await lease.acquire(None if deadline is None else max(deadline - loop.time(), 0.001))
            except BaseException:
                local_locks.release(key)
                self._tasks.spawn(lease.release())
                raise
        except TimeoutError as error:
            if isinstance(error, StoreUnavailableError):
                raise
            raise TurnTimeoutError(session_id, timeout or 0) from None
        try:
            yield
        finally:
            releasing = self._tasks.spawn(lease.release())
            try:
                await asyncio.shield(releasing)
            finally:
                local_locks.release(key)

    async def call(self, session_id: UUID, function: str, token: str, ttl: int) -> bool:
        """Call a function of `lua/locks.lua` for the session's lock, see `CallLockFunction`."""
        if function == "acquire_lock":  # a lock that is held can be renewed and released while the store closes
            self._check()
        _, is_owner = await self._client.call(function, [keys.lock(self._prefix, session_id)], "", "", token, ttl)
        return bool(is_owner)
