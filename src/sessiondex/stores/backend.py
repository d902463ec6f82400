"""What a store within one process has to say for itself: how it finds, puts and removes sessions, all at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic
from uuid import UUID

from sessiondex.contract import S
from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.records import Kept
from sessiondex.stores.feed import Head


class Backend(ABC, Generic[S]):
    """Plain methods, without an `await`, which change nothing if they raise.

    `since` bounds what can be seen: sessions last active before it are expired. `None` bounds nothing. Lists are found
    at once, as anything that stays as it is, and made sessions to give out a few at a time.
    """

    # -- reading --

    @abstractmethod
    def _get(self, session_id: UUID, tenant_id: UUID | None, since: datetime | None) -> S | None:
        """Return a session that is the caller's own, as all that is given out."""

    @abstractmethod
    def _latest_by_channel(
        self, tenant_id: UUID, channel: Channel, user_channel_id: str, since: datetime | None, *, is_open: bool
    ) -> S | None:
        """Return the latest session of the identity: of those that are not closed if `is_open`, else of all."""

    @abstractmethod
    def _newest_by_agent(  # noqa: PLR0917  # as the contract has them
        self,
        tenant_id: UUID,
        agent_id: UUID,
        status: SessionStatus | None,
        limit: int,
        before: datetime | None,
        since: datetime | None,
    ) -> Sequence[Any]: ...

    @abstractmethod
    def _newest_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, limit: int, before: datetime | None, since: datetime | None
    ) -> Sequence[Any]: ...

    @abstractmethod
    def _at_step(  # noqa: PLR0917  # as the contract has them
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        version: int,
        content_hash: str,
        scope: ScopeFilter | None,
        since: datetime | None,
    ) -> Sequence[Any]: ...

    @abstractmethod
    def _some_of_all(self, after: UUID | None, limit: int) -> Sequence[Any]:
        """Return some of all sessions there are, in an order that stays."""

    @abstractmethod
    def _given_out(self, found: Sequence[Any]) -> list[S]:
        """Return what was found as sessions that are the caller's own."""

    # Counted is all that is there. What has expired was removed before.

    @abstractmethod
    def _count(self) -> int: ...

    @abstractmethod
    def _count_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> int: ...

    @abstractmethod
    def _count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int: ...

    @abstractmethod
    def _count_at_step(self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str) -> int: ...

    @abstractmethod
    def _count_steps(self, tenant_id: UUID, scenario_id: UUID, version: int) -> dict[str, int]: ...

    # -- one session, for writing it --

    @abstractmethod
    def _live(self, session_id: UUID) -> S | None:
        """Return the snapshot of the stored session, if there is one at hand."""

    @abstractmethod
    def _revision(self, session_id: UUID) -> int:
        """Return the revision that is stored, or 0 if there is none."""

    @abstractmethod
    def _stamp_of(self, session_id: UUID) -> datetime | None:
        """Return when the stored session was last active, or `None` if there is none."""

    @abstractmethod
    def _oldest(self) -> UUID | None:
        """Return the id of the session that was idle longest, if there is any. Only where sessions are evicted."""

    @abstractmethod
    def _is_there(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        """Return whether there is such a session, of the tenant if one is given."""

    @abstractmethod
    def _head(self, session_id: UUID) -> Head | None:
        """Return tenant, revision and stamp of the stored session, or `None` if there is none."""

    @abstractmethod
    def _image(self, session_id: UUID) -> Any:
        """Return the stored session as something that nobody changes, or `None` if there is none."""

    @abstractmethod
    def _opened(self, image: Any) -> S:
        """Return a session like the image that is the caller's own."""

    @abstractmethod
    def _plan(self, kept: Kept[S], earlier: S | None, *, in_bulk: bool) -> Any:
        """Return how to put the snapshot, in place of that of its id. Other than in bulk, it is done at once.

        Raises:
            TenantMismatchError: there is one of its id that is another tenant's.
        """

    @abstractmethod
    def _plan_removal(self, session_id: UUID) -> Any:
        """Return how to remove the session, which must be there."""

    @abstractmethod
    def _apply(self, plan: Any) -> None:
        """Do what was planned. Only what comes from outside can interrupt it: no memory, no stack, Ctrl-C."""

    @abstractmethod
    def _check(self) -> None:
        """Raise `InvariantError` if what is stored contradicts itself."""

    @abstractmethod
    def _apply_again(self, plans: Sequence[Any]) -> None:
        """Do all that was planned, some of which may have been done, and some of it in part."""
