"""Turns across processes: a token on the server that runs out unless it is renewed."""

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

Ask = Callable[[str, str, int], Awaitable[bool]]
"""Calls a function of turns, with a token and milliseconds, and returns whether the turn is, or was, this token's."""

_LEAST_PAUSE, _MOST_PAUSE = 0.002, 0.05  # seconds between two looks at a turn that another process has


class RemoteTurn:
    """The turn of one session, as one task has it or waits for it.

    It ends by itself `ttl` milliseconds after the process that has it was last able to renew it: then another may have
    it, while this one still works. What that one saves with the revision that it read is refused if the other has
    saved: so is the turn fenced.
    """

    def __init__(self, ask: Ask, ttl: int) -> None:
        self._ask = ask
        self._ttl = ttl
        self._token = uuid4().hex
        self._taking: asyncio.Future[bool] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, timeout: float | None) -> None:  # noqa: ASYNC109  # it covers the wait alone
        """Wait until it is this one's, for up to so many seconds. Raises `TimeoutError`."""
        pause = _LEAST_PAUSE
        is_ours = await self._taken("take_turn")  # a turn that is free is had, however long the server takes to say so
        async with asyncio.timeout(timeout):
            while not is_ours:
                await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311  # no secret
                pause = min(2 * pause, _MOST_PAUSE)
                is_ours = await self._taken("take_turn")
        self._renewing = asyncio.create_task(self._renew(), name="sessiondex turn")

    async def _taken(self, function: str) -> bool:
        # To the end, though this is cancelled: else it could be taken after it was passed on.
        self._taking = asyncio.ensure_future(self._ask(function, self._token, self._ttl))
        return await asyncio.shield(self._taking)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 3_000)
            try:
                is_ours = await self._taken("keep_turn")  # to the end as well
            except StoreUnavailableError as error:
                log.warning("a turn could not be renewed, it is tried again: %s", error)
                continue
            if not is_ours:
                log.warning("a turn ran out, and another process has it; save with expected_revision to be safe")
                return

    async def pass_on(self) -> None:
        """Let others have it."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        if self._taking is not None:
            await asyncio.wait([self._taking])
            self._taking.exception()  # if it is unknown whether it was taken, it is passed on all the same
        try:
            await self._ask("pass_turn", self._token, 0)
        except StoreUnavailableError as error:
            log.warning("a turn could not be passed on; it ends within %d ms: %s", self._ttl, error)


class RedisTurns(RedisHome[S], Generic[S]):
    """The turns: of this process first, then of all."""

    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        session_id = check.exact_id("session_id", session_id)
        check.seconds("timeout", timeout)
        return self._exclusive(session_id, timeout)

    @asynccontextmanager
    async def _exclusive(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # it covers the wait alone
        self._check_loop()
        turns, key, loop = self._turns, session_id.bytes, get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        remote = RemoteTurn(partial(self._ask_for_turn, keys.turn(self._prefix, session_id)), self._turn_ttl)
        try:
            await turns.take(key, timeout)  # of this process first, in the order in which they came
            try:
                await remote.take(None if deadline is None else max(deadline - loop.time(), 0.001))
            except BaseException:
                turns.pass_on(key)
                self._errand(remote.pass_on())
                raise
        except TimeoutError as error:
            if isinstance(error, StoreUnavailableError):
                raise
            raise TurnTimeoutError(session_id, timeout or 0) from None
        try:
            yield
        finally:
            passing = self._errand(remote.pass_on())
            try:
                await asyncio.shield(passing)
            finally:
                turns.pass_on(key)

    async def _ask_for_turn(self, key: bytes, function: str, token: str, ttl: int) -> bool:
        server = self._server
        if self._is_closed and function == "take_turn":
            raise StoreClosedError
        _, is_ours = await server.call(function, [key], "", "", token, ttl)
        return bool(is_ours)
