"""report: calls a progress callback, which may be a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar

T = TypeVar("T")


async def report(progress: Callable[[T], Awaitable[None] | None] | None, done: T) -> None:
    """Call the callback, if there is one, and wait until it has run."""
    result = None if progress is None else progress(done)
    if isawaitable(result):
        await result
