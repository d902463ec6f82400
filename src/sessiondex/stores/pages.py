"""iterate_pages: reads a long list page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from sessiondex.clock import to_microseconds
from sessiondex.queries import Page
from sessiondex.reading import S


async def iterate_pages(read_page: Callable[[int | None], Awaitable[list[S]]], first: Page) -> AsyncIterator[S]:
    """Yield the sessions of all pages from the first on, newest first.

    `read_page` returns up to `first.limit` sessions with stamps before the one given, in microseconds.
    """
    before = first.before
    while True:
        sessions = await read_page(before)
        if sessions:  # read now: the caller may save the last session, which gives it another stamp
            before = to_microseconds(sessions[-1].last_activity_at)
        for session in sessions:
            yield session
        if len(sessions) < first.limit:
            return
        await asyncio.sleep(0)  # reading a short page never pauses
