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


async def until_notified(store: Any) -> None:
    """Wait until `on_evict` was called for every evicted session."""
    await store._notifier.drain()
    assert not len(store._notifier)
