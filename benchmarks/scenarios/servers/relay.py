"""Relay bytes between a client and its server, and count the round trips from outside."""

import asyncio
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from typing import NamedTuple, Self

from benchmarks.scenarios.servers.server import HOST

_CHUNK_BYTES = 2**16
_CLOSE_SECONDS = 5


class Relayed(NamedTuple):
    """Round trips and bytes that went through the relay."""

    trips: int
    sent: int
    received: int

    def since(self, before: "Relayed") -> "Relayed":
        """Return the difference to an earlier value."""
        return Relayed(*[now - then for now, then in zip(self, before, strict=True)])


class Relay:
    """Listen on a port, and forward every byte to the server and back.

    A round trip begins when the client sends bytes after the server's last answer. So commands that are sent together
    are one round trip, and so is a long command that arrives in pieces.
    """

    def __init__(self, server_port: int) -> None:
        self.relayed = Relayed(0, 0, 0)
        self._server_port = server_port
        self._open: set[asyncio.Task[None] | None] = set()
        self._listener: asyncio.Server

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        if tasks := [task for task in self._open if task]:
            await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        server_reader, server_writer = await asyncio.open_connection(HOST, self._server_port)
        is_waiting = False

        async def forward(source: StreamReader, target: StreamWriter, *, is_request: bool) -> None:
            nonlocal is_waiting
            while chunk := await source.read(_CHUNK_BYTES):
                trips, sent, received = self.relayed
                trips += is_request and not is_waiting
                self.relayed = Relayed(trips, sent + is_request * len(chunk), received + (not is_request) * len(chunk))
                is_waiting = is_request
                target.write(chunk)
                await target.drain()
            target.close()

        with suppress(ConnectionError):
            await asyncio.gather(
                forward(reader, server_writer, is_request=True), forward(server_reader, writer, is_request=False)
            )
        self._open.discard(task)
