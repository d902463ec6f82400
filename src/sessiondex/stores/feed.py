"""The change feed: what was committed, in order, as far back as it is kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Generic, NamedTuple

from sessiondex.contract import Change, ChangeKind, S
from sessiondex.errors import ChangesLostError


class _Entry(NamedTuple):
    """A change, its sessions as the store keeps them: what nobody changes, or `None`."""

    sequence: int
    kind: ChangeKind
    before: Any
    after: Any


class Feed:
    """The last changes of a store, `kept` of them.

    Numbers every change, but keeps none until it is first asked for them: most services never do. Whoever reads has a
    place of its own, and nothing here knows of it but while it waits.
    """

    def __init__(self, kept: int) -> None:
        self.sequence = 0
        """The number of the last change; the first is 1."""
        self.is_on = False
        """Whether changes are kept."""
        self._entries: deque[_Entry] = deque(maxlen=kept)
        self._waiting: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def add(self, kind: ChangeKind, before: Any, after: Any) -> None:
        """Number the change, keep it and tell those who wait."""
        if self.is_on:
            self._entries.append(_Entry(self.sequence + 1, kind, before, after))
            self._wake()
        self.sequence += 1

    def rewind(self, sequence: int) -> None:
        """Forget what came after that change, for it to be added again. Nobody can have read it."""
        while self._entries and self._entries[-1].sequence > sequence:
            self._entries.pop()
        self.sequence = sequence

    def check(self, since: int) -> None:
        """Raise `ChangesLostError` unless all changes after that one are kept, and that one has been."""
        oldest = self.sequence - len(self._entries) + 1
        if not oldest - 1 <= since <= self.sequence:
            raise ChangesLostError(since, oldest)

    def after(self, since: int) -> _Entry | None:
        """Return the change after that one, or `None` if there is none yet.

        Raises:
            ChangesLostError: it is no longer kept.
        """
        if since == self.sequence:
            return None
        self.check(since)
        return self._entries[since - self.sequence]

    async def wait(self) -> None:
        """Wait for the next change, or for the end."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def close(self) -> None:
        """Let those who wait know that nothing more will come."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        for waiter in tuple(self._waiting):
            if not waiter.done():
                with suppress(RuntimeError):  # who waits in a loop that was closed must not fail a write
                    waiter.set_result(None)
            self._waiting.discard(waiter)  # once it knows


class Reader(AsyncIterator[Change[S]], Generic[S]):
    """Reads a feed from one place on, and goes on from there though a wait for the next change was cancelled.

    `opened` makes a session to give out of what the store keeps; `check_loop` raises in a wrong loop.
    """

    def __init__(self, feed: Feed, since: int, opened: Callable[[Any], S], check_loop: Callable[[], None]) -> None:
        feed.check(since)
        self._feed = feed
        self._since = since
        self._opened = opened
        self._check_loop = check_loop
        self._is_closed = False

    def __aiter__(self) -> Reader[S]:
        return self

    async def __anext__(self) -> Change[S]:
        if self._is_closed:
            raise StopAsyncIteration
        self._check_loop()
        while (entry := self._feed.after(self._since)) is None:
            if self._feed.is_closed:
                raise StopAsyncIteration
            await self._feed.wait()
            self._check_loop()
        self._since, kind, before, after = entry
        return Change(
            sequence=self._since,
            kind=kind,
            before=None if before is None else self._opened(before),
            after=None if after is None else self._opened(after),
        )

    async def aclose(self) -> None:
        """End the iteration, as `contextlib.aclosing` does. A store keeps nothing of a reader, so none has to."""
        self._is_closed = True
