"""ChangeStream: reads the change feed, a stream on the server, to which every write of any process appends.

A change names a session, and does not contain it. So readers filter by tenant without loading sessions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID
from weakref import WeakSet

from sessiondex.changes import Change, ChangeKind
from sessiondex.clock import to_datetime
from sessiondex.errors import ChangesLostError
from sessiondex.stores.redis.background_tasks import log_errors
from sessiondex.stores.redis.client import RedisClient

READ_BATCH_SIZE = 50  # changes
MAX_BLOCK_MILLISECONDS = 1_000


class ChangeStream:
    """The stream of one feed, from one event loop. `base` begins the feed's keys."""

    def __init__(self, client: RedisClient, base: bytes, capacity: int) -> None:
        self._client = client
        self._keys = [base, base + b"feed", base + b"changes"]
        self._capacity = capacity

    async def follow(self) -> int:
        """Have the server keep changes, and return the sequence of the last one."""
        return int((await self._client.call("follow", self._keys, "", "", self._capacity))[1])

    async def read(self, after_sequence: int, block_milliseconds: int | None = None) -> list[Change]:
        """Return the first changes after that one. If there are none yet, wait for up to `block_milliseconds`."""
        key = self._keys[2]
        blocking = () if block_milliseconds is None else ("BLOCK", block_milliseconds)
        command = ("XREAD", "COUNT", READ_BATCH_SIZE, *blocking, "STREAMS", key, f"{after_sequence}-0")
        found = await self._client.command("changes", *command, key=key, is_blocking=block_milliseconds is not None)
        return [_change(entry_id, fields) for entry_id, fields in found[0][1]] if found else []

    async def last_sequence(self) -> int:
        """Return the sequence of the last change, or 0."""
        key = self._keys[1]
        return int(await self._client.command("changes", "HGET", key, "sequence", key=key) or 0)


def _change(entry_id: bytes, fields: dict[bytes, bytes]) -> Change:
    return Change(
        sequence=int(entry_id.partition(b"-")[0]),
        kind=ChangeKind(fields[b"kind"].decode()),
        tenant_id=UUID(fields[b"tenant"].decode()),
        session_id=UUID(fields[b"id"].decode()),
        revision=int(fields[b"revision"]),
        stamp=to_datetime(int(fields[b"stamp"])),
    )


