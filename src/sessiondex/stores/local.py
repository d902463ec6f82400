"""What the stores within one process share: the loop that they belong to, stamps, checks, and the order of a write.

A store says how it finds, puts and removes sessions, in plain synchronous methods; the coroutines of the contract stand
here, once. Readers take no lock: they look everything up without an `await`, so that no write can come between, and
what they find is nothing that a write changes. Writers hold the lock while they check, which in bulk they do with an
`await` now and then, and while they write, which they do without.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from asyncio import get_running_loop
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import cycle
from typing import Any, Generic, NamedTuple
from uuid import UUID

from sessiondex.clock import StampClock
from sessiondex.contract import S, SessionStore
from sessiondex.errors import SessiondexError, TenantMismatchError, WrongLoopError
from sessiondex.models import Channel, ScopeFilter, SessionStatus, utc_now
from sessiondex.records import Kept, Records
from sessiondex.stores import arguments as check

# Between two turns of the loop: a few milliseconds, if none of the sessions is hot.
_COPIES, _CHECKS = 100, 25

# Held while a store goes from one loop to another, never while it works.
_handover = threading.Lock()


class _Write(NamedTuple, Generic[S]):
    """A save of which all that can fail has been done. `plan` is the store's own."""

    session: S
    session_id: UUID
    tenant_id: UUID
    stamp: datetime
    plan: Any


