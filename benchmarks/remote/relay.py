"""A relay between a client and its server, which counts round trips: what the client says of itself is not asked."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import NamedTuple, Self

from benchmarks.remote.server import HOST

_CHUNK = 2**16


class Traffic(NamedTuple):
    """What went through, since the relay was opened or between two instants."""

    trips: int
    sent: int
    received: int

    def since(self, before: Traffic) -> Traffic:
        """Return what went through between that instant and this one."""
        return Traffic(*[now - then for now, then in zip(self, before, strict=True)])


class Relay:
    """Listens on a port of its own, and carries every byte to the server's and back.

    A round trip begins with bytes of the client on a connection on which the server had the last word. So commands that
    are sent together are one, however many they are, and so is a long one that comes in pieces.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._trips = self._sent = self._received = 0
        self._open: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server

    @property
    def port(self) -> int:
        """The port that clients are to connect to."""
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    @property
    def traffic(self) -> Traffic:
        """What went through so far."""
        return Traffic(self._trips, self._sent, self._received)

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        if self._open:
            await asyncio.wait(self._open, timeout=5)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self._to)
            await self._exchange(reader, writer, server_reader, server_writer)
        finally:
            self._open.discard(task)

    async def _exchange(
        self, reader: StreamReader, writer: StreamWriter, server_reader: StreamReader, server_writer: StreamWriter
    ) -> None:
        is_asked = False

        async def ask() -> None:
            nonlocal is_asked
            while chunk := await reader.read(_CHUNK):
                self._trips += not is_asked
                self._sent += len(chunk)
                is_asked = True
                server_writer.write(chunk)
                await server_writer.drain()
            server_writer.close()

        async def answer() -> None:
            nonlocal is_asked
            while chunk := await server_reader.read(_CHUNK):
                self._received += len(chunk)
                is_asked = False
                writer.write(chunk)
                await writer.drain()
            writer.close()

        with suppress(ConnectionError):
            await asyncio.gather(ask(), answer())
