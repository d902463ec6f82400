"""What a Redis store is beside its operations: its server in this loop, what runs in its background, its end."""

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
from sessiondex.stores.redis.claims import Claim, release
from sessiondex.stores.redis.feed import CHANGES_AT_ONCE, Entry, Reader
from sessiondex.stores.redis.library import library
from sessiondex.stores.redis.rows import Rows
from sessiondex.stores.redis.server import Address, Server
from sessiondex.stores.telling import Telling
from sessiondex.stores.turns import Turns

_SWEPT = 50  # sessions evicted by one call
_TENANTS = 200  # read by one call
_RELEASED = 20  # locators given back at a time: there are others who have something to ask
_PAUSE = 10.0  # seconds between two sweeps, or less if sessions expire sooner: every process sweeps, and so do writes
_KNOWN_FOR = 60.0  # seconds: a failover may lose that there is such a tenant, and its other keys are elsewhere
_MILLISECOND = timedelta(milliseconds=1)

T = TypeVar("T")


class RedisHome(ComposedOperations[S], Telling[S], Generic[S]):
    """Has a `Server` for the loop that it belongs to, and calls it."""

    def __init__(  # noqa: PLR0917  # what a store is made of
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
        self._rows: Rows[S] = Rows(session_classes)
        self._eviction = eviction
        self._changes_kept = changes_kept
        self._turn_ttl = turn_ttl // _MILLISECOND
        self._clock = None if clock is None else StampClock(clock)
        self._own_clock = StampClock(utc_now)
        self._ttl = "" if eviction.idle_ttl is None else str(eviction.idle_ttl // MICROSECOND)
        self._readers: WeakSet[Reader[S]] = WeakSet()
        self._unbegun: list[Reader[S]] = []
        self._errands: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._server: Server
        self._guard: AsyncGenerator[None, None]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._address.host}, prefix {self._prefix!r}>"

    # -- loops --

    def _begin_in_this_loop(self) -> None:
        server, turns, creations, closing = Server(self._address), Turns(), Turns(), asyncio.Event()
        beginning = asyncio.Lock()
        self._server, self._turns, self._creations, self._closing = server, turns, creations, closing
        self._beginning = beginning
        self._errands, self._sweeper, self._teller = set(), None, None
        self._known_tenants: dict[UUID, float] = {}
        # Whoever runs a loop to its end closes what is iterated in it. So connections are closed with their loop, also
        # those of a store that goes on in another.
        self._guard = _open_until_the_loop_ends(server)
        with suppress(StopIteration):
            self._guard.__anext__().send(None)

    def _check_is_ours(self, server: Server) -> None:
        """Raise unless the server that was waited for is still the store's."""
        if self._is_closed:
            raise StoreClosedError
        if server is not self._server:  # this loop stood still, and meanwhile the store went over to another
            raise WrongLoopError

    # -- calls --

    def _now(self) -> str:
        """Return the instant as functions take it: nothing, if the server has the time."""
        if self._clock is None:
            return ""
        now = microseconds(self._clock.now())
        if now >= LAST_STAMP:
            raise InvalidArgumentError(
                "clock", "must return an instant before the year 2255, up to which servers count"
            )
        return str(now)

    async def _ask(self, function: str, tenant_id: UUID, *args: str | bytes | int) -> list[Any]:
        """Return what the function answers for the tenant, without the key that it begins with."""
        self._check_loop()
        if self._unbegun:
            await self._begin_reading()
        server = self._server
        call = server.call(function, self._keys_of(tenant_id), self._now(), self._ttl, *args)
        answer = await self._answered(server, call, is_read=function in library().reads)
        return answer[1:]

    async def _answered(self, server: Server, asked: Awaitable[T], *, is_read: bool = True) -> T:
        """Return what this server of ours answers, unless the store was closed or went to another loop meanwhile.

        Then it raises that, but not of what was written, or may have been: whoever asked for it has to know.
        """
        try:
            answer = await asked
        except StoreUnavailableError as error:
            if not error.is_outcome_unknown:
                self._check_is_ours(server)
            raise
        if is_read:
            self._check_is_ours(server)
        return answer

    def _keys_of(self, tenant_id: UUID) -> list[bytes]:
        base = keys.base(self._prefix, tenant_id)
        feed = self._feed_of(tenant_id)
        return [base, feed + b"feed", feed + b"changes"]

    def _feed_of(self, tenant_id: UUID | None) -> bytes:
        """Return what the keys of the feed begin with: one for all tenants, where they share a server."""
        if self._address.is_cluster and tenant_id is not None:
            return keys.base(self._prefix, tenant_id)
        return f"{self._prefix}:".encode()

    def _opened(self, image: Any) -> S:
        return self._rows.session(image)

    def _session(self, row: bytes, tenant_id: UUID) -> S:
        """Return the session of a row that came for the tenant."""
        session = self._opened(row)
        if session.tenant_id != tenant_id:
            raise StoreUnavailableError(
                self._address.host, "read", "it answered with a session of another tenant, which is not given out"
            )
        return session

    def _errand(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it in the background, by the end at the latest. If it fails, little is lost."""
        task = asyncio.create_task(_without_fail(work), name="sessiondex errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    def _give_back(self, tenant_id: UUID, claims: Sequence[Sequence[bytes]]) -> None:
        """Give back the locators of sessions that went: of each its id and claim."""
        if claims and not self._is_closed:
            self._errand(self._all_released(tenant_id, claims))

    async def _all_released(self, tenant_id: UUID, claims: Sequence[Sequence[bytes]]) -> None:
        for start in range(0, len(claims), _RELEASED):
            given = [(UUID(key.decode()), number.decode()) for key, number, *_ in claims[start : start + _RELEASED]]
            await asyncio.gather(*(self._released(key, Claim(tenant_id, number)) for key, number in given))

    async def _released(self, session_id: UUID, given: Claim) -> None:
        later = await release(self._server, self._prefix, session_id, given)
        if later:  # of a save that is under way, or came to nothing
            await self._give_back_if_gone(session_id, given._replace(number=later))

    async def _give_back_if_gone(self, session_id: UUID, located: Claim) -> None:
        if not await self._bar(located.tenant_id, session_id, located.number):
            await release(self._server, self._prefix, session_id, located)

    async def _bar(self, tenant_id: UUID, session_id: UUID, number: str) -> bool:
        is_there, evicted = await self._ask("bar", tenant_id, self._wants_evicted, session_id.hex, number)
        self._were_evicted(tenant_id, evicted)
        return bool(is_there)

    def _were_evicted(self, tenant_id: UUID, evicted: Iterable[Sequence[bytes]]) -> None:
        """Note what a function let go of: of each its id, claim, reason and row."""
        gone = list(evicted)
        self._give_back(tenant_id, gone)
        if self._eviction.on_evict is not None and gone:
            self._evicted.extend((row, EvictionReason(reason.decode())) for _, _, reason, row in gone)
            self._tell_soon()

    @property
    def _wants_evicted(self) -> str:
        return "1" if self._eviction.on_evict is not None else ""

    # -- the change feed --

    def changes(self, *, since: int | None = None, tenant_id: UUID | None = None) -> AsyncIterator[Change[S]]:
        """Follow what is committed, by any process: see `SessionStore.changes`.

        With `tenant_id`, of that tenant alone. On a cluster, where each tenant has a feed and numbers of its own, that
        has to be given.
        """
        if self._is_closed:
            raise StoreClosedError
        if since is not None:
            since = check.at_least("since", since, 0, "0 follows from the first change on")
        if tenant_id is not None:
            tenant_id = check.exact_id("tenant_id", tenant_id)
        elif self._address.is_cluster:
            raise NotImplementedError("on a cluster there is a feed for each tenant: give tenant_id")
        block = max(int(min(self._address.timeout / 2, 1.0) * 1000), 1)
        reader: Reader[S] = Reader(self, self._feed_of(tenant_id), since, self._opened, tenant_id, block)
        self._readers.add(reader)
        self._unbegun.append(reader)
        return reader

    async def _begin_reading(self) -> None:
        """Give readers their places, before anything else is asked that they may have to read of."""
        async with self._beginning:
            while self._unbegun:
                with suppress(ChangesLostError):  # it is told so when it is read
                    await self._unbegun[0].begin()
                self._unbegun.pop(0)

    def _check_loop_of_reader(self) -> None:
        if not self._is_closed:
            self._check_loop()

    async def _follow(self, reader: Reader[Any]) -> int:
        function_keys = [reader.key, reader.key + b"feed", reader.key + b"changes"]
        return int((await self._server.call("follow", function_keys, "", "", self._changes_kept))[1])

    async def _read_changes(self, reader: Reader[Any], since: int, block: int | None) -> list[Entry]:
        key = reader.key + b"changes"
        waiting = () if block is None else ("BLOCK", block)
        command = ("XREAD", "COUNT", CHANGES_AT_ONCE, *waiting, "STREAMS", key, f"{since}-0")
        found = await self._server.command("changes", *command, key=key, is_apart=block is not None)
        return [(int(number.partition(b"-")[0]), fields) for number, fields in found[0][1]] if found else []

    async def _last_change(self, reader: Reader[Any]) -> int:
        key = reader.key + b"feed"
        return int(await self._server.command("changes", "HGET", key, "sequence", key=key) or 0)

    async def _wait_until_closing(self) -> None:
        await self._closing.wait()

    # -- open and closed --

    async def __aenter__(self) -> Self:
        self._check_loop()
        if self._eviction.idle_ttl is not None and self._sweeper is None:
            pause = min(_PAUSE, self._eviction.idle_ttl.total_seconds())
            sweeping = repeat_until(self._closing, pause, self._sweep_all)
            self._sweeper = asyncio.create_task(sweeping, name="sessiondex sweeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._errands and self._loop is get_running_loop():
            await asyncio.wait(self._errands)  # they ask the store, which would refuse them
        if not self._leave_loop():
            return
        # Each step may be done again: the first call may have been interrupted, or may be under way.
        self._turns.close()
        self._creations.close()
        self._closing.set()
        if self._sweeper is not None and not self._sweeper.done():
            await asyncio.wait([self._sweeper])
        await asyncio.gather(*(_without_fail(reader.drain()) for reader in list(self._readers)))
        self._readers.clear()  # to close the store again asks the server nothing
        await self._all_told()
        if self._errands:
            await asyncio.wait(self._errands)
        await self._guard.aclose()

    async def health_check(self) -> bool:
        if self._is_closed:
            return False
        self._check_loop()
        try:
            key = f"{self._prefix}:tenants".encode()  # and not PING, which a user may who may nothing else
            await self._server.command("health_check", "EXISTS", key, key=key)
        except StoreUnavailableError:
            return False
        return self._sweeper is None or not self._sweeper.done()

    # -- sweeping --

    async def _sweep(self, tenant_id: UUID) -> None:
        """Evict all of the tenant that have expired, some at a time."""
        while await self._sweep_some(tenant_id):
            pass

    async def _sweep_some(self, tenant_id: UUID) -> bool:
        is_more, evicted = await self._ask("sweep", tenant_id, self._wants_evicted, _SWEPT)
        self._were_evicted(tenant_id, evicted)
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

    async def _tenants(self, first: str = "") -> AsyncIterator[UUID]:
        """Yield all tenants that ever were, in the order of their ids, from that one on."""
        key, start = f"{self._prefix}:tenants".encode(), f"[{first}"
        some = ("+", "LIMIT", 0, _TENANTS)
        while names := await self._server.command("tenants", "ZRANGEBYLEX", key, start, *some, key=key):
            for name in names:
                yield UUID(name.decode())
            start = f"({names[-1].decode()}"

    async def _know(self, tenant_id: UUID) -> None:
        """Have the tenant among those that there are, before it has any session, and again now and then."""
        now, known_until = get_running_loop().time(), self._known_tenants.get(tenant_id)
        if known_until is None:
            await self._tell_of(tenant_id)
        elif known_until <= now:
            self._errand(self._tell_of(tenant_id))
        else:
            return
        self._known_tenants[tenant_id] = now + _KNOWN_FOR

    async def _tell_of(self, tenant_id: UUID) -> None:
        server, key = self._server, f"{self._prefix}:tenants".encode()
        await self._answered(server, server.command("save", "ZADD", key, 0, tenant_id.hex, key=key))


async def _open_until_the_loop_ends(server: Server) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await server.close()


async def _without_fail(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except StoreClosedError:
        pass  # it is too late for what can be left undone
    except Exception as error:  # noqa: BLE001  # nobody waits for it
        log.warning("what runs in the background of a store failed: %s: %s", type(error).__name__, error)
