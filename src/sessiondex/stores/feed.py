"""The change feed: the last commits of a store, in order, up to a bounded number.

Readers keep their own position. The feed knows only the readers that wait, and only while they wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sessiondex.contract import Change, ChangeKind
from sessiondex.errors import ChangesLostError

Head = tuple[UUID, int, datetime]
"""Tenant, revision and stamp of a session that was saved or removed."""


class Feed:
    """Keeps the last `kept` changes of a store.

    Numbers every change, but keeps none before the first reader: most services never follow changes.
    """

    def __init__(self, kept: int) -> None:
        self.sequence = 0
        """The number of the last change; the first is 1."""
        self.is_on = False
        """True once a reader exists: from then on changes are kept."""
        self._changes: deque[Change] = deque(maxlen=kept)
        self._waiting: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def add(self, kind: ChangeKind, session_id: UUID, head: Head | None) -> None:
        """Number the change, keep it and wake the readers that wait. `head` may be `None` while the feed is off."""
        if self.is_on and head is not None:
            tenant_id, revision, stamp = head
            self._changes.append(Change(self.sequence + 1, kind, tenant_id, session_id, revision, stamp))
            self._wake()
        self.sequence += 1

    def rewind(self, sequence: int) -> None:
        """Remove all changes after that one, so that they can be added again. No reader has seen them."""
        while self._changes and self._changes[-1].sequence > sequence:
            self._changes.pop()
        self.sequence = sequence

    def check(self, since: int) -> None:
        """Raise `ChangesLostError` unless every change after `since` is kept and `since` was reached."""
        oldest = self.sequence - len(self._changes) + 1
        if not oldest - 1 <= since <= self.sequence:
            raise ChangesLostError(since, oldest)

    def after(self, since: int) -> Change | None:
        """Return the change after `since`, or `None` if there is none yet.

        Raises:
            ChangesLostError: it is no longer kept.
        """
        if since == self.sequence:
            return None
        self.check(since)
        return self._changes[since - self.sequence]

    async def wait(self) -> None:
        """Wait for the next change, or for the feed to close."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def close(self) -> None:
        """Close the feed and wake all readers that wait."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        for waiter in tuple(self._waiting):
            if not waiter.done():
                with suppress(RuntimeError):  # the waiter's loop may be closed; that must not fail a write
                    waiter.set_result(None)
            self._waiting.discard(waiter)  # only after it was woken: an interrupted wake-up starts over


class Reader(AsyncIterator[Change]):
    """Iterates over the changes of a feed after `since`.

    A cancelled wait loses nothing: the next call waits for the same change. `check_loop` raises in a wrong loop.
    """

    def __init__(self, feed: Feed, since: int, check_loop: Callable[[], None]) -> None:
        feed.check(since)
        self._feed = feed
        self._since = since
        self._check_loop = check_loop
        self._is_closed = False

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Change:
        if self._is_closed:
            raise StopAsyncIteration
        self._check_loop()
        while (change := self._feed.after(self._since)) is None:
            if self._feed.is_closed:
                raise StopAsyncIteration
            await self._feed.wait()
            self._check_loop()
        self._since = change.sequence
        return change

    async def aclose(self) -> None:
        """End the iteration, as `contextlib.aclosing` does. Optional: the store holds no state of a reader."""
        self._is_closed = True
