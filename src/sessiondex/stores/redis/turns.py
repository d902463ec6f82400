"""Turns across processes: a token on the server that runs out unless it is renewed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import uuid4

from sessiondex.errors import StoreUnavailableError
from sessiondex.stores.loops import log

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
