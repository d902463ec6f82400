"""The product: a table of snapshots with the session store's indexes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sessiondex import schema
from sessiondex.clock import microseconds
from sessiondex.contract import S
from sessiondex.engine.table import Table
from sessiondex.models import Channel, ScopeFilter, SessionStatus, utc_now
from sessiondex.stores.local import LocalSessionStore


class InMemorySessionStore(LocalSessionStore[S]):
    """Keeps sessions in this process and answers every query from an index.

    `clock` returns the present instant as an aware datetime. Nothing is written to disk: what it holds ends with the
    process, and must fit in its memory.

    >>> import asyncio
    >>> from uuid import uuid4
    >>> from sessiondex import Session
    >>> async def main():
    ...     store = InMemorySessionStore()
    ...     tenant_id, agent_id = uuid4(), uuid4()
    ...     session = Session(tenant_id=tenant_id, agent_id=agent_id, channel=Channel.SLACK, user_channel_id="U1")
    ...     session.variables["city"] = "Lisbon"
    ...     await store.save(session)
    ...     found = await store.get_by_channel(tenant_id, Channel.SLACK, "U1")
    ...     newest = await store.list_by_agent(tenant_id, agent_id, status=SessionStatus.ACTIVE, limit=10)
    ...     return found.variables, newest == [session]
    >>> asyncio.run(main())
    ({'city': 'Lisbon'}, True)
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(clock=clock)
        self._table: Table[S] = Table(schema.FIELDS, schema.INDEXES)
        self._by_channel = self._table.index(schema.CHANNEL)
        self._by_agent = self._table.index(schema.AGENT)
        self._by_agent_status = self._table.index(schema.AGENT_STATUS)
        self._by_customer = self._table.index(schema.CUSTOMER)
        self._by_step = self._table.index(schema.STEP)

    def _get(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        row = self._table.get(session_id.bytes)
        if row is None or (tenant_id is not None and not schema.belongs_to(row[2], tenant_id)):
            return None
        return row[3]

    def _put(self, snapshot: S, earlier: S | None) -> None:
        stamp, record = microseconds(snapshot.last_activity_at), schema.record_of(snapshot)
        earlier_record = None if earlier is None else schema.record_of(earlier)
        self._table.apply(self._table.plan_put(snapshot.session_id.bytes, stamp, record, snapshot, earlier_record))

    def _remove(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        if self._get(session_id, tenant_id) is None:
            return False
        self._table.apply(self._table.plan_remove(session_id.bytes))
        return True

    def _latest_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        stamp = self._by_channel.latest(schema.channel_entry(tenant_id, channel, user_channel_id))
        return None if stamp is None else self._table.value(stamp)

    def _newest_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None, limit: int) -> list[S]:
        if status is None:
            stamps = self._by_agent.newest(schema.agent_entry(tenant_id, agent_id), limit)
        else:
            stamps = self._by_agent_status.newest(schema.agent_status_entry(tenant_id, agent_id, status), limit)
        return self._table.values(stamps)

    def _newest_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, limit: int) -> list[S]:
        stamps = self._by_customer.newest(schema.customer_entry(tenant_id, customer_profile_id), limit)
        return self._table.values(stamps)

    def _at_step(
        self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str, scope: ScopeFilter | None
    ) -> list[S]:
        step = schema.step_key(tenant_id, scenario_id, version, content_hash)
        now = self._stamps.now()
        return self._table.values(schema.select_step(self._by_step, step, scope, now))

    def _check(self) -> None:
        """Raise `AssertionError` unless every index is equal to its recomputation. Cost: O(n log n)."""
        self._table._check(schema.record_of)
