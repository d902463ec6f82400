"""The rival: what a service has before it has an index.

A dict of live sessions, walked from end to end for every query by anything but the id. It hands out the very objects
that it holds: no copy, no validation, no lock, no isolation. So its `get`, `save` and `delete` cost next to nothing,
and the tables show it.

Written as fast as such code gets while people still write it so: one list comprehension a query, the comparisons in the
order that was fastest, ids compared with `==`. (To compare `id.int` by hand would halve the walk over 1,000 sessions,
and save a tenth of one over 100,000, where memory is what it waits for; nobody does.) A list is sorted whole: it often
is in order already, and then that takes less than half of the time of `heapq.nlargest`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID

from sessiondex import Channel, ScopeFilter, Session, SessionNotFoundError, SessionStatus
from sessiondex.models import utc_now

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_activity = attrgetter("last_activity_at")


class ReferenceScan:
    """Answers as a session store does, as long as its caller changes no session without saving it."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.sessions: dict[UUID, Session] = {}
        self._clock = clock
        self._last = datetime.min.replace(tzinfo=clock().tzinfo)

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        """Return the session itself."""
        session = self.sessions.get(session_id)
        if session is None or (tenant_id is not None and session.tenant_id != tenant_id):
            return None
        return session

    async def save(self, session: Session) -> UUID:
        """Stamp the session and keep it as it is."""
        now = self._clock()
        self._last = now if now > self._last else self._last + _MICROSECOND
        session.__dict__["last_activity_at"] = self._last  # an assignment would be validated, and cost more
        self.sessions[session.session_id] = session
        return session.session_id

    async def update(self, session_id: UUID, change: Callable[[Session], None]) -> Session:
        """Get the session, change it and save it: it is live, so nobody can have saved another meanwhile."""
        session = await self.get(session_id)
        if session is None:
            raise SessionNotFoundError(session_id)
        change(session)
        await self.save(session)
        return session

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Forget the session."""
        if await self.get(session_id, tenant_id=tenant_id) is None:
            return False
        del self.sessions[session_id]
        return True

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Session | None:
        """Walk over all sessions. Cost: O(n)."""
        found = [
            session
            for session in self.sessions.values()
            if session.user_channel_id == user_channel_id
            and session.channel is channel
            and session.tenant_id == tenant_id
        ]
        return max(found, key=_activity, default=None)

    async def list_by_agent(
        self,
        tenant_id: UUID,
        agent_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[Session]:
        """Walk over all sessions. Cost: O(n)."""
        if status is None:
            found = [
                session
                for session in self.sessions.values()
                if session.agent_id == agent_id and session.tenant_id == tenant_id
            ]
        else:
            found = [
                session
                for session in self.sessions.values()
                if session.status is status and session.agent_id == agent_id and session.tenant_id == tenant_id
            ]
        if before is not None:
            found = [session for session in found if session.last_activity_at < before]
        found.sort(key=_activity, reverse=True)
        return found[:limit]

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID) -> int:
        """Walk over all sessions. Cost: O(n)."""
        return sum(
            1 for session in self.sessions.values() if session.agent_id == agent_id and session.tenant_id == tenant_id
        )

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        """Walk over all sessions. Cost: O(n)."""
        found = [
            session
            for session in self.sessions.values()
            if session.customer_profile_id == customer_profile_id and session.tenant_id == tenant_id
        ]
        found.sort(key=_activity, reverse=True)
        return found[:limit]

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[Session]:
        """Walk over all sessions. Cost: O(n)."""
        active = SessionStatus.ACTIVE
        found = [
            session
            for session in self.sessions.values()
            if session.status is active
            and session.tenant_id == tenant_id
            and session.active_scenario_id == scenario_id
            and session.active_scenario_version == scenario_version
            and session.step_history
            and session.step_history[-1].step_content_hash == step_content_hash
        ]
        if scope_filter is not None:
            now = self._clock()
            found = [session for session in found if is_in_scope(session, scope_filter, now)]
        found.sort(key=_activity, reverse=True)
        return found

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        """Walk over all sessions. Cost: O(n)."""
        active = SessionStatus.ACTIVE
        return Counter(
            content_hash
            for session in self.sessions.values()
            if session.status is active
            and session.tenant_id == tenant_id
            and session.active_scenario_id == scenario_id
            and session.active_scenario_version == scenario_version
            and session.step_history
            and (content_hash := session.step_history[-1].step_content_hash) is not None
        )


def is_in_scope(session: Session, scope: ScopeFilter, now: datetime) -> bool:
    """Say whether the filter lets a session pass that stands at a step."""
    node = session.step_history[-1].step_name
    age_days = (now - session.created_at) // _DAY
    return (
        (scope.include_channels is None or session.channel in scope.include_channels)
        and (scope.exclude_channels is None or session.channel not in scope.exclude_channels)
        and (scope.include_current_nodes is None or node in scope.include_current_nodes)
        and (scope.exclude_current_nodes is None or node not in scope.exclude_current_nodes)
        and (scope.max_session_age_days is None or age_days <= scope.max_session_age_days)
        and (scope.min_session_age_days is None or age_days >= scope.min_session_age_days)
    )
