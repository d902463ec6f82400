"""The coroutines of the contract, for every store within one process.

Readers take no lock: they look everything up without an `await`, so that no write can come between, and what they find
is nothing that a write changes. Writers hold the lock while they check, which in bulk they do with an `await` now and
then, and while they write, which they do without.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from inspect import isawaitable
from typing import Any
from uuid import UUID

from sessiondex.contract import S
from sessiondex.errors import SessiondexError, TenantMismatchError
from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.records import mark_saved
from sessiondex.stores import arguments as check
from sessiondex.stores.commits import Write, id_of
from sessiondex.stores.composed import CHECKS, ComposedOperations, check_has_identity, note_place, saved_as
from sessiondex.stores.lifecycle import LifeCycle

# Between two turns of the loop: a few milliseconds, if none of the sessions is hot.
_COPIES = 100

_SWEPT_BY_A_WRITE = 2  # more than a write adds, so that it keeps ahead whoever else sweeps


class LocalSessionStore(LifeCycle[S], ComposedOperations[S]):
    """A session store within one process. A subclass finds, puts and removes sessions: it is a `Backend`."""

    # -- one session --

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if type(session_id) is not UUID:  # as it always is, told without a call: here that is a tenth of the cost
            session_id = check.exact_id("session_id", session_id)
        if tenant_id is not None:
            tenant_id = check.exact_id("tenant_id", tenant_id)
        return self._get(session_id, tenant_id, self._since())

    async def save(self, session: S, *, expected_revision: int | None = None) -> UUID:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if expected_revision is not None:
            expected_revision = check.at_least(
                "expected_revision", expected_revision, 0, "0 expects that there is no session yet"
            )
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            return self._save(session, expected_revision).session_id

    async def _save_instead(self, session: S, revision: int, stamp: datetime) -> None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            self._save(session, revision, stamp)

    def _save(self, session: S, expected: int | None, expected_stamp: datetime | None = None) -> Write[S]:
        since = self._since()  # once, and first: the clock is the user's, and may fail
        stamp = self._stamps.plan()
        write = self._prepare(
            session, stamp, since=since, expected=expected, expected_stamp=expected_stamp, in_bulk=False
        )
        self._commit_writes([write])
        mark_saved(session, write.stamp, write.revision)
        if self._eviction.is_on:
            self._evict_surplus(since)
            self._evict_idle(_SWEPT_BY_A_WRITE, since)
        return write

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        session_id = check.exact_id("session_id", session_id)
        return await self._delete([session_id], tenant_id) == 1

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        if type(tenant_id) is not UUID:
            tenant_id = check.exact_id("tenant_id", tenant_id)
        if type(channel) is not Channel:
            channel = check.channel(channel)
        user_channel_id = check.user_channel_id(user_channel_id)
        return self._latest_by_channel(tenant_id, channel, user_channel_id, self._since(), is_open=False)

    async def get_or_create(
        self, tenant_id: UUID, channel: Channel, user_channel_id: str, create: Callable[[], S | Awaitable[S]]
    ) -> tuple[S, bool]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        identity = check.identity(tenant_id, channel, user_channel_id)
        check.callback("create", create)
        found = self._latest_by_channel(*identity, self._since(), is_open=True)
        if found is not None:
            return found, False
        lock = self._lock  # now: while it creates, the store may go over to another loop
        async with self._creations.turn(repr(identity).encode()):
            self._check_is_ours(lock)
            found = self._latest_by_channel(*identity, self._since(), is_open=True)
            if found is not None:
                return found, False
            made = create()
            session = (await made) if isawaitable(made) else made
            check_has_identity(session, identity)
            async with lock:
                self._check_is_ours(lock)
                found = self._latest_by_channel(*identity, self._since(), is_open=True)
                if found is None:  # as it is, unless another was saved meanwhile
                    self._save(session, 0)
            return (session, True) if found is None else (found, False)

    # -- many sessions --

    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        ids = [check.exact_id("session_ids", one) for one in check.many("session_ids", session_ids, "delete")]
        return await self._delete(ids, tenant_id)

    async def _save_batch(self, sessions: Sequence[S], first: int) -> list[UUID]:
        """Save all or none; `first` is the number of the first among those that the caller gave."""
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        writes: list[Write[S]] = []
        last_of: dict[bytes, Write[S]] = {}  # not by UUID, whose hash anyone can make collide
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            stamp, since = None, self._since()
            for place, session in enumerate(sessions):
                if place % CHECKS == CHECKS - 1:
                    self._evict_idle(_SWEPT_BY_A_WRITE * CHECKS, since)
                    await asyncio.sleep(0)
                try:
                    stamp = self._stamps.plan(stamp)
                    session_id = id_of(session)
                    before = None if session_id is None else last_of.get(session_id.bytes)
                    write = self._prepare(session, stamp, since=since, before=before, in_bulk=True)
                    if before is not None and before.tenant_id != write.tenant_id:
                        raise TenantMismatchError(write.session_id)
                except SessiondexError as error:
                    note_place(error, first + place)
                    raise
                writes.append(write)
                last_of.pop(write.session_id.bytes, None)  # so that they are committed in the order of their stamps
                last_of[write.session_id.bytes] = write
            self._check_is_ours(lock)
            if writes:
                self._commit_writes(list(last_of.values()))
            for write in writes:
                mark_saved(write.session, write.stamp, write.revision)
            if self._eviction.is_on:
                self._evict_surplus(since)
                self._evict_idle(_SWEPT_BY_A_WRITE * CHECKS, since)
        return [write.session_id for write in writes]

    # -- moving --

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        after = None if cursor is None else check.id_in_cursor(cursor)
        limit = check.at_least("limit", limit, 1, "some hundred is a good size")
        since = self._since()
        found = await self._copies(self._some_of_all(after, limit))
        last = found[-1].session_id.hex if len(found) == limit else None
        return [session for session in found if since is None or session.last_activity_at >= since], last

    async def restore(self, sessions: Iterable[S]) -> int:
        given = list(check.many("sessions", sessions, "save"))
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        writes: dict[bytes, Write[S]] = {}
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            since = self._since()
            for place, session in enumerate(given):
                if place % CHECKS == CHECKS - 1:
                    await asyncio.sleep(0)
                try:
                    stamp, revision = saved_as(session)
                    write = self._prepare(session, stamp, since=since, revision=revision, in_bulk=True)
                except SessiondexError as error:
                    note_place(error, place)
                    raise
                there, key = self._stamp_of(write.session_id), write.session_id.bytes
                is_late = (there is None or there < stamp) and (since is None or stamp >= since)
                if is_late and (key not in writes or writes[key].stamp < stamp):
                    writes[key] = write
            self._check_is_ours(lock)
            if writes:
                self._commit_writes(sorted(writes.values(), key=lambda write: write.stamp))
            if self._eviction.is_on:
                self._evict_surplus(since)
        return len(writes)

    async def _delete(self, session_ids: Iterable[UUID], tenant_id: UUID | None) -> int:
        if tenant_id is not None:
            tenant_id = check.exact_id("tenant_id", tenant_id)
        lock = self._lock
        async with lock:
            self._check_is_ours(lock)
            return self._remove(session_ids, tenant_id)

    # -- lists --

    async def list_by_agent(
        self,
        tenant_id: UUID,
        agent_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[S]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        agent_id = check.exact_id("agent_id", agent_id)
        limit = check.at_least("limit", limit, 0, "0 gives an empty list")
        before = check.cursor(before)
        wanted = check.optional_status(status)
        return await self._copies(self._newest_by_agent(tenant_id, agent_id, wanted, limit, before, self._since()))

    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100, before: datetime | None = None
    ) -> list[S]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        customer_profile_id = check.exact_id("customer_profile_id", customer_profile_id)
        limit = check.at_least("limit", limit, 0, "0 gives an empty list")
        before = check.cursor(before)
        found = self._newest_by_customer(tenant_id, customer_profile_id, limit, before, self._since())
        return await self._copies(found)

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
        tenant_id = check.exact_id("tenant_id", tenant_id)
        scenario_id = check.exact_id("scenario_id", scenario_id)
        scenario_version = check.exact_int("scenario_version", scenario_version)
        step_content_hash = check.exact_text("step_content_hash", step_content_hash)
        scope = check.optional_scope_filter(scope_filter)
        since = self._since()
        found = self._at_step(tenant_id, scenario_id, scenario_version, step_content_hash, scope, since)
        return await self._copies(found)

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

    # -- counts: of all that is there, once nothing is that has expired --

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        agent_id = check.exact_id("agent_id", agent_id)
        wanted = check.optional_status(status)
        await self._sweep_if_needed()
        return self._count_by_agent(tenant_id, agent_id, wanted)

    async def count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        customer_profile_id = check.exact_id("customer_profile_id", customer_profile_id)
        await self._sweep_if_needed()
        return self._count_by_customer(tenant_id, customer_profile_id)

    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        scenario_id = check.exact_id("scenario_id", scenario_id)
        scenario_version = check.exact_int("scenario_version", scenario_version)
        step_content_hash = check.exact_text("step_content_hash", step_content_hash)
        await self._sweep_if_needed()
        return self._count_at_step(tenant_id, scenario_id, scenario_version, step_content_hash)

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        if get_running_loop() is not self._loop:
            self._move_to_this_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        scenario_id = check.exact_id("scenario_id", scenario_id)
        scenario_version = check.exact_int("scenario_version", scenario_version)
        await self._sweep_if_needed()
        return self._count_steps(tenant_id, scenario_id, scenario_version)
