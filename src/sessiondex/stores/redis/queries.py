"""What a Redis store answers from its indexes: the latest of an identity, lists, counts, and who stands at a step."""

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
from sessiondex.stores.redis.turns import RedisTurns

ROWS_AT_ONCE = 500  # sessions in one answer, of what has no limit


class RedisQueries(RedisTurns[S], Generic[S]):
    """The queries, each of one tenant. Entries whose sessions were lost are taken out as they are met."""

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        self._check_loop()
        return await self._latest(*check.identity(tenant_id, channel, user_channel_id), is_open=False)

    async def _latest(self, tenant_id: UUID, channel: Channel, user_channel_id: str, *, is_open: bool) -> S | None:
        entries = [keys.identity(channel, user_channel_id, is_open=True)]
        if not is_open:
            entries.append(keys.identity(channel, user_channel_id, is_open=False))
        row, lost = await self._ask("latest", tenant_id, *entries)
        self._mend(tenant_id, lost)
        return None if row is None else self._session(row, tenant_id)

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
        entry = keys.agent(check.exact_id("agent_id", agent_id), check.optional_status(status))
        return await self._list(tenant_id, entry, limit, before)

    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100, before: datetime | None = None
    ) -> list[S]:
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        entry = keys.customer(check.exact_id("customer_profile_id", customer_profile_id))
        return await self._list(tenant_id, entry, limit, before)

    async def _list(self, tenant_id: UUID, entry: str, limit: int, before: datetime | None) -> list[S]:
        limit = check.at_least("limit", limit, 0, "0 gives an empty list")
        before = check.cursor(before)
        found: list[S] = []
        while len(found) < limit:
            wanted = min(limit - len(found), ROWS_AT_ONCE)
            since = "" if before is None else str(microseconds(before))
            rows, lost = await self._ask("list", tenant_id, entry, wanted, since)
            self._mend(tenant_id, lost)
            found += [self._session(row, tenant_id) for row in rows]
            if len(rows) < wanted:
                break
            before = found[-1].last_activity_at
        return found

    def _mend(self, tenant_id: UUID, lost: Sequence[Sequence[bytes]]) -> None:
        """Take entries out of an index whose sessions the server has lost."""
        of_entry: dict[bytes, list[bytes]] = {}
        for entry, session_id in lost:
            of_entry.setdefault(entry, []).append(session_id)
        for entry, ids in of_entry.items():
            self._errand(self._asked("mend", tenant_id, entry, *ids))

    async def _asked(self, function: str, tenant_id: UUID, *args: str | bytes | int) -> None:
        await self._ask(function, tenant_id, *args)

    # -- who stands at a step --

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        """Return every active session at that step: see `SessionStore.find_sessions_by_step_hash`.

        More than 500 are read in several calls: each that stands there throughout comes, once.
        """
        self._check_loop()
        tenant_id, version = self._checked_version(tenant_id, scenario_id, scenario_version)
        step_content_hash = check.exact_text("step_content_hash", step_content_hash)
        ages, sets = keys.scope(check.optional_scope_filter(scope_filter))
        found: dict[bytes, S] = {}
        after: Sequence[bytes | str] = ("", "")
        while after:
            rows, lost, after = await self._ask(
                "step", tenant_id, version, step_content_hash, *ages, ROWS_AT_ONCE, *after, *sets
            )
            if lost:
                gone = [part for pair in lost for part in pair]
                self._errand(self._asked("mend_step", tenant_id, version, step_content_hash, *gone))
            for row in rows:
                session = self._session(row, tenant_id)
                found[session.session_id.bytes] = session
        return sorted(found.values(), key=lambda session: session.last_activity_at, reverse=True)

    @staticmethod
    def _checked_version(tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> tuple[UUID, str]:
        tenant_id = check.exact_id("tenant_id", tenant_id)
        scenario_id = check.exact_id("scenario_id", scenario_id)
        scenario_version = check.exact_int("scenario_version", scenario_version)
        return tenant_id, keys.version(scenario_id, scenario_version)

    # -- counts: of all that is there, once nothing is that has expired --

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        entry = keys.agent(check.exact_id("agent_id", agent_id), check.optional_status(status))
        return await self._count("count", tenant_id, entry)

    async def count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        self._check_loop()
        tenant_id = check.exact_id("tenant_id", tenant_id)
        entry = keys.customer(check.exact_id("customer_profile_id", customer_profile_id))
        return await self._count("count", tenant_id, entry)

    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        self._check_loop()
        tenant_id, version = self._checked_version(tenant_id, scenario_id, scenario_version)
        step_content_hash = check.exact_text("step_content_hash", step_content_hash)
        return await self._count("count_step", tenant_id, version, step_content_hash)

    async def _count(self, function: str, tenant_id: UUID, *args: str) -> int:
        await self._sweep_if_needed(tenant_id)
        (count,) = await self._ask(function, tenant_id, *args)
        return int(count)

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        self._check_loop()
        tenant_id, version = self._checked_version(tenant_id, scenario_id, scenario_version)
        await self._sweep_if_needed(tenant_id)
        (counts,) = await self._ask("count_steps", tenant_id, version)
        return {step.decode(): int(count) for step, count in counts if count}
