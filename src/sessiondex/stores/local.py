"""What the stores within one process share: the loop that they belong to, stamps, checks, and copies out.

A store says how it finds and changes snapshots, in plain synchronous methods; the coroutines of the contract stand
here, once. Readers take no lock: they look everything up without an `await`, so that no write can come between, and
what they find are snapshots, which nobody changes. Writers hold the lock, and change everything without an `await` too:
so far nobody ever waits for it. It states the rule, and keeps it when a store has something to await.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from asyncio import get_running_loop
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sessiondex.clock import StampClock
from sessiondex.contract import S, SessionStore
from sessiondex.errors import TenantMismatchError, WrongLoopError
from sessiondex.models import Channel, ScopeFilter, SessionStatus, utc_now
from sessiondex.records import Records
from sessiondex.stores import arguments as check

_SLICE = 500  # copies between two turns of the loop: about a millisecond

# Held while a store goes from one loop to another, never while it works.
_handover = threading.Lock()


class LocalSessionStore(SessionStore[S]):
    """A session store within one process. `clock` returns the present instant as an aware datetime.

    It keeps stamps, isolation, checked arguments and loops (laws 1, 3, 6, 11 and 12). A subclass finds, puts and
    removes snapshots, never changes what is in one, and changes nothing if it raises.
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
        snapshot = self._get(session_id, tenant_id)
        return None if snapshot is None else self._records.copy(snapshot)

    async def save(self, session: S) -> UUID:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        async with self._lock:
            stamp = self._stamps.plan()
            earlier = self._earlier(session)
            snapshot = self._records.snapshot(session, stamp, earlier)
            if earlier is not None and earlier.tenant_id != snapshot.tenant_id:
                raise TenantMismatchError(snapshot.session_id)
            fields_set = getattr(session, "__pydantic_fields_set__", ())
            if "last_activity_at" not in fields_set:
                fields_set = {*fields_set, "last_activity_at"}
            self._put(snapshot, earlier)
            self._stamps.take(stamp)
            # Past validation and past a frozen subclass: the session is stored now, so this must not fail.
            session.__dict__["last_activity_at"] = stamp
            object.__setattr__(session, "__pydantic_fields_set__", fields_set)
        return snapshot.session_id

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        check.is_id("session_id", session_id)
        if tenant_id is not None:
            check.is_id("tenant_id", tenant_id)
        async with self._lock:
            return self._remove(session_id, tenant_id)

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if type(tenant_id) is not UUID:
            check.is_id("tenant_id", tenant_id)
        if type(channel) is not Channel:
            channel = check.channel(channel)
        check.user_channel_id(user_channel_id)
        snapshot = self._latest_by_channel(tenant_id, channel, user_channel_id)
        return None if snapshot is None else self._records.copy(snapshot)

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
    def _get(self, session_id: UUID, tenant_id: UUID | None) -> S | None: ...

    @abstractmethod
    def _put(self, snapshot: S, earlier: S | None) -> None: ...

    @abstractmethod
    def _remove(self, session_id: UUID, tenant_id: UUID | None) -> bool: ...

    @abstractmethod
    def _latest_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None: ...

    @abstractmethod
    def _newest_by_agent(
        self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None, limit: int
    ) -> list[S]: ...

    @abstractmethod
    def _newest_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, limit: int) -> list[S]: ...

    @abstractmethod
    def _at_step(
        self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str, scope: ScopeFilter | None
    ) -> list[S]: ...

    # -- copies and loops --

    def _earlier(self, session: object) -> S | None:
        session_id = getattr(session, "session_id", None)
        return self._get(session_id, None) if isinstance(session_id, UUID) else None

    async def _copies(self, snapshots: list[S]) -> list[S]:
        if len(snapshots) <= _SLICE:
            return self._records.copies(snapshots)
        copies: list[S] = []
        for start in range(0, len(snapshots), _SLICE):
            copies += self._records.copies(snapshots[start : start + _SLICE])
            await asyncio.sleep(0)  # others have their turn; what was found is ours
        return copies

    def _move_to_this_loop(self) -> None:
        # Every method comes here unless the loop is the one of last time, which it finds out without a call.
        with _handover:
            if self._loop is not None and self._loop.is_running():
                raise WrongLoopError
            self._loop = get_running_loop()
            self._lock = asyncio.Lock()  # a lock that was ever waited for is bound to its loop