class LocalSessionStore(SessionStore[S]):
    """A session store within one process. `clock` returns the present instant as an aware datetime.

    It keeps stamps, isolation, checked arguments and loops (laws 1, 3, 6, 11 and 12). A subclass finds, puts and
    removes sessions, and changes nothing if it raises.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._stamps = StampClock(clock)
        self._records = Records()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if type(session_id) is not UUID:  # as it always is, told without a call: here that is a tenth of the cost
            check.is_id("session_id", session_id)
        if tenant_id is not None:
            check.is_id("tenant_id", tenant_id)
        return self._get(session_id, tenant_id)

    async def save(self, session: S) -> UUID:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            write = self._prepare(session, self._stamps.plan(), in_bulk=False)
            self._apply(write.plan)
            self._stamps.take(write.stamp)
            _stamp(write)
        return write.session_id

    async def save_many(self, sessions: Iterable[S]) -> list[UUID]:
        return await self._save_batch(list(check.many("sessions", sessions, "save")), 0)

    async def load(self, sessions: Iterable[S] | AsyncIterable[S], *, batch: int = 500) -> int:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        check.batch(batch)
        count = 0
        some: list[S] = []
        async with aclosing(_each(check.many_or_async("sessions", sessions))) as each:
            async for session in each:
                some.append(session)
                if len(some) == batch:
                    count += len(await self._save_batch(some, count))
                    await asyncio.sleep(0)  # writing was one step; to let go of what was written is another
                    some = []
        return count + len(await self._save_batch(some, count))

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        check.is_id("session_id", session_id)
        if tenant_id is not None:
            check.is_id("tenant_id", tenant_id)
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            return self._remove([session_id], tenant_id) == 1

    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        ids = list(check.many("session_ids", session_ids, "delete"))
        for session_id in ids:
            check.is_id("session_ids", session_id)
        if tenant_id is not None:
            check.is_id("tenant_id", tenant_id)
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            return self._remove(ids, tenant_id)

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if type(tenant_id) is not UUID:
            check.is_id("tenant_id", tenant_id)
        if type(channel) is not Channel:
            channel = check.channel(channel)
        check.user_channel_id(user_channel_id)
        return self._latest_by_channel(tenant_id, channel, user_channel_id)

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[S]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        check.is_id("tenant_id", tenant_id)
        check.is_id("agent_id", agent_id)
        check.limit(limit)
        return await self._copies(self._newest_by_agent(tenant_id, agent_id, check.optional_status(status), limit))

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[S]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        check.is_id("tenant_id", tenant_id)
        check.is_id("customer_profile_id", customer_profile_id)
        check.limit(limit)
        return await self._copies(self._newest_by_customer(tenant_id, customer_profile_id, limit))

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        check.is_id("tenant_id", tenant_id)
        check.is_id("scenario_id", scenario_id)
        check.is_integer("scenario_version", scenario_version)
        check.is_text("step_content_hash", step_content_hash)
        scope = check.optional_scope_filter(scope_filter)
        found = self._at_step(tenant_id, scenario_id, scenario_version, step_content_hash, scope)
        return await self._copies(found)

    # -- what a store says --

    @abstractmethod
    def _get(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        """Return a session that is the caller's own, as all that is given out."""

    @abstractmethod
    def _live(self, session_id: UUID) -> S | None:
        """Return the snapshot of the stored session, if there is one at hand."""

    @abstractmethod
    def _plan(self, kept: Kept[S], earlier: S | None, *, in_bulk: bool) -> Any:
        """Return how to put the snapshot, in place of that of its id. Other than in bulk, it is done at once.

        Raises:
            TenantMismatchError: there is one of its id that is another tenant's.
        """

    @abstractmethod
    def _apply(self, plan: Any) -> None:
        """Do what was planned, without fail."""

    @abstractmethod
    def _remove(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        """Remove these sessions, all at once and without fail, and return how many there were."""

    @abstractmethod
    def _latest_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None: ...

    # Lists are found at once, as anything that stays as it is, and made sessions to give out a few at a time.

    @abstractmethod
    def _newest_by_agent(
        self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None, limit: int
    ) -> Sequence[Any]: ...

    @abstractmethod
    def _newest_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, limit: int) -> Sequence[Any]: ...

    @abstractmethod
    def _at_step(
        self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str, scope: ScopeFilter | None
    ) -> Sequence[Any]: ...

    @abstractmethod
    def _given_out(self, found: Sequence[Any]) -> list[S]:
        """Return what was found as sessions that are the caller's own."""

    # -- writes, copies and loops --

    def _prepare(self, session: S, stamp: datetime, *, in_bulk: bool) -> _Write[S]:
        session_id = getattr(session, "session_id", None)
        earlier = self._live(session_id) if isinstance(session_id, UUID) else None
        kept = self._records.snapshot(session, stamp, earlier)
        plan = self._plan(kept, earlier, in_bulk=in_bulk)
        # Without the snapshot, unless it is in the plan: of many, that would be much to let go of in the end.
        return _Write(session, kept.snapshot.session_id, kept.snapshot.tenant_id, stamp, plan)

    async def _save_batch(self, sessions: Sequence[S], first: int) -> list[UUID]:
        """Save all or none; `first` is the number of the first among those that the caller gave."""
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        writes: list[_Write[S]] = []
        last_of: dict[bytes, _Write[S]] = {}  # not by UUID, whose hash anyone can make collide
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            stamp = None
            for place, session in enumerate(sessions):
                if place % _CHECKS == _CHECKS - 1:
                    await asyncio.sleep(0)
                try:
                    stamp = self._stamps.plan(stamp)
                    write = self._prepare(session, stamp, in_bulk=True)
                    before = last_of.get(write.session_id.bytes)
                    if before is not None and before.tenant_id != write.tenant_id:
                        raise TenantMismatchError(write.session_id)
                except SessiondexError as error:
                    error.add_note(
                        f"It was session number {first + place}, counted from 0; nothing of its batch is saved."
                    )
                    raise
                writes.append(write)
                last_of[write.session_id.bytes] = write
            self._check_is_ours(lock)
            for write in last_of.values():
                self._apply(write.plan)
            for write in writes:
                self._stamps.take(write.stamp)
                _stamp(write)
        return [write.session_id for write in writes]

    async def _copies(self, found: Sequence[Any]) -> list[S]:
        if len(found) <= _COPIES:
            return self._given_out(found)
        copies: list[S] = []
        for start in range(0, len(found), _COPIES):
            copies += self._given_out(found[start : start + _COPIES])
            await asyncio.sleep(0)  # others have their turn; what was found is ours
            if get_running_loop() is not self._loop:
                self._move_to_this_loop()
        return copies

    def _check_is_ours(self, lock: asyncio.Lock) -> None:
        if lock is not self._lock:  # this loop stood still, and meanwhile the store went over to another
            raise WrongLoopError

    def _move_to_this_loop(self) -> None:
        # Every method comes here unless the loop is the one of last time, which it finds out without a call.
        with _handover:
            if self._loop is not None and self._loop.is_running():
                raise WrongLoopError
            self._loop = get_running_loop()
            self._lock = asyncio.Lock()  # a lock that was ever waited for is bound to its loop


def _stamp(write: _Write[S]) -> None:
    # Past validation and past a frozen subclass: the session is stored now, so this must not fail.
    session = write.session
    session.__dict__["last_activity_at"] = write.stamp
    fields_set: set[str] = getattr(session, "__pydantic_fields_set__", set())
    if "last_activity_at" not in fields_set:
        object.__setattr__(session, "__pydantic_fields_set__", {*fields_set, "last_activity_at"})


async def _each(sessions: Iterable[S] | AsyncIterable[S]) -> AsyncGenerator[S, None]:
    turn = cycle(range(_CHECKS))
    if isinstance(sessions, AsyncIterable):
        async for session in sessions:
            if not next(turn):
                await asyncio.sleep(0)  # it need not have waited for anything
            yield session
    else:
        for session in sessions:
            if not next(turn):
                await asyncio.sleep(0)  # making them takes time as well
            yield session
