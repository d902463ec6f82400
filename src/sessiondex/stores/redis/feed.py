"""Following changes: a stream on the server, which every write of any process adds to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol
from uuid import UUID

from sessiondex.contract import Change, ChangeKind, S
from sessiondex.errors import ChangesLostError

CHANGES_AT_ONCE = 50

Entry = tuple[int, dict[bytes, bytes]]


class Source(Protocol):
    """What a reader needs of its store."""

    def _check_loop_of_reader(self) -> None: ...

    async def _follow(self, reader: Reader[Any]) -> int:
        """Have changes kept, and return the number of the last."""

    async def _read_changes(self, reader: Reader[Any], since: int, block: int | None) -> list[Entry]:
        """Return some changes after that one; wait for the first of them for up to so many milliseconds, if any."""

    async def _last_change(self, reader: Reader[Any]) -> int: ...

    async def _wait_until_closing(self) -> None: ...


class Reader(AsyncIterator[Change[S]], Generic[S]):
    """Reads the changes from one place on, and goes on from there though a wait for the next change was cancelled."""

    def __init__(  # noqa: PLR0917  # the store makes it, in one place
        self,
        source: Source,
        key: bytes,
        since: int | None,
        opened: Callable[[bytes], S],
        wanted: UUID | None,
        block: int,
    ) -> None:
        self.key = key
        """What the keys of the feed begin with."""
        self._source = source
        self._since = since
        self._opened = opened
        self._wanted = wanted
        self._block = block
        self._is_begun = self._is_closed = False
        self._beginning, self._drained = asyncio.Lock(), asyncio.Event()
        self._entries: deque[Entry] = deque()
        self._lost: ChangesLostError | None = None

    def __aiter__(self) -> Reader[S]:
        return self

    async def begin(self) -> None:
        """Take the place from which on it reads."""
        async with self._beginning:
            if self._is_begun:
                return
            last = await self._source._follow(self)  # noqa: SLF001  # it is made for this
            if self._since is None:
                self._since = last
            elif self._since > last:
                raise ChangesLostError(self._since, last + 1)
            self._is_begun = True

    async def __anext__(self) -> Change[S]:
        if self._is_closed:
            raise StopAsyncIteration
        while True:
            self._source._check_loop_of_reader()  # noqa: SLF001
            if not self._entries:
                await self._fetch()
            if not self._entries:
                raise self._lost or StopAsyncIteration
            sequence, fields = self._entries.popleft()
            self._since = sequence
            before, after = fields[b"before"], fields[b"after"]
            change = Change(
                sequence=sequence,
                kind=ChangeKind(fields[b"kind"].decode()),
                before=self._opened(before) if before else None,
                after=self._opened(after) if after else None,
            )
            if self._wanted is None or self._wanted in {_tenant(change.before), _tenant(change.after)}:
                return change

    async def _fetch(self) -> None:
        """Wait until there is something to read, or the store is closed."""
        source = self._source
        while not self._entries and not self._drained.is_set():
            await self.begin()
            reading = asyncio.ensure_future(self._read(self._block))
            closing = asyncio.ensure_future(source._wait_until_closing())  # noqa: SLF001
            try:
                await asyncio.wait([reading, closing], return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and not closing.done():
                    self._entries.extend(reading.result())
            finally:
                for task in (reading, closing):
                    task.cancel()
                await asyncio.wait([reading, closing])
            if closing.done() and not closing.cancelled():
                await self._drained.wait()  # the store reads what there is, to the end

    async def drain(self) -> None:
        """Read what there is, so that it can be given out when there is no server any more."""
        try:
            await self.begin()
            last = self._entries[-1][0] if self._entries else None
            while found := await self._read(None, last):
                self._entries.extend(found)
                last = found[-1][0]
        except ChangesLostError as error:
            self._lost = error  # for whoever goes on reading
        finally:
            self._drained.set()

    async def _read(self, block: int | None, after: int | None = None) -> list[Entry]:
        since = after if after is not None else self._since
        assert since is not None  # it has begun
        found = await self._source._read_changes(self, since, block)  # noqa: SLF001
        if not found:
            last = await self._source._last_change(self)  # noqa: SLF001
            if last != since:  # some came since; or they are gone, or never were
                found = await self._source._read_changes(self, since, None)  # noqa: SLF001
                if not found:
                    raise ChangesLostError(since, last + 1)
        if found and found[0][0] != since + 1:
            raise ChangesLostError(since, found[0][0])
        return found

    async def aclose(self) -> None:
        """End the iteration, as `contextlib.aclosing` does."""
        self._is_closed = True


def _tenant(session: Any) -> UUID | None:
    return None if session is None else session.tenant_id