class ChangeStreamReader(AsyncIterator[Change]):
    """Iterates over the changes of a stream, of one tenant or of all. A cancelled wait loses no change.

    It starts after the change `after_sequence`, or after the last change at the time of `begin`. The caller must call
    `begin` before any write that the reader has to see. `connect` checks the running loop, and returns the stream for
    it. `wait_until_closing` returns when the store closes. `drain` is called then, after which the reader needs no
    server.
    """

    def __init__(
        self,
        connect: Callable[[], ChangeStream],
        after_sequence: int | None,
        tenant_id: UUID | None,
        block_milliseconds: int,
        wait_until_closing: Callable[[], Awaitable[object]],
    ) -> None:
        self.connect = connect
        self._after_sequence = after_sequence
        self._tenant_id = tenant_id
        self._block_milliseconds = min(block_milliseconds, MAX_BLOCK_MILLISECONDS)
        self._wait_until_closing = wait_until_closing
        self._has_begun = self._is_closed = False
        self._begin_lock, self._drained = asyncio.Lock(), asyncio.Event()
        self._buffer: deque[Change] = deque()
        self._lost: ChangesLostError | None = None

    def __aiter__(self) -> ChangeStreamReader:
        return self

    async def begin(self, stream: ChangeStream) -> None:
        """Turn the feed on, and fix the reader's position. Does nothing the second time.

        Raises:
            ChangesLostError: no change has the sequence `after_sequence` yet.
        """
        if not self._has_begun:
            async with self._begin_lock:
                await self._begin_once(stream)

    async def _begin_once(self, stream: ChangeStream) -> None:
        if self._has_begun:  # another task did it while this one waited
            return
        last = await stream.follow()
        if self._after_sequence is None:
            self._after_sequence = last
        elif self._after_sequence > last:
            raise ChangesLostError(self._after_sequence, last + 1)
        self._has_begun = True

    async def __anext__(self) -> Change:
        if self._is_closed:
            raise StopAsyncIteration
        while True:
            # After it was drained, a reader gives out its buffer in any loop.
            stream = None if self._drained.is_set() else self.connect()
            if not self._buffer and stream is not None:
                await self._fetch(stream)
            if not self._buffer:
                raise self._lost or StopAsyncIteration
            change = self._buffer.popleft()
            self._after_sequence = change.sequence
            if self._tenant_id is None or self._tenant_id == change.tenant_id:
                return change

    async def _fetch(self, stream: ChangeStream) -> None:
        """Wait until the buffer has a change, or the store was closed."""
        while not self._buffer and not self._drained.is_set():
            await self.begin(stream)
            reading = asyncio.ensure_future(self._read(stream, self._block_milliseconds))
            closing = asyncio.ensure_future(self._wait_until_closing())
            try:
                await asyncio.wait([reading, closing], return_when=asyncio.FIRST_COMPLETED)
                if reading.done() and not closing.done():
                    self._buffer.extend(reading.result())
            finally:
                for task in (reading, closing):
                    task.cancel()
                await asyncio.wait([reading, closing])
            if closing.done() and not closing.cancelled():
                await self._drained.wait()  # `drain` fills the buffer

    async def drain(self, stream: ChangeStream) -> None:
        """Read all changes that are left into the buffer."""
        try:
            await self.begin(stream)
            last = self._buffer[-1].sequence if self._buffer else None
            while found := await self._read(stream, None, last):
                self._buffer.extend(found)
                last = found[-1].sequence
        except ChangesLostError as error:
            self._lost = error  # raised after the buffer was read
        finally:
            self._drained.set()

    async def _read(
        self, stream: ChangeStream, block_milliseconds: int | None, after_sequence: int | None = None
    ) -> list[Change]:
        """Return the next changes, or nothing if there are none yet. Raises `ChangesLostError` if there is a gap."""
        after = after_sequence if after_sequence is not None else self._after_sequence
        assert after is not None  # `begin` has set it
        found = await stream.read(after, block_milliseconds)
        if not found:
            last = await stream.last_sequence()
            if last != after:  # new changes came in between, or the server has lost changes
                found = await stream.read(after)
                if not found:
                    raise ChangesLostError(after, last + 1)
        if found and found[0].sequence != after + 1:
            raise ChangesLostError(after, found[0].sequence)
        return found

    async def aclose(self) -> None:
        """End the iteration, as `contextlib.aclosing` does."""
        self._is_closed = True


class ChangeReaders:
    """The readers of a store, from one event loop after another. Keeps none alive that has begun."""

    def __init__(self) -> None:
        self._readers: WeakSet[ChangeStreamReader] = WeakSet()
        self._new: list[ChangeStreamReader] = []

    def add(self, reader: ChangeStreamReader) -> None:
        """Have the reader begin before the next call of the store, and drain it when the store closes."""
        self._readers.add(reader)
        self._new.append(reader)

    @property
    def has_new(self) -> bool:
        """Whether a reader has not begun."""
        return bool(self._new)

    async def begin_new(self) -> None:
        """Fix the positions of new readers, before a call that they may have to see."""
        while self._new:
            reader = self._new[0]
            with suppress(ChangesLostError):  # the reader raises it again when it is read
                await reader.begin(reader.connect())
            if reader in self._new:  # a concurrent call may have removed it
                self._new.remove(reader)

    async def drain(self) -> None:
        """Read all changes that are left into the buffers of the readers. Does nothing the second time."""
        await asyncio.gather(*(log_errors(reader.drain(reader.connect())) for reader in list(self._readers)))
        self._readers.clear()
