"""SessionReader: the part of the contract that finds sessions and changes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic
from uuid import UUID

from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

if TYPE_CHECKING:
    # Only type checkers need the default, and they bundle these stubs. At run time a plain TypeVar needs no dependency.
    from typing_extensions import TypeVar

    S = TypeVar("S", bound=Session, default=Session)
else:
    from typing import TypeVar

    S = TypeVar("S", bound=Session)


class SessionReader(ABC, Generic[S]):
    """Finds sessions by id, channel identity, agent, customer, own field and step. Every `SessionStore` is one.

    All lists are newest first. `limit` bounds a list. `before` and `after` are cursors: only sessions last active
    strictly earlier, or strictly later, are returned. For the next page pass as `before` the `last_activity_at` of the
    last session of the previous one, even if that session has changed since. Cost of a list: O(log n + k), for any
    page.

    Iterators read `page_size` sessions at a time, so others may write in between. No session comes twice. A session
    that is saved before its turn moves ahead of the cursor and is omitted; all others come once.
    """

    @abstractmethod
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        """Return the session, or `None` if there is none or it belongs to another tenant than `tenant_id`.

        Pass `tenant_id` whenever the id comes from outside. Cost: O(1).
        """

    @abstractmethod
    async def get_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> list[S | None]:
        """Return what `get` returns for each of the ids, as of one instant for each tenant.

        With `on_unreadable="skip"` it returns `None` for a session that cannot be read. Cost: that of the reads; on a
        server one round trip for each tenant and 500 ids, and without `tenant_id` a look at each id for its tenant.
        """

    # -- by channel identity --

    @abstractmethod
    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> S | None:
        """Return the most recently active session of that channel identity, of any status, or `None`.

        Compares `user_channel_id` byte for byte. Cost: O(1).
        """

    @abstractmethod
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
        """Return the sessions of that channel identity, of any status."""

    @abstractmethod
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
        """Iterate over the sessions of that channel identity, of any status."""

    @abstractmethod
    async def count_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> int:
        """Return the number of sessions of that channel identity. Cost: O(1)."""

    # -- by agent --

    @abstractmethod
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
        """Return the agent's sessions; only those of `status` if it is given."""

    @abstractmethod
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
        """Iterate over the agent's sessions; only those of `status` if it is given."""

    @abstractmethod
    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        """Return the number of the agent's sessions; only those of `status` if it is given. Cost: O(1)."""

    # -- by customer --

    @abstractmethod
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
        """Return the customer's sessions; only those of `status` if it is given.

        Cost: with a status, O(sessions of the customer): it filters, since a customer has few.
        """

    @abstractmethod
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
        """Iterate over the customer's sessions; only those of `status` if it is given."""

    @abstractmethod
    async def count_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, status: SessionStatus | None = None
    ) -> int:
        """Return the number of the customer's sessions; only those of `status` if it is given.

        Cost: O(1); with a status, O(sessions of the customer).
        """

    # -- by tenant --

    @abstractmethod
    async def list_by_tenant(
        self,
        tenant_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> list[S]:
        """Return the tenant's sessions; only those of `status` if it is given."""

    @abstractmethod
    def iter_by_tenant(
        self,
        tenant_id: UUID,
        *,
        status: SessionStatus | None = None,
        page_size: int = 100,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> AsyncIterator[S]:
        """Iterate over the tenant's sessions; only those of `status` if it is given."""

    @abstractmethod
    async def count_by_tenant(self, tenant_id: UUID, *, status: SessionStatus | None = None) -> int:
        """Return the number of the tenant's sessions; only those of `status` if it is given. Cost: O(1)."""

    # -- by a field of one's own, declared as `Indexed` --

    @abstractmethod
    async def get_by_field(self, tenant_id: UUID, field: str, value: Any) -> S | None:
        """Return the most recently active session that has the value in that field, or `None`. Cost: O(1).

        `value` is validated as one item of the field, normalised as the field is, and compared by value and type.

        Raises:
            InvalidArgumentError: no known class indexes the field, or it cannot hold the value.
        """

    @abstractmethod
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
        """Return the sessions that have the value in that field. Raises as `get_by_field` does."""

    @abstractmethod
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
        """Iterate over the sessions that have the value in that field. Raises as `get_by_field` does."""

    @abstractmethod
    async def count_by_field(self, tenant_id: UUID, field: str, value: Any) -> int:
        """Return the number of sessions that have the value in that field. Cost: O(1). Raises as `get_by_field`."""

    # -- by step --

    @abstractmethod
    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        """Return every active session at that step of that version of the scenario, newest first.

        For planning a migration: the whole result, as of the start of the call. Cost: O(k log k), plus O(log n) for
        each pair of channel and node that the filter admits; sessions that it excludes are not visited.
        """

    @abstractmethod
    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        """Return the number of active sessions at that step. Cost: O(1)."""

    @abstractmethod
    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        """Return the number of active sessions at each step of that version, by step hash; steps with none are absent.

        For planning a migration. Cost: O(steps).
        """
