"""Wait for conditions that set no event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

HANG_SECONDS = 120.0
"""After this long a test gives up waiting. No verdict depends on it: a busy machine needs a fraction."""


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():  # noqa: ASYNC110  # no event is set when it becomes true
            await asyncio.sleep(0.001)


async def until_told(store: Any) -> None:
    """Wait until `on_evict` was called for every evicted session."""
    while store._teller is not None and not store._teller.done():
        await asyncio.wait([store._teller])
    assert not store._evicted


async def until_background_done(store: Any) -> None:
    """Wait until the background tasks of a Redis store have ended: their errors may cut connections of other calls."""
    while store._background_tasks:
        await asyncio.wait(set(store._background_tasks))
