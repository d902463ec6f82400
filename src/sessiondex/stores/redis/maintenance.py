"""Maintenance of a Redis store from one event loop: the registry of tenants, and the sweeper of expired sessions."""

from __future__ import annotations

import asyncio
import logging
from asyncio import get_running_loop
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

from sessiondex.errors import StoreClosedError, StoreUnavailableError, WrongLoopError
from sessiondex.stores.redis.background_tasks import BackgroundTasks
from sessiondex.stores.redis.removals import RemovalHandler
from sessiondex.stores.redis.tenant_client import TenantClient

log: logging.Logger = logging.getLogger("sessiondex")

SWEEP_BATCH_SIZE = 50  # sessions evicted by one call
TENANT_BATCH_SIZE = 200  # tenants read by one call
REGISTRATION_SECONDS = 60.0  # then a tenant is registered again: a failover may lose the registry and keep the tenant


class TenantRegistry:
    """The set of all tenants on the server."""

    def __init__(self, calls: TenantClient, tasks: BackgroundTasks) -> None:
        self._calls = calls
        self._tasks = tasks
        self._key = f"{calls.keyspace.prefix}:tenants".encode()
        # By the bytes of the id: the hash of a UUID can be made to collide.
        self._registered_until: dict[bytes, float] = {}

    async def tenants(self, first: str = "") -> AsyncIterator[UUID]:
        """Yield all registered tenants in the order of their ids, beginning with `first`."""
        start, page = f"[{first}", ("+", "LIMIT", 0, TENANT_BATCH_SIZE)
        command = self._calls.client.command
        while names := await command("tenants", "ZRANGEBYLEX", self._key, start, *page, key=self._key):
            for name in names:
                yield UUID(name.decode())
            start = f"({names[-1].decode()}"

    async def ensure_registered(self, tenant_id: UUID) -> None:
        """Register the tenant before its first session, and again from time to time."""
        now, registered_until = get_running_loop().time(), self._registered_until.get(tenant_id.bytes)
        if registered_until is None:
            await self._calls.checked(self._register(tenant_id))
        elif registered_until <= now:
            self.register_again(tenant_id)
        else:
            return
        self._registered_until[tenant_id.bytes] = now + REGISTRATION_SECONDS

    async def unregister(self, tenant_id: UUID) -> None:
        """Remove the tenant from the registry. Its next session registers it again."""
        self._registered_until.pop(tenant_id.bytes, None)
        await self._calls.checked(
            self._calls.client.command("delete", "ZREM", self._key, tenant_id.hex, key=self._key), is_read=False
        )

    def register_again(self, tenant_id: UUID) -> None:
        """Register the tenant in the background."""
        self._tasks.spawn(self._register(tenant_id))

    async def _register(self, tenant_id: UUID) -> None:
        await self._calls.client.command("save", "ZADD", self._key, 0, tenant_id.hex, key=self._key)

    async def can_be_read(self) -> None:
        """Ask the server for the registry. Not PING: a user with no other permission may send it.

        Raises:
            StoreUnavailableError: the server cannot be reached, or refuses the user.
        """
        await self._calls.client.command("health_check", "EXISTS", self._key, key=self._key)


class Sweeper:
    """Evicts expired sessions: those of one tenant on demand, those of all tenants in a task of its own."""

    def __init__(self, calls: TenantClient, removals: RemovalHandler, tenants: TenantRegistry) -> None:
        self._calls = calls
        self._removals = removals
        self._tenants = tenants
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the task was started, and has ended."""
        return self._task is not None and self._task.done()

    def start(self, interval_seconds: float) -> None:
        """Start the task. Does nothing if it was started before."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(interval_seconds), name="sessiondex sweeper")

    async def stop(self) -> None:
        """End the task, and wait until it has ended."""
        self._closing.set()
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def sweep(self, tenant_id: UUID) -> None:
        """Evict all expired sessions of the tenant, in batches. Does nothing if sessions do not expire."""
        is_more = self._calls.has_idle_ttl
        while is_more:
            with self._calls.writes:
                answer = await self._calls.call("sweep", tenant_id, self._removals.wants_rows, SWEEP_BATCH_SIZE)
                self._removals.handle_evicted(tenant_id, answer[1])
            is_more = bool(answer[0])

    async def _sweep_all(self) -> None:
        async for tenant_id in self._tenants.tenants():
            await self.sweep(tenant_id)
            if self._closing.is_set():
                break

    async def _run(self, interval_seconds: float) -> None:
        is_down = False
        while not self._closing.is_set():
            try:
                await self._sweep_all()
                is_down = False
            except (StoreClosedError, WrongLoopError):
                return
            except StoreUnavailableError as error:
                if not is_down:  # once for each outage: the calls of the service raise the same
                    log.warning("evicting expired sessions failed; the store tries again: %s", error)
                is_down = True
            except Exception:  # of the clock, which is the user's, or of a server
                log.exception("evicting expired sessions failed; the store tries again")
            with suppress(TimeoutError):
                async with asyncio.timeout(interval_seconds):
                    await self._closing.wait()
