"""BackgroundTasks: the tasks of a Redis store that no caller waits for. A store that closes waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from sessiondex.errors import StoreClosedError

log: logging.Logger = logging.getLogger("sessiondex")


class BackgroundTasks:
    """Tasks that no caller waits for. Their errors are logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many tasks are under way."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        """Run the work in a task of its own."""
        task = asyncio.create_task(log_errors(work), name="sessiondex background task")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self) -> None:
        """Wait until no task is left, also of those that begin in the course of this."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in self._tasks:
            task.cancel()


async def log_errors(work: Coroutine[Any, Any, object]) -> None:
    """Run the work. Log its errors, since no caller waits for it."""
    try:
        await work
    except StoreClosedError:
        pass  # background work may be left undone
    except Exception as error:  # noqa: BLE001  # see above
        log.warning("a background task of a store failed: %s: %s", type(error).__name__, error)
