"""Keep sessions in an SQLite database in memory: indexes without writing any.

A session is a row: the values that queries compare in columns, the whole session as JSON. Every query has an index that
ends with the last activity, so that the newest are read first and nothing is sorted. A save is one statement, and so
one transaction.

Tried without gain: `WITHOUT ROWID` makes reads a fifth slower and loading twice as slow, since rows as long as these
fill the inner pages of the tree. Pages of 16 KB are no faster. The pragmas for files change nothing. Without a rollback
journal a save would take a tenth less, and would no longer be atomic.
"""

import sqlite3
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from benchmarks.stores.reference import Stamps
from sessiondex import Channel, Session, SessionStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_SCHEMA = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
_SAVE = """
    INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session_id) DO UPDATE SET
        tenant_id = excluded.tenant_id, agent_id = excluded.agent_id, channel = excluded.channel,
        user_channel_id = excluded.user_channel_id, customer_profile_id = excluded.customer_profile_id,
        status = excluded.status, scenario_id = excluded.scenario_id, scenario_version = excluded.scenario_version,
        step_content_hash = excluded.step_content_hash, last_activity = excluded.last_activity, body = excluded.body
"""
_GET = "SELECT body FROM sessions WHERE session_id = ?"
_DELETE = "DELETE FROM sessions WHERE session_id = ?"
_NEWEST_FIRST = "ORDER BY last_activity DESC LIMIT ?"
_OF_AGENT = "SELECT body FROM sessions WHERE tenant_id = ? AND agent_id = ?"
_BY_AGENT = f"{_OF_AGENT} {_NEWEST_FIRST}"
_BY_AGENT_STATUS = f"{_OF_AGENT} AND status = ? {_NEWEST_FIRST}"
_BY_CUSTOMER = f"SELECT body FROM sessions WHERE tenant_id = ? AND customer_profile_id = ? {_NEWEST_FIRST}"  # noqa: S608
_BY_CHANNEL = """
    SELECT body FROM sessions WHERE tenant_id = ? AND channel = ? AND user_channel_id = ?
    ORDER BY last_activity DESC LIMIT 1
"""
_BY_STEP = """
    SELECT body FROM sessions WHERE tenant_id = ? AND scenario_id = ? AND scenario_version = ?
    AND step_content_hash = ? AND status = 'active' ORDER BY last_activity DESC
"""


class SQLiteStore:
    """Store sessions as JSON in an SQLite database in memory; each read parses, each save dumps.

    Statements are prepared once: the connection caches the last 128, and here are fewer.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._stamps = Stamps(clock)
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.executescript(_SCHEMA)
        weakref.finalize(self, self.database.close)  # stores have no `close`, and Python warns of an open connection

    async def get(self, session_id: UUID) -> Session | None:
        return self._one(_GET, session_id.bytes)

    async def save(self, session: Session) -> UUID:
        stamp = self._stamps.stamp(session)
        customer, scenario, history = session.customer_profile_id, session.active_scenario_id, session.step_history
        row = (
            session.session_id.bytes,
            session.tenant_id.bytes,
            session.agent_id.bytes,
            str(session.channel),
            session.user_channel_id,
            None if customer is None else customer.bytes,
            session.status.value,
            None if scenario is None else scenario.bytes,
            session.active_scenario_version,
            history[-1].step_content_hash if history else None,
            (stamp - _EPOCH) // _MICROSECOND,
            session.model_dump_json(),
        )
        self.database.execute(_SAVE, row)
        return session.session_id

    async def delete(self, session_id: UUID) -> bool:
        return self.database.execute(_DELETE, (session_id.bytes,)).rowcount > 0

    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> Session | None:
        return self._one(_BY_CHANNEL, tenant_id.bytes, str(channel), user_channel_id)

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]:
        if status is None:
            return self._all(_BY_AGENT, tenant_id.bytes, agent_id.bytes, limit)
        return self._all(_BY_AGENT_STATUS, tenant_id.bytes, agent_id.bytes, status.value, limit)

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        return self._all(_BY_CUSTOMER, tenant_id.bytes, customer_profile_id.bytes, limit)

    async def find_sessions_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> list[Session]:
        return self._all(_BY_STEP, tenant_id.bytes, scenario_id.bytes, scenario_version, step_content_hash)

    def _one(self, statement: str, *values: bytes | str | int) -> Session | None:
        row = self.database.execute(statement, values).fetchone()
        return None if row is None else Session.model_validate_json(row[0])

    def _all(self, statement: str, *values: bytes | str | int) -> list[Session]:
        parse = Session.model_validate_json
        return [parse(body) for (body,) in self.database.execute(statement, values)]
