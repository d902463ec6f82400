"""Put a proxy in front of a server: it delays, drops or cuts answers, or speaks TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from ssl import SSLContext
from typing import Self

from tests.support.redis.servers import HOST, Cluster, free_port, until

_CHUNK = 2**16


class Proxy:
    """Forwards requests and answers between clients and a server, and can delay, drop or cut them.

    `rounds` is the number of rounds of the loop for which each piece of an answer is delayed.
    """

    def __init__(
        self,
        port: int,
        *,
        rounds: Callable[[], int] = lambda: 0,
        tls: SSLContext | None = None,
    ) -> None:
        self.port = 0
        """Where it listens."""
        self.accepted = 0
        """How many connections were made."""
        self.heard = bytearray()
        """The requests of all clients."""
        self.is_mute = False
        """Whether answers are dropped."""
        self.is_deaf = False
        """Whether requests are dropped as well."""
        self._gate = asyncio.Event()
        """Open for answers on the connections that are made from now on."""
        self._gate.set()
        self.greets = True
        """Whether a connection that is made is kept."""
        self.mute_after: bytes | None = None
        """From which word on, in a request, answers are dropped."""
        self.cut_after: bytes | None = None
        """At which word in a request all connections are cut, once the server has done what was asked; and no more."""
        self.has_cut = False
        """Whether it has done so."""
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
        """Delay answers inside the block, on the connections that are open at its start."""
        held, self._gate = self._gate, asyncio.Event()
        self._gate.set()
        held.clear()
        try:
            yield
        finally:
            held.set()

    async def cut(self) -> None:
        """Cut all current connections."""
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
            if self.greets:
                answers, requests = await asyncio.open_connection(HOST, self._target)
                both.append(requests)
                async with asyncio.TaskGroup() as pipes:
                    pipes.create_task(self._forward(reader, requests))
                    pipes.create_task(self._back(answers, writer, self._gate))
        except* (ConnectionError, EOFError):
            pass  # one direction ended, so close the other as well
        finally:
            for end in both:
                end.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            self.heard += data
            if self.mute_after is not None and self.mute_after in data:
                self.is_mute = True
            if not self.is_deaf:
                writer.write(data)
                await writer.drain()
        raise EOFError

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
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
    """Make the nodes of a cluster announce the ports of proxies, and yield the URL of one."""
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(Proxy(node.port, rounds=rounds)) for node in cluster.nodes]
        try:
            await _announced(cluster, [proxy.port for proxy in proxies])
            yield f"redis+cluster://{HOST}:{proxies[0].port}"
        finally:
            await _announced(cluster, [node.port for node in cluster.nodes])


async def _announced(cluster: Cluster, ports: list[int]) -> None:
    for node, port in zip(cluster.nodes, ports, strict=True):
        node.client().config_set("cluster-announce-port", 0 if port == node.port else port)

    def is_known() -> bool:
        return all(_known(node.client().execute_command("CLUSTER SLOTS")) == set(ports) for node in cluster.nodes)

    await asyncio.to_thread(until, is_known, "the ports that the nodes announce")


def _known(slots: list[tuple[int, int, tuple[bytes, int]]]) -> set[int]:
    return {primary[1] for _, _, primary, *_ in slots}
