"""Connect a Redis store to its loop: the client, background tasks, the change feed, sweeping and closing."""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from uuid import UUID
from weakref import WeakSet

from sessiondex.clock import MICROSECOND, StampClock, microseconds
from sessiondex.contract import Change, EvictionReason, S
from sessiondex.errors import (
    ChangesLostError,
    InvalidArgumentError,
    StoreClosedError,
    StoreUnavailableError,
    WrongLoopError,
)
from sessiondex.models import utc_now
from sessiondex.stores import arguments as check
from sessiondex.stores.composed import LAST_STAMP, ComposedOperations
from sessiondex.stores.eviction import Eviction
from sessiondex.stores.loops import log, repeat_until
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.change_stream import ChangeStream, ChangeStreamReader
from sessiondex.stores.redis.client import Address, RedisClient
from sessiondex.stores.redis.codec import SessionCodec
from sessiondex.stores.redis.locators import Claim, release
from sessiondex.stores.redis.scripts import script_library
from sessiondex.stores.telling import Telling
from sessiondex.stores.turns import Turns

SWEEP_BATCH_SIZE = 50  # sessions evicted by one call
SWEEP_PAUSE_SECONDS = 10.0  # at most; shorter if `idle_ttl` is
TENANT_BATCH_SIZE = 200  # tenants read by one call
RELEASE_BATCH_SIZE = 20  # locators released at the same time, so that other calls are not delayed
REGISTRATION_SECONDS = 60.0  # then a tenant is registered again: a failover may lose the registry and keep the tenant
_MILLISECOND = timedelta(milliseconds=1)

T = TypeVar("T")


