"""A dict that is safe to use: the first thing that comes to mind for isolation is pydantic's deep copy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from benchmarks.reference import ReferenceScan
from sessiondex import Channel, ScopeFilter, Session, SessionStatus
from sessiondex.models import utc_now


class DeepCopyingDict:
    """The reference scan, with `model_copy(deep=True)` of all that goes in and of all that an answer hands out."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._scan = ReferenceScan(clock=clock)

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        """Return a copy."""
        return _copy(await self._scan.get(session_id, tenant_id=tenant_id))

    async def save(self, session: Session) -> UUID:
        """Keep a copy, with the stamp that the session gets."""
        kept = session.model_copy(deep=True)
        await self._scan.save(kept)
        session.__dict__["last_activity_at"] = kept.last_activity_at
        return session.session_id

    async def adopt(self, session: Session) -> UUID:
        """Stamp a session that nobody else has, and keep it as it is: loading so takes a fifth of the time."""
        return await self._scan.save(session)

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Forget the session."""
        return await self._scan.delete(session_id, tenant_id=tenant_id)

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Session | None:
        """Walk over all sessions, copy one. Cost: O(n)."""
        return _copy(await self._scan.get_by_channel(tenant_id, channel, user_channel_id))

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]:
        """Walk over all sessions, copy those of the answer. Cost: O(n)."""
        return _copies(await self._scan.list_by_agent(tenant_id, agent_id, status=status, limit=limit))

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        """Walk over all sessions, copy those of the answer. Cost: O(n)."""
        return _copies(await self._scan.list_by_customer(tenant_id, customer_profile_id, limit=limit))

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[Session]:
        """Walk over all sessions, copy those of the answer. Cost: O(n)."""
        return _copies(
            await self._scan.find_sessions_by_step_hash(
                tenant_id, scenario_id, scenario_version, step_content_hash, scope_filter
            )
        )


def _copy(session: Session | None) -> Session | None:
    return None if session is None else session.model_copy(deep=True)


def _copies(sessions: list[Session]) -> list[Session]:
    return [session.model_copy(deep=True) for session in sessions]
