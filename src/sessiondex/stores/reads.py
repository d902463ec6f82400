"""ReadMethods: the public methods of a `SessionReader`, once, for all stores.

Each method enters the loop guard, checks its arguments, and delegates to the protected methods below, which a store
implements. `get` passes checked arguments on; all others pass values of `queries.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sessiondex import arguments, queries
from sessiondex.contract import SessionStore
from sessiondex.indexed import KnownIndexes
from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.reading import S
from sessiondex.stores.loop_guard import LoopGuard
from sessiondex.stores.pages import iterate_pages


class ReadMethods(SessionStore[S]):
    """Checks arguments and delegates. Holds the loop guard and the indexed fields of the known classes."""

    def __init__(self, guard: LoopGuard, indexes: KnownIndexes) -> None:
        self._guard = guard
        self._indexes = indexes

    # -- to be implemented by stores --

    @abstractmethod
    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        """Return the session, of the tenant if one is given, or `None`."""

    @abstractmethod
    async def _find_many(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> list[S | None]:
        """Return each session, of the tenant if one is given, or `None`."""

    @abstractmethod
    async def _latest(self, query: queries.LatestQuery) -> S | None:
        """Return the latest session that matches, or `None`."""

    @abstractmethod
    async def _newest(self, query: queries.ListQuery, page: queries.Page) -> list[S]:
        """Return a page of sessions, newest first."""

    @abstractmethod
    async def _at_step(self, query: queries.StepQuery) -> list[S]:
        """Return all sessions at the step, newest first."""

    @abstractmethod
    async def _count(self, query: queries.CountQuery) -> int:
        """Return how many sessions match."""

    @abstractmethod
    async def _count_steps(self, query: queries.ScenarioQuery) -> dict[str, int]:
        """Return how many sessions stand at each step, by the hash of the step."""

    def _pages(
        self, query: queries.ListQuery, page_size: int, before: datetime | None, after: datetime | None
    ) -> AsyncIterator[S]:
        first = queries.check_page(arguments.check_batch_size("page_size", page_size), before, after)

        async def read_page(before: int | None) -> list[S]:
            self._guard.enter()
            return await self._newest(query, first._replace(before=before))

        return iterate_pages(read_page, first)

    def _field_query(self, tenant_id: UUID, field: str, value: object) -> queries.FieldQuery:
        return queries.field_query(tenant_id, self._indexes.find(field), value)

    # -- by id --

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        self._guard.enter()
        # Recognised here without a call, which would take a tenth of a read.
        if type(session_id) is not UUID:
            session_id = arguments.check_uuid("session_id", session_id)
        if tenant_id is not None:
            tenant_id = arguments.check_uuid("tenant_id", tenant_id)
        return await self._find(session_id, tenant_id)

    async def get_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> list[S | None]:
        self._guard.enter()
        ids = arguments.check_ids(session_ids, "get")
        return await self._find_many(ids, arguments.check_optional_uuid("tenant_id", tenant_id))

    # -- by channel identity --

    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> S | None:
        self._guard.enter()
        return await self._latest(queries.channel_query(tenant_id, channel, user_channel_id))

    async def list_by_channel(
        self,
        tenant_id: UUID,
        channel: Channel | str,
        user_channel_id: str,
        *,
        limit: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = queries.channel_query(tenant_id, channel, user_channel_id)
        return await self._newest(query, queries.check_page(limit, before, after))

    def iter_by_channel(
        self,
        tenant_id: UUID,
        channel: Channel | str,
        user_channel_id: str,
        *,
        page_size: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> AsyncIterator[S]:
        return self._pages(queries.channel_query(tenant_id, channel, user_channel_id), page_size, before, after)

    async def count_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> int:
        self._guard.enter()
        return await self._count(queries.channel_query(tenant_id, channel, user_channel_id))

    # -- by agent --

    async def list_by_agent(
        self,
        tenant_id: UUID,
        agent_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = queries.agent_query(tenant_id, agent_id, status)
        return await self._newest(query, queries.check_page(limit, before, after))

    def iter_by_agent(
        self,
        tenant_id: UUID,
        agent_id: UUID,
        *,
        status: SessionStatus | None = None,
        page_size: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> AsyncIterator[S]:
        return self._pages(queries.agent_query(tenant_id, agent_id, status), page_size, before, after)

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        self._guard.enter()
        return await self._count(queries.agent_query(tenant_id, agent_id, status))

    # -- by customer --

    async def list_by_customer(
        self,
        tenant_id: UUID,
        customer_profile_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = queries.customer_query(tenant_id, customer_profile_id, status)
        return await self._newest(query, queries.check_page(limit, before, after))

    def iter_by_customer(
        self,
        tenant_id: UUID,
        customer_profile_id: UUID,
        *,
        status: SessionStatus | None = None,
        page_size: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> AsyncIterator[S]:
        return self._pages(queries.customer_query(tenant_id, customer_profile_id, status), page_size, before, after)

    async def count_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, status: SessionStatus | None = None
    ) -> int:
        self._guard.enter()
        return await self._count(queries.customer_query(tenant_id, customer_profile_id, status))

    # -- by tenant --

    async def list_by_tenant(
        self,
        tenant_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = queries.tenant_query(tenant_id, status)
        return await self._newest(query, queries.check_page(limit, before, after))

    def iter_by_tenant(
        self,
        tenant_id: UUID,
        *,
        status: SessionStatus | None = None,
        page_size: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> AsyncIterator[S]:
        return self._pages(queries.tenant_query(tenant_id, status), page_size, before, after)

    async def count_by_tenant(self, tenant_id: UUID, *, status: SessionStatus | None = None) -> int:
        self._guard.enter()
        return await self._count(queries.tenant_query(tenant_id, status))

    # -- by a field of one's own --

    async def get_by_field(self, tenant_id: UUID, field: str, value: Any) -> S | None:
        self._guard.enter()
        return await self._latest(self._field_query(tenant_id, field, value))

    async def list_by_field(
        self,
        tenant_id: UUID,
        field: str,
        value: Any,
        *,
        limit: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = self._field_query(tenant_id, field, value)
        return await self._newest(query, queries.check_page(limit, before, after))

    def iter_by_field(
        self,
        tenant_id: UUID,
        field: str,
        value: Any,
        *,
        page_size: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> AsyncIterator[S]:
        return self._pages(self._field_query(tenant_id, field, value), page_size, before, after)

    async def count_by_field(self, tenant_id: UUID, field: str, value: Any) -> int:
        self._guard.enter()
        return await self._count(self._field_query(tenant_id, field, value))

    # -- by step --

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = queries.step_query(tenant_id, scenario_id, scenario_version, step_content_hash, scope_filter)
        return await self._at_step(query)

    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        self._guard.enter()
        return await self._count(queries.step_query(tenant_id, scenario_id, scenario_version, step_content_hash, None))

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        self._guard.enter()
        return await self._count_steps(queries.scenario_query(tenant_id, scenario_id, scenario_version))
