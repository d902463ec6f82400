"""What a session takes on a server, indexes included."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis

from benchmarks.remote.server import bare_client, url, used_memory
from benchmarks.sessions import Population
from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore

_PREFIX = "weight"
_ROW, _LOCATOR, _INDEX = "row", "locator", "indexes"
_SCAN = 1_000


@dataclass(frozen=True)
class Weight:
    """Bytes a session, of the standard one."""

    sessions: int
    json: float
    """As JSON, which is most of its row."""
    used: float
    """What `used_memory` grew by."""
    keys: dict[str, float]
    """What `MEMORY USAGE` says of its row, its locator, and its share of the indexes."""


async def weigh(port: int, size: int, seed: int) -> Weight:
    """Load so many sessions, weigh them, and delete them."""
    async with bare_client(port) as bare, RedisSessionStore[Session](url(port), prefix=_PREFIX) as store:
        await store.health_check()
        before, json = await used_memory(bare), 0
        sessions = []
        for session in Population(size, seed):
            json += len(session.model_dump_json())
            sessions.append(session)
        await store.load(sessions)
        used = await used_memory(bare) - before
        keys = await _usage(bare)
        await bare.flushall()
    return Weight(size, json / size, used / size, {kind: bytes_ / size for kind, bytes_ in keys.items()})


async def _usage(bare: Redis) -> dict[str, int]:
    """Return what the keys take, by kind."""
    usage = dict.fromkeys((_ROW, _INDEX, _LOCATOR), 0)
    cursor = None
    while cursor != 0:
        cursor, keys = await bare.scan(cursor or 0, match=f"{_PREFIX}:*", count=_SCAN)
        async with bare.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.memory_usage(key, samples=0)  # 0: of all that is in it
            for key, bytes_ in zip(keys, await pipeline.execute(), strict=True):
                assert isinstance(key, bytes)  # of a client that decodes nothing
                usage[_kind(key)] += bytes_
    return usage


def _kind(key: bytes) -> str:
    name = key.decode().removeprefix(f"{_PREFIX}:")
    if name.startswith("l:"):
        return _LOCATOR
    return _ROW if "}:s:" in name else _INDEX
