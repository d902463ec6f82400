"""ChangeFeed: the latest changes of a store, in commit order. ChangeReader: reads them from a position on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from sessiondex.changes import Change
from sessiondex.clock import to_datetime
from sessiondex.errors import ChangesLostError
from sessiondex.stores.commit import Commit


class ChangeFeed:
    """Keeps the last `max_changes` changes. A commit listener.

    It is subscribed to commits when changes are first asked for, so that a store without readers keeps none. Readers
    keep their own position; the feed knows only readers that wait.
    """

    def __init__(self, max_changes: int, last_sequence: int) -> None:
        self._changes: deque[Change] = deque(maxlen=max_changes)
        self._last_sequence = last_sequence
        self._waiters: set[asyncio.Future[None]] = set()
        self._is_closed = False

    @property
    def last_sequence(self) -> int:
        """The sequence of the last change; 0 before the first."""
        return self._last_sequence

    @property
    def is_closed(self) -> bool:
        """Whether no change will follow."""
        return self._is_closed

    def __len__(self) -> int:
        """Return how many changes are kept."""
        return len(self._changes)

    def on_commit(self, commit: Commit[Any]) -> None:
        """Keep the changes of the commit and wake the readers that wait. Cost: O(its mutations)."""
        for sequence, mutation in enumerate(commit.mutations, commit.sequence):
            last_kept = self._changes[-1].sequence if self._changes else 0
            if sequence > max(self._last_sequence, last_kept):
                self._changes.append(
                    Change(
                        sequence=sequence,
                        kind=mutation.kind,
                        tenant_id=mutation.tenant_id,
                        session_id=mutation.session_id,
                        revision=mutation.revision,
                        stamp=to_datetime(mutation.stamp),
                    )
                )
            self._last_sequence = max(self._last_sequence, sequence)
        self._wake()

    def after(self, sequence: int) -> Change | None:
        """Return the change after that one, or `None` if there is none yet.

        Raises:
            ChangesLostError: it is no longer kept, or `sequence` is of the future.
        """
        self.check(sequence)
        return None if sequence == self._last_sequence else self._changes[sequence - self._last_sequence]

    def check(self, sequence: int) -> None:
        """Raise `ChangesLostError` unless all changes after that one are kept, and that one was committed."""
        oldest = self._last_sequence - len(self._changes) + 1
        if not oldest - 1 <= sequence <= self._last_sequence:
            raise ChangesLostError(sequence, oldest)

    async def wait(self) -> None:
        """Wait for the next change, or until the feed is closed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def close(self) -> None:
        """End all readers, each after the last change that is kept."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        for waiter in tuple(self._waiters):
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)
            self._waiters.discard(waiter)


class ChangeReader(AsyncIterator[Change]):
    """Reads a feed from a position on; a cancelled wait loses no change.

    `enter` admits the running loop, see `LoopGuard`. It must let a reader of a closed store continue, until the feed is
    closed too and what is left has been read.
    """

    def __init__(self, feed: ChangeFeed, after_sequence: int, enter: Callable[[], None]) -> None:
        feed.check(after_sequence)
        self._feed = feed
        self._position = after_sequence
        self._enter = enter
        self._is_closed = False

    def __aiter__(self) -> ChangeReader:
        return self

    async def __anext__(self) -> Change:
        feed = self._feed
        while not self._is_closed:
            self._enter()
            change = feed.after(self._position)
            if change is not None:
                self._position = change.sequence
                return change
            if feed.is_closed:
                break
            await feed.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration, as `contextlib.aclosing` does. Readers that are dropped instead cost nothing."""
        self._is_closed = True
