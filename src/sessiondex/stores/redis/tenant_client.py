"""TenantClient: calls the functions of `lua/` for a tenant, in one event loop, and checks the store after each wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from sessiondex.errors import StoreUnavailableError
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.change_stream import ChangeReaders
from sessiondex.stores.redis.client import RedisClient
from sessiondex.stores.redis.scripts import script_library

T = TypeVar("T")


class Keyspace:
    """The keys of a store that depend on the tenant. `is_cluster` gives each tenant a change feed of its own."""

    def __init__(self, prefix: str, *, is_cluster: bool) -> None:
        self.prefix = prefix
        self._is_cluster = is_cluster

    def of_tenant(self, tenant_id: UUID) -> list[bytes]:
        """Return the keys that each function takes: the base of the tenant, and the two of its change feed."""
        feed = self.feed_base(tenant_id)
        return [keys.base(self.prefix, tenant_id), feed + b"feed", feed + b"changes"]

    def feed_base(self, tenant_id: UUID | None) -> bytes:
        """Return the beginning of the keys of the feed that has the tenant's changes."""
        if self._is_cluster and tenant_id is not None:
            return keys.base(self.prefix, tenant_id)
        return f"{self.prefix}:".encode()


class WriteCounter:
    """Counts the writes under way: `with writes: ...` surrounds a write, and what follows from the server's answer."""

    def __init__(self) -> None:
        self._count = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self._is_idle.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._is_idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until no write is under way."""
        await self._is_idle.wait()


class TenantClient:
    """Calls functions for tenants.

    `now` returns the time as functions take it, `idle_ttl` is in microseconds or empty. New `readers` of changes begin
    before each call, so that they see what it does. `check` raises if the store was closed, or moved
    to another loop. Background work needs no check: a store that closes waits for it.
    """

    def __init__(  # noqa: PLR0917  # called in one place
        self,
        client: RedisClient,
        keyspace: Keyspace,
        now: Callable[[], str],
        idle_ttl: str,
        readers: ChangeReaders,
        check: Callable[[], None],
    ) -> None:
        self.client = client
        self.keyspace = keyspace
        self.has_idle_ttl: bool = bool(idle_ttl)
        self._now = now
        self._idle_ttl = idle_ttl
        self._readers = readers
        self._check = check
        self.writes: WriteCounter = WriteCounter()

    def in_background(self) -> TenantClient:
        """Return a client for background work, which goes on while the store closes."""
        return TenantClient(self.client, self.keyspace, self._now, self._idle_ttl, self._readers, lambda: None)

    async def call(self, function: str, tenant_id: UUID, *args: str | bytes | int) -> list[Any]:
        """Call a function for the tenant, and return its answer without the leading key. Raises like `checked`."""
        self._check()
        if self._readers.has_new:
            await self._readers.begin_new()
        call = self.client.call(function, self.keyspace.of_tenant(tenant_id), self._now(), self._idle_ttl, *args)
        answer = await self.checked(call, is_read=function in script_library().reads)
        return answer[1:]

    async def read(self, request: Awaitable[T]) -> T:
        """Return the answer to another request of a read. Raises like `checked`."""
        if self._readers.has_new:
            await self._readers.begin_new()
        return await self.checked(request)

    async def checked(self, request: Awaitable[T], *, is_read: bool = True) -> T:
        """Return the answer to a request. The outcome of a write is returned or raised as it is.

        Raises:
            StoreClosedError: the store was closed during a read, or nothing was done.
            WrongLoopError: the store moved to another loop during a read, or nothing was done.
            StoreUnavailableError: the server cannot be reached, or cannot do it.
        """
        try:
            answer = await request
        except StoreUnavailableError as error:
            if not error.is_outcome_unknown:
                self._check()
            raise
        if is_read:
            self._check()
        return answer
