"""Wait for conditions that set no event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop run until the condition holds, which it must within ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0.001)


async def until_told(store: Any) -> None:
    """Wait until `on_evict` was told all that was evicted."""
    while store._teller is not None and not store._teller.done():
        await asyncio.wait([store._teller])
    assert not store._evicted
