"""Answer queries from the indexes on the server: identities, lists, counts and steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Generic
from uuid import UUID

from sessiondex.clock import microseconds
from sessiondex.contract import S
from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.stores import arguments as check
from sessiondex.stores.redis import keys
from sessiondex.stores.redis.locks import RedisLocks

PAGE_SIZE = 500  # sessions in one answer


class RedisQueries(RedisLocks[S], Generic[S]):
    """Implements the queries, each of one tenant. A query that meets index entries of lost sessions removes them."""

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        self._check_loop()
        return await self._latest(*check.identity(tenant_id, channel, user_channel_id), is_open=False)

    async def _latest(self, tenant_id: UUID, channel: Channel, user_channel_id: str, *, is_open: bool) -> S | None:
        lists = [keys.identity(channel, user_channel_id, is_open=True)]
        if not is_open:
            lists.append(keys.identity(channel, user_channel_id, is_open=False))
        row, stale = await self._call("latest", tenant_id, *lists)
        self._repair(tenant_id, stale)
        return None if row is None else self._to_session(row, tenant_id)

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
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        list_key = keys.agent(check.exact_id("agent_id", agent_id), check.optional_status(status))
        return await self._list(tenant_id, list_key, limit, before)

    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100, before: datetime | None = None
    ) -> list[S]:
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        list_key = keys.customer(check.exact_id("customer_profile_id", customer_profile_id))
        return await self._list(tenant_id, list_key, limit, before)

    async def _list(self, tenant_id: UUID, list_key: str, limit: int, before: datetime | None) -> list[S]:
        limit = check.at_least("limit", limit, 0, "0 gives an empty list")
        before = check.cursor(before)
        found: list[S] = []
        while len(found) < limit:
            wanted = min(limit - len(found), PAGE_SIZE)
            upper_stamp = "" if before is None else str(microseconds(before))
            rows, stale = await self._call("list", tenant_id, list_key, wanted, upper_stamp)
            self._repair(tenant_id, stale)
            found += [self._to_session(row, tenant_id) for row in rows]
            if len(rows) < wanted:
                break
            before = found[-1].last_activity_at
        return found

    def _repair(self, tenant_id: UUID, stale: Sequence[Sequence[bytes]]) -> None:
        """Remove stale entries in the background: pairs of list and id whose sessions the server has lost."""
        ids_by_list: dict[bytes, list[bytes]] = {}
        for list_key, session_id in stale:
            ids_by_list.setdefault(list_key, []).append(session_id)
        for list_key, ids in ids_by_list.items():
            self._spawn(self._call_and_ignore("repair", tenant_id, list_key, *ids))

    async def _call_and_ignore(self, function: str, tenant_id: UUID, *args: str | bytes | int) -> None:
        await self._call(function, tenant_id, *args)

    # -- sessions at a step --

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        """Return every active session at that step, see `SessionStore.find_sessions_by_step_hash`.

        More than 500 sessions take several calls. A session that is at the step during all of them is returned once.
        """
        self._check_loop()
        tenant_id, version = self._checked_version(tenant_id, scenario_id, scenario_version)
        step_content_hash = check.exact_text("step_content_hash", step_content_hash)
        ages, sets = keys.scope(check.optional_scope_filter(scope_filter))
        found: dict[bytes, S] = {}
        after: Sequence[bytes | str] = ("", "")
        while after:
            rows, stale, after = await self._call(
                "step", tenant_id, version, step_content_hash, *ages, PAGE_SIZE, *after, *sets
            )
            if stale:
                entries = [part for pair in stale for part in pair]
                self._spawn(self._call_and_ignore("repair_step", tenant_id, version, step_content_hash, *entries))
            for row in rows:
                session = self._to_session(row, tenant_id)
                found[session.session_id.bytes] = session
        return sorted(found.values(), key=lambda session: session.last_activity_at, reverse=True)

    @staticmethod
    def _checked_version(tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> tuple[UUID, str]:
        tenant_id = check.exact_id("tenant_id", tenant_id)
        scenario_id = check.exact_id("scenario_id", scenario_id)
        scenario_version = check.exact_int("scenario_version", scenario_version)
        return tenant_id, keys.version(scenario_id, scenario_version)

    # -- counts: expired sessions are evicted first --

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        list_key = keys.agent(check.exact_id("agent_id", agent_id), check.optional_status(status))
        return await self._count("count", tenant_id, list_key)

    async def count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        list_key = keys.customer(check.exact_id("customer_profile_id", customer_profile_id))
        return await self._count("count", tenant_id, list_key)

    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        self._check_loop()
        tenant_id, version = self._checked_version(tenant_id, scenario_id, scenario_version)
        step_content_hash = check.exact_text("step_content_hash", step_content_hash)
        return await self._count("count_step", tenant_id, version, step_content_hash)

    async def _count(self, function: str, tenant_id: UUID, *args: str) -> int:
        await self._sweep_if_needed(tenant_id)
        (count,) = await self._call(function, tenant_id, *args)
        return int(count)

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        self._check_loop()
        tenant_id, version = self._checked_version(tenant_id, scenario_id, scenario_version)
        await self._sweep_if_needed(tenant_id)
        (counts,) = await self._call("count_steps", tenant_id, version)
        return {step.decode(): int(count) for step, count in counts if count}
