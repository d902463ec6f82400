"""Put a proxy in front of a server: it delays or drops answers, cuts connections, or adds TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from ssl import SSLContext
from typing import Self

from tests.support.redis.servers import HOST, Cluster, free_port, until

_CHUNK = 2**16


class Proxy:
    """Forwards requests and answers. Its attributes decide which ones it drops, delays or cuts.

    `rounds` returns by how many loop turns each piece of an answer is delayed.
    """

    def __init__(
        self,
        port: int,
        *,
        rounds: Callable[[], int] = lambda: 0,
        tls: SSLContext | None = None,
    ) -> None:
        self.port = 0
        """The port of the proxy."""
        self.accepted = 0
        """The number of connections so far."""
        self.heard = bytearray()
        """All requests so far."""
        self.is_mute = False
        """Whether the proxy drops answers."""
        self.is_deaf = False
        """Whether the proxy drops requests too."""
        self._gate = asyncio.Event()
        """Holds back answers while it is not set. New connections get the current gate."""
        self._gate.set()
        self.accepts = True
        """Whether the proxy keeps new connections open."""
        self.mute_after: bytes | None = None
        """The proxy drops answers from the first request on that contains this."""
        self.cut_after: bytes | None = None
        """The proxy cuts the connection of the first request that contains this, after the server has executed it."""
        self.has_cut = False
        """Whether the proxy has cut that connection."""
        self._target = port
        self._rounds = rounds
        self._tls = tls
        self._pipes: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @property
    def open_pipes(self) -> int:
        """The number of open connections."""
        return len(self._pipes)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self.cut()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Hold back answers inside the block, on the connections that are open at its beginning."""
        held, self._gate = self._gate, asyncio.Event()
        self._gate.set()
        held.clear()
        try:
            yield
        finally:
            held.set()

    async def cut(self) -> None:
        """Cut all open connections."""
        pipes = set(self._pipes)
        for pipe in pipes:
            pipe.cancel()
        if pipes:
            await asyncio.wait(pipes)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        pipe = asyncio.ensure_future(self._join(reader, writer))
        self._pipes.add(pipe)
        pipe.add_done_callback(self._pipes.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        both = [writer]
        try:
            if self.accepts:
                answers, requests = await asyncio.open_connection(HOST, self._target)
                both.append(requests)
                async with asyncio.TaskGroup() as pipes:
                    pipes.create_task(self._forward_requests(reader, requests))
                    pipes.create_task(self._forward_answers(answers, writer, self._gate))
        except* (ConnectionError, EOFError):
            pass  # one side has closed its connection, so the other is closed too
        finally:
            for end in both:
                end.close()

    async def _forward_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            self.heard += data
            if self.mute_after is not None and self.mute_after in data:
                self.is_mute = True
            if not self.is_deaf:
                writer.write(data)
                await writer.drain()
        raise EOFError

    async def _forward_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK):
            for _ in range(self._rounds()):
                await asyncio.sleep(0)
            await gate.wait()
            if self.cut_after is not None and self.cut_after in self.heard:
                self.cut_after, self.has_cut = None, True
                raise EOFError
            if not self.is_mute:
                writer.write(data)
                await writer.drain()
        raise EOFError


@asynccontextmanager
async def in_front_of(cluster: Cluster, rounds: Callable[[], int]) -> AsyncIterator[str]:
    """Have the nodes of a cluster announce the ports of proxies, and yield the URL of one."""
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Proxy(node.port, rounds=rounds)) for node in cluster.nodes]
        try:
            await _announce(cluster, [proxy.port for proxy in proxies])
            yield f"redis+cluster://{HOST}:{proxies[0].port}"
        finally:
            await _announce(cluster, [node.port for node in cluster.nodes])


async def _announce(cluster: Cluster, ports: list[int]) -> None:
    for node, port in zip(cluster.nodes, ports, strict=True):
        node.client().config_set("cluster-announce-port", 0 if port == node.port else port)

    def is_announced() -> bool:
        return all(
            _announced_ports(node.client().execute_command("CLUSTER SLOTS")) == set(ports) for node in cluster.nodes
        )

    await asyncio.to_thread(until, is_announced, "announced ports")


def _announced_ports(slots: list[tuple[int, int, tuple[bytes, int]]]) -> set[int]:
    return {primary[1] for _, _, primary, *_ in slots}
