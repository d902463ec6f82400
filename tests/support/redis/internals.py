"""Reach into a Redis store: no other file of the tests depends on how it is put together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sessiondex.stores.redis.background_tasks import BackgroundTasks
from sessiondex.stores.redis.client import RedisClient
from sessiondex.stores.redis.store import LoopParts


def parts_of(store: Any) -> LoopParts[Any]:
    """Return the parts that the store has for the running loop. It must have been used in it."""
    parts: LoopParts[Any] = store._parts
    return parts


def client_of(store: Any) -> Any:
    """Return the client. Tests replace methods of it."""
    client: RedisClient = parts_of(store).calls.client
    return client


def idle_connections_are_lost(store: Any) -> bool:
    """Return whether the client has received the end of every idle connection."""
    pool = client_of(store)._redis.connection_pool
    return all(one._reader is None or one._reader.at_eof() for one in pool._available_connections)


def prefix_of(store: Any) -> str:
    """Return what all keys of the store begin with."""
    return str(store._keyspace.prefix)


def feed_base_of(store: Any, tenant_id: UUID) -> bytes:
    """Return what the keys of the tenant's change feed begin with."""
    return bytes(store._keyspace.feed_base(tenant_id))


def background_tasks_of(store: Any) -> BackgroundTasks:
    """Return the background tasks of the store in the running loop."""
    return parts_of(store).tasks


async def until_background_done(store: Any) -> None:
    """Wait until the background tasks have ended: their errors may cut connections of other calls."""
    await background_tasks_of(store).wait()


async def registered_tenants(store: Any) -> list[UUID]:
    """Return the tenants in the registry on the server."""
    return [tenant_id async for tenant_id in parts_of(store).tenants.tenants()]


async def claim(store: Any, session_id: UUID, tenant_id: UUID) -> None:
    """Claim the session, as a save does that crashes afterwards."""
    await parts_of(store).saver.claim({session_id.hex: "0"}, tenant_id, {})