class RedisHome(ComposedOperations[S], Telling[S], Generic[S]):
    """Owns the client of the running loop, and everything that runs in the background."""

    def __init__(  # noqa: PLR0917  # called in one place
        self,
        address: Address,
        prefix: str,
        session_classes: Iterable[type[S]],
        eviction: Eviction,
        changes_kept: int,
        turn_ttl: timedelta,
        clock: Callable[[], datetime] | None,
    ) -> None:
        super().__init__(eviction.on_evict)
        check.at_least("changes_kept", changes_kept, 0, "0 keeps none for those who follow them")
        check.is_duration("turn_ttl", turn_ttl, timedelta(milliseconds=100))
        self._address = address
        self._prefix = prefix
        self._codec: SessionCodec[S] = SessionCodec(session_classes)
        self._eviction = eviction
        self._changes_kept = changes_kept
        self._turn_ttl = turn_ttl // _MILLISECOND
        self._clock = None if clock is None else StampClock(clock)
        self._own_clock = StampClock(utc_now)
        self._ttl = "" if eviction.idle_ttl is None else str(eviction.idle_ttl // MICROSECOND)
        self._readers: WeakSet[ChangeStreamReader] = WeakSet()
        self._new_readers: list[ChangeStreamReader] = []
        self._background_tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._client: RedisClient
        self._loop_end_hook: AsyncGenerator[None, None]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address.host}, prefix {self._prefix!r}>"

    # -- loops --

    def _begin_in_this_loop(self) -> None:
        client, turns, creations, closing = RedisClient(self._address), Turns(), Turns(), asyncio.Event()
        self._client, self._turns, self._creations, self._closing = client, turns, creations, closing
        self._begin_lock = asyncio.Lock()
        self._background_tasks, self._sweeper, self._teller = set(), None, None
        self._registered_tenants: dict[UUID, float] = {}
        # `asyncio.run` closes the async generators of its loop. So connections are closed with their loop, even if the
        # store continues in another one.
        self._loop_end_hook = _close_with_loop(client)
        with suppress(StopIteration):
            self._loop_end_hook.__anext__().send(None)

    def _check_client(self, client: RedisClient) -> None:
        """Raise unless the client that was awaited is still the store's."""
        if self._is_closed:
            raise StoreClosedError
        if client is not self._client:  # this loop was paused, and the store moved to another one
            raise WrongLoopError

    # -- calls --

    def _now(self) -> str:
        """Return the time as an argument of functions: empty if the server's clock counts."""
        if self._clock is None:
            return ""
        now = microseconds(self._clock.now())
        if now >= LAST_STAMP:
            raise InvalidArgumentError(
                "clock", "must return an instant before the year 2255, up to which servers count"
            )
        return str(now)

    async def _call(self, function: str, tenant_id: UUID, *args: str | bytes | int) -> list[Any]:
        """Call a function for the tenant, and return its answer without the leading key."""
        self._check_loop()
        if self._new_readers:
            await self._begin_readers()
        client = self._client
        call = client.call(function, self._keys_of(tenant_id), self._now(), self._ttl, *args)
        answer = await self._await_answer(client, call, is_read=function in script_library().reads)
        return answer[1:]

    async def _await_answer(self, client: RedisClient, request: Awaitable[T], *, is_read: bool = True) -> T:
        """Return the answer. For a read, raise if the store was closed, or moved to another loop, in between.

        The outcome of a write is returned or raised as it is: the caller has to know it.
        """
        try:
            answer = await request
        except StoreUnavailableError as error:
            if not error.is_outcome_unknown:
                self._check_client(client)
            raise
        if is_read:
            self._check_client(client)
        return answer

    def _keys_of(self, tenant_id: UUID) -> list[bytes]:
        feed = self._feed_base(tenant_id)
        return [keys.base(self._prefix, tenant_id), feed + b"feed", feed + b"changes"]

    def _feed_base(self, tenant_id: UUID | None) -> bytes:
        """Return the beginning of the feed's keys. A single server has one feed, a cluster one for each tenant."""
        if self._address.is_cluster and tenant_id is not None:
            return keys.base(self._prefix, tenant_id)
        return f"{self._prefix}:".encode()

    def _opened(self, image: Any) -> S:
        return self._codec.decode(image)

    def _to_session(self, row: bytes, tenant_id: UUID) -> S:
        """Decode a row of the tenant. Raise if the session belongs to another tenant."""
        session = self._opened(row)
        if session.tenant_id != tenant_id:
            raise StoreUnavailableError(
                self._address.host, "read", "it answered with a session of another tenant, which was withheld"
            )
        return session

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run the work in the background, and log its errors. `aclose` waits for it."""
        task = asyncio.create_task(_log_errors(work), name="sessiondex background task")
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)
        return task

    # -- locators --

    def _release_claims(self, tenant_id: UUID, removed: Sequence[Sequence[bytes]]) -> None:
        """Release the claims of removed sessions in the background: each begins with id and fencing token."""
        if removed and not self._is_closed:
            self._spawn(self._release_in_batches(tenant_id, removed))

    async def _release_in_batches(self, tenant_id: UUID, removed: Sequence[Sequence[bytes]]) -> None:
        for start in range(0, len(removed), RELEASE_BATCH_SIZE):
            batch = removed[start : start + RELEASE_BATCH_SIZE]
            claims = {UUID(key.decode()): Claim(tenant_id, token.decode()) for key, token, *_ in batch}
            await asyncio.gather(*(self._release(key, claim) for key, claim in claims.items()))

    async def _release(self, session_id: UUID, claim: Claim) -> None:
        newer = await release(self._client, self._prefix, session_id, claim)
        if newer:  # its save is under way, or has failed
            await self._release_if_deleted(session_id, claim._replace(fencing_token=newer))

    async def _release_if_deleted(self, session_id: UUID, claim: Claim) -> None:
        if not await self._fence(claim.tenant_id, session_id, claim.fencing_token):
            await release(self._client, self._prefix, session_id, claim)

    async def _fence(self, tenant_id: UUID, session_id: UUID, fencing_token: str) -> bool:
        """Return whether the tenant has the session. If not, raise its fence, see `locators.Fence`."""
        is_stored, evicted = await self._call("fence", tenant_id, self._wants_rows, session_id.hex, fencing_token)
        self._handle_evicted(tenant_id, evicted)
        return bool(is_stored)

    def _handle_evicted(self, tenant_id: UUID, evicted: Iterable[Sequence[bytes]]) -> None:
        """Release claims and notify `on_evict`. Each evicted session is id, fencing token, reason and row."""
        removed = list(evicted)
        self._release_claims(tenant_id, removed)
        if self._eviction.on_evict is not None and removed:
            self._evicted.extend((row, EvictionReason(reason.decode())) for _, _, reason, row in removed)
            self._tell_soon()

    @property
    def _wants_rows(self) -> str:
        """Whether functions are to return evicted rows, as they take it."""
        return "1" if self._eviction.on_evict is not None else ""

    # -- the change feed --

    def changes(self, *, since: int | None = None, tenant_id: UUID | None = None) -> AsyncIterator[Change]:
        """Follow the commits of all processes, see `SessionStore.changes`.

        `tenant_id` restricts the changes to one tenant. A cluster requires it: there each tenant has a feed, with
        sequences of its own.
        """
        if self._is_closed:
            raise StoreClosedError
        if since is not None:
            since = check.at_least("since", since, 0, "0 follows from the first change on")
        if tenant_id is not None:
            tenant_id = check.exact_id("tenant_id", tenant_id)
        elif self._address.is_cluster:
            raise NotImplementedError("on a cluster there is a feed for each tenant: give tenant_id")
        stream = ChangeStream(lambda: self._client, self._feed_base(tenant_id), self._changes_kept)
        block_milliseconds = max(int(self._address.timeout / 2 * 1_000), 1)
        reader = ChangeStreamReader(
            stream, since, tenant_id, block_milliseconds, self._check_reader_loop, self._wait_until_closing
        )
        self._readers.add(reader)
        self._new_readers.append(reader)
        return reader

    async def _begin_readers(self) -> None:
        """Fix the positions of new readers, before a call that they may have to see."""
        async with self._begin_lock:
            while self._new_readers:
                with suppress(ChangesLostError):  # the reader raises it again when it is read
                    await self._new_readers[0].begin()
                self._new_readers.pop(0)

    def _check_reader_loop(self) -> None:
        if not self._is_closed:  # after the end, a reader gives out its buffer in any loop
            self._check_loop()

    async def _wait_until_closing(self) -> None:
        await self._closing.wait()

    # -- open and closed --

    async def __aenter__(self) -> Self:
        self._check_loop()
        if self._eviction.idle_ttl is not None and self._sweeper is None:
            pause = min(SWEEP_PAUSE_SECONDS, self._eviction.idle_ttl.total_seconds())
            sweeping = repeat_until(self._closing, pause, self._sweep_all)
            self._sweeper = asyncio.create_task(sweeping, name="sessiondex sweeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._background_tasks and self._loop is get_running_loop():
            await asyncio.wait(self._background_tasks)  # first: a closed store refuses their calls
        if not self._leave_loop():
            return
        # Each step may be repeated: the first call may have been interrupted, or may be under way.
        self._turns.close()
        self._creations.close()
        self._closing.set()
        if self._sweeper is not None and not self._sweeper.done():
            await asyncio.wait([self._sweeper])
        await asyncio.gather(*(_log_errors(reader.drain()) for reader in list(self._readers)))
        self._readers.clear()  # a second `aclose` must not call the server
        await self._all_told()
        if self._background_tasks:
            await asyncio.wait(self._background_tasks)
        await self._loop_end_hook.aclose()

    async def health_check(self) -> bool:
        if self._is_closed:
            return False
        self._check_loop()
        try:
            key = f"{self._prefix}:tenants".encode()  # not PING: a user with no other permission may send it
            await self._client.command("health_check", "EXISTS", key, key=key)
        except StoreUnavailableError:
            return False
        return self._sweeper is None or not self._sweeper.done()

    # -- sweeping --

    async def _sweep(self, tenant_id: UUID) -> None:
        """Evict all expired sessions of the tenant, in batches."""
        while await self._sweep_batch(tenant_id):
            pass

    async def _sweep_batch(self, tenant_id: UUID) -> bool:
        is_more, evicted = await self._call("sweep", tenant_id, self._wants_rows, SWEEP_BATCH_SIZE)
        self._handle_evicted(tenant_id, evicted)
        return bool(is_more)

    async def _sweep_if_needed(self, tenant_id: UUID) -> None:
        if self._eviction.idle_ttl is not None:
            await self._sweep(tenant_id)

    async def _sweep_all(self) -> bool:
        async for tenant_id in self._tenants():
            await self._sweep(tenant_id)
            if self._closing.is_set():
                break
        return False

    # -- the registry of tenants --

    async def _tenants(self, first: str = "") -> AsyncIterator[UUID]:
        """Yield all registered tenants in the order of their ids, beginning with `first`."""
        key, start = f"{self._prefix}:tenants".encode(), f"[{first}"
        page = ("+", "LIMIT", 0, TENANT_BATCH_SIZE)
        while names := await self._client.command("tenants", "ZRANGEBYLEX", key, start, *page, key=key):
            for name in names:
                yield UUID(name.decode())
            start = f"({names[-1].decode()}"

    async def _ensure_tenant_registered(self, tenant_id: UUID) -> None:
        """Register the tenant before its first session, and again from time to time."""
        now, registered_until = get_running_loop().time(), self._registered_tenants.get(tenant_id)
        if registered_until is None:
            await self._register_tenant(tenant_id)
        elif registered_until <= now:
            self._spawn(self._register_tenant(tenant_id))
        else:
            return
        self._registered_tenants[tenant_id] = now + REGISTRATION_SECONDS

    async def _register_tenant(self, tenant_id: UUID) -> None:
        client, key = self._client, f"{self._prefix}:tenants".encode()
        await self._await_answer(client, client.command("save", "ZADD", key, 0, tenant_id.hex, key=key))


async def _close_with_loop(client: RedisClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await client.close()


async def _log_errors(work: Coroutine[Any, Any, None]) -> None:
    """Run the work. Log its errors, since no caller waits for it."""
    try:
        await work
    except StoreClosedError:
        pass  # background work may be left undone
    except Exception as error:  # noqa: BLE001  # see above
        log.warning("a background task of a store failed: %s: %s", type(error).__name__, error)
