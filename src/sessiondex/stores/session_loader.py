"""SessionLoader: makes sessions of what a backend found, and lets other tasks run in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Generic

from sessiondex.errors import UnreadableSessionError
from sessiondex.models import Session
from sessiondex.queries import ListQuery, Page
from sessiondex.reading import S
from sessiondex.stores.backend import Backend, P, R
from sessiondex.stores.slices import Slices
from sessiondex.stores.unreadable import MIN_PAGE_SIZE, UnreadableSessions


class SessionLoader(Generic[R, P, S]):
    """Makes sessions of what was found at one instant. `enter` admits the running loop after each pause."""

    def __init__(self, backend: Backend[R, P, S], unreadable: UnreadableSessions, enter: Callable[[], None]) -> None:
        self._backend = backend
        self._unreadable = unreadable
        self._enter = enter

    async def newest(self, query: ListQuery, page: Page, cutoff: Callable[[], int | None]) -> list[S]:
        """Return a page of sessions, as many as it asks for if some are skipped."""
        found = self._backend.newest(query, page, cutoff())
        sessions, size = await self.readable(found), page.limit
        while len(sessions) < page.limit and len(found) == size:  # some were skipped, and there may be more
            size = max(page.limit, MIN_PAGE_SIZE)
            further = Page(size, self._backend.place_of(found[-1]).stamp, page.after)
            found = self._backend.newest(query, further, cutoff())
            sessions += await self.readable(found)
        return sessions[: page.limit]

    async def readable(self, found: Sequence[R]) -> list[S]:
        """Return the sessions, without those that are skipped."""
        return [session for session in await self.load(found) if session is not None]

    async def load(self, found: Sequence[R]) -> list[S | None]:
        """Return the sessions, `None` in the place of each that is skipped."""
        to_session, slices = self._backend.to_session, Slices(self._enter)
        classes = set[type[Session]]()
        sessions: list[S | None] = []
        for stored in found:
            if perf_counter() > slices.deadline:
                # Kept alive: while other tasks run, the sessions and the last reference to their class may go.
                classes = classes or set(map(self._backend.class_of, found))
                await slices.pause()
            try:
                sessions.append(to_session(stored))
            except UnreadableSessionError as error:
                self._unreadable.skip_or_raise(error)
                sessions.append(None)
        return sessions
