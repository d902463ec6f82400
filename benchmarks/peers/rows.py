"""What the indexing containers hold: rows of live sessions.

Such a container computes the keys of an object when it is added, and once more when it is removed. Of an object that
was changed meanwhile, as a live session is before it is saved, it computes others: ducks then searches all its keys for
the object, and littletable leaves it under the old one. So what they hold is not the session but a row, which
remembers the keys. A save under the same keys, as most are, puts the session into its row and leaves the container
alone; that is what a user of theirs would do too, since neither has an order that the save would change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import TypeAlias
from uuid import UUID

from benchmarks.peers.peer import Stamps
from benchmarks.reference import is_in_scope
from sessiondex import Channel, ScopeFilter, Session, SessionStatus
from sessiondex.models import utc_now

Key: TypeAlias = tuple[int | str, ...] | None
"""Ids as ints: they are compared and hashed faster than UUIDs, and a B-tree compares much."""

CHANNEL, AGENT, AGENT_STATUS, CUSTOMER, STEP = INDEXES = ("channel", "agent", "agent_status", "customer", "step")

_keys = attrgetter(*INDEXES)


class Row:
    """A live session, and what it is found by as of its last save."""

    __slots__ = (*INDEXES, "session", "session_id")

    def __init__(self, session: Session) -> None:
        tenant, agent, customer = session.tenant_id.int, session.agent_id.int, session.customer_profile_id
        self.session = session
        self.session_id = session.session_id.int
        self.channel: Key = (tenant, session.channel, session.user_channel_id)
        self.agent: Key = (tenant, agent)
        self.agent_status: Key = (tenant, agent, session.status)
        self.customer: Key = None if customer is None else (tenant, customer.int)
        self.step: Key = _step(session)

    def is_found_like(self, other: Row) -> bool:
        """Say whether the other row has the same keys."""
        return bool(_keys(self) == _keys(other))


def _step(session: Session) -> Key:
    scenario, version, history = session.active_scenario_id, session.active_scenario_version, session.step_history
    if session.status is not SessionStatus.ACTIVE or scenario is None or version is None or not history:
        return None
    content_hash = history[-1].step_content_hash
    return None if content_hash is None else (session.tenant_id.int, scenario.int, version, content_hash)


def _activity(row: Row) -> datetime:
    return row.session.last_activity_at


class RowStore(ABC):
    """A store on a container of rows, which a subclass has. All that it hands out is live."""

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._stamps = Stamps(clock)

    @abstractmethod
    def _row(self, session_id: int) -> Row | None: ...

    @abstractmethod
    def _add(self, row: Row) -> None: ...

    @abstractmethod
    def _remove(self, row: Row) -> None: ...

    @abstractmethod
    def _matching(self, index: str, key: Key) -> Iterable[Row]:
        """Return the rows with this key, in any order."""

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        """Return the session itself."""
        row = self._row(session_id.int)
        if row is None or (tenant_id is not None and row.session.tenant_id != tenant_id):
            return None
        return row.session

    async def save(self, session: Session) -> UUID:
        """Stamp the session and keep it as it is."""
        self._stamps.stamp(session)
        row, held = Row(session), self._row(session.session_id.int)
        if held is not None and row.is_found_like(held):
            held.session = session
            return session.session_id
        if held is not None:
            self._remove(held)
        self._add(row)
        return session.session_id

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Forget the session."""
        row = self._row(session_id.int)
        if row is None or (tenant_id is not None and row.session.tenant_id != tenant_id):
            return False
        self._remove(row)
        return True

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Session | None:
        """Find the identity's rows, and the newest of them."""
        found = self._matching(CHANNEL, (tenant_id.int, channel, user_channel_id))
        newest = max(found, key=_activity, default=None)
        return None if newest is None else newest.session

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]:
        """Find all the agent's rows, and sort them."""
        if status is None:
            return self._newest(AGENT, (tenant_id.int, agent_id.int), limit)
        return self._newest(AGENT_STATUS, (tenant_id.int, agent_id.int, status), limit)

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        """Find the customer's rows, and sort them."""
        return self._newest(CUSTOMER, (tenant_id.int, customer_profile_id.int), limit)

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[Session]:
        """Find the rows at the step, and sort them."""
        found = self._newest(STEP, (tenant_id.int, scenario_id.int, scenario_version, step_content_hash), None)
        if scope_filter is None:
            return found
        now = self._clock()
        return [session for session in found if is_in_scope(session, scope_filter, now)]

    def _newest(self, index: str, key: Key, limit: int | None) -> list[Session]:
        return [row.session for row in sorted(self._matching(index, key), key=_activity, reverse=True)[:limit]]
