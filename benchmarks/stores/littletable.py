"""Keep rows of live sessions in a littletable: a list of objects with indexes, whose answers are such lists too.

The table computes an object's keys when it is added and again when it is removed. A live session may have changed in
between, and would then be left under its old key. So the table holds rows, which remember the keys of the last save. A
save under the same keys, as most are, replaces the session in its row and leaves the table alone. A user of littletable
would do that too, since its indexes have no order that a save would change.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias
from uuid import UUID

from littletable import Table

from benchmarks.stores.reference import Stamps
from sessiondex import Channel, Session, SessionStatus

Key: TypeAlias = tuple[int | str, ...] | None
"""Ids are ints, which are hashed faster than UUIDs."""

_INDEXES = ("channel", "agent", "agent_status", "customer", "step")
_keys, _activity = attrgetter(*_INDEXES), attrgetter("session.last_activity_at")


class _Row:
    """A live session with its keys as of this save, compared by identity: by contents, removals are 40 times slower."""

    __slots__ = (*_INDEXES, "session", "session_id")

    def __init__(self, session: Session) -> None:
        tenant, customer = session.tenant_id.int, session.customer_profile_id
        self.session = session
        self.session_id = session.session_id.int
        self.channel: Key = (tenant, session.channel, session.user_channel_id)
        self.agent: Key = (tenant, session.agent_id.int)
        self.agent_status: Key = (tenant, session.agent_id.int, session.status)
        self.customer: Key = None if customer is None else (tenant, customer.int)
        self.step: Key = _step(session)


def _step(session: Session) -> Key:
    scenario, version, history = session.active_scenario_id, session.active_scenario_version, session.step_history
    content_hash = history[-1].step_content_hash if history else None
    if session.status is not SessionStatus.ACTIVE or scenario is None or version is None or content_hash is None:
        return None
    return session.tenant_id.int, scenario.int, version, content_hash


class LittletableStore:
    """Store rows in a `Table`, with a unique index on the id and an index on each key.

    The accessors of the indexes are kept: making one costs more than a lookup. All sessions handed out are live.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._stamps = Stamps(clock)
        self._table = Table("sessions").create_index("session_id", unique=True)
        for index in _INDEXES:
            self._table.create_index(index)
        self._by_id: Any = self._table.by("session_id")
        self._by: dict[str, Any] = {index: self._table.by(index) for index in _INDEXES}

    async def get(self, session_id: UUID) -> Session | None:
        row = self._by_id.get(session_id.int)
        return None if row is None else row.session

    async def save(self, session: Session) -> UUID:
        self._stamps.stamp(session)
        row, held = _Row(session), self._by_id.get(session.session_id.int)
        if held is not None and _keys(row) == _keys(held):
            held.session = session
        else:
            if held is not None:
                self._table.remove(held)
            self._table.insert(row)
        return session.session_id

    async def delete(self, session_id: UUID) -> bool:
        row = self._by_id.get(session_id.int)
        if row is not None:
            self._table.remove(row)
        return row is not None

    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> Session | None:
        newest = max(self._by["channel"][tenant_id.int, channel, user_channel_id], key=_activity, default=None)
        return None if newest is None else newest.session

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]:
        if status is None:
            return self._newest("agent", (tenant_id.int, agent_id.int), limit)
        return self._newest("agent_status", (tenant_id.int, agent_id.int, status), limit)

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        return self._newest("customer", (tenant_id.int, customer_profile_id.int), limit)

    async def find_sessions_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> list[Session]:
        return self._newest("step", (tenant_id.int, scenario_id.int, scenario_version, step_content_hash), None)

    def _newest(self, index: str, key: Key, limit: int | None) -> list[Session]:
        return [row.session for row in sorted(self._by[index][key], key=_activity, reverse=True)[:limit]]
