"""sweep: evicts expired sessions in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sessiondex.errors import StoreClosedError, WrongLoopError

log: logging.Logger = logging.getLogger("sessiondex")


async def sweep(evict_some: Callable[[], Awaitable[bool]], closing: asyncio.Event, interval_seconds: float) -> None:
    """Evict expired sessions at intervals, until the store is closed or moves to another loop.

    `evict_some` evicts for a slice of time, and returns whether there may be more.
    """
    while not closing.is_set():
        try:
            has_more = await evict_some()
        except (StoreClosedError, WrongLoopError):
            return
        except Exception:  # of the clock, which is the user's
            log.exception("evicting expired sessions failed; the store tries again")
            has_more = False
        with suppress(TimeoutError):
            async with asyncio.timeout(0 if has_more else interval_seconds):
                await closing.wait()
