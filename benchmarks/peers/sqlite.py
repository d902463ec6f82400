"""SQLite in memory: what one takes who wants indexes and writes none.

A session is a row: what it is found by in columns, the whole of it as JSON. Every query has an index that ends with the
last activity, so that the newest are read first and nothing is sorted. A save is one statement, hence one transaction.

What was tried: `WITHOUT ROWID` makes reads a fifth slower and loading twice as slow, since rows as long as these fill
the inner pages of the tree. Pages of 16 KB are no faster than the usual ones, and the pragmas for files (`synchronous`,
`locking_mode`, `temp_store`, `secure_delete`) change nothing. Without a journal a save would take a tenth less, and
would not be all or nothing.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks.peers.peer import Stamps
from benchmarks.reference import is_in_scope
from sessiondex import Channel, ScopeFilter, Session, SessionStatus
from sessiondex.models import utc_now

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_COLUMNS = (
    "session_id",
    "tenant_id",
    "agent_id",
    "channel",
    "user_channel_id",
    "customer_profile_id",
    "status",
    "scenario_id",
    "scenario_version",
    "step_content_hash",
    "last_activity",
    "body",
)

_SCHEMA = """
    CREATE TABLE sessions (
        session_id BLOB PRIMARY KEY NOT NULL,
        tenant_id BLOB NOT NULL,
        agent_id BLOB NOT NULL,
        channel TEXT NOT NULL,
        user_channel_id TEXT NOT NULL,
        customer_profile_id BLOB,
        status TEXT NOT NULL,
        scenario_id BLOB,
        scenario_version INTEGER,
        step_content_hash TEXT,
        last_activity INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX by_channel ON sessions (tenant_id, channel, user_channel_id, last_activity);
    CREATE INDEX by_agent ON sessions (tenant_id, agent_id, last_activity);
    CREATE INDEX by_agent_status ON sessions (tenant_id, agent_id, status, last_activity);
    CREATE INDEX by_customer ON sessions (tenant_id, customer_profile_id, last_activity)
        WHERE customer_profile_id IS NOT NULL;
    CREATE INDEX by_step ON sessions (tenant_id, scenario_id, scenario_version, step_content_hash, last_activity)
        WHERE status = 'active';
"""

# Placeholders and names of columns, all from above.
SAVE = f"""
    INSERT INTO sessions ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
    ON CONFLICT (session_id) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])}
"""  # noqa: S608
GET = "SELECT body FROM sessions WHERE session_id = ?"
GET_OF_TENANT = "SELECT body FROM sessions WHERE session_id = ? AND tenant_id = ?"
DELETE = "DELETE FROM sessions WHERE session_id = ?"
DELETE_OF_TENANT = "DELETE FROM sessions WHERE session_id = ? AND tenant_id = ?"
BY_CHANNEL = """
    SELECT body FROM sessions WHERE tenant_id = ? AND channel = ? AND user_channel_id = ?
    ORDER BY last_activity DESC LIMIT 1
"""
BY_AGENT = "SELECT body FROM sessions WHERE tenant_id = ? AND agent_id = ? ORDER BY last_activity DESC LIMIT ?"
BY_AGENT_STATUS = """
    SELECT body FROM sessions WHERE tenant_id = ? AND agent_id = ? AND status = ?
    ORDER BY last_activity DESC LIMIT ?
"""
BY_CUSTOMER = """
    SELECT body FROM sessions WHERE tenant_id = ? AND customer_profile_id = ? ORDER BY last_activity DESC LIMIT ?
"""
BY_STEP = """
    SELECT body FROM sessions WHERE tenant_id = ? AND scenario_id = ? AND scenario_version = ?
    AND step_content_hash = ? AND status = 'active' ORDER BY last_activity DESC
"""
READS = (GET, BY_CHANNEL, BY_AGENT, BY_AGENT_STATUS, BY_CUSTOMER, BY_STEP)


class SQLiteStore:
    """Sessions as JSON in an SQLite database in memory; each read parses, each save dumps.

    Statements are prepared once: the connection keeps the last 128, and here are fewer.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._stamps = Stamps(clock)
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.executescript(_SCHEMA)
        weakref.finalize(self, self.database.close)  # stores have no `close`, and Python warns of an open connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one transaction of all saves meanwhile, which halves the time of loading."""
        self.database.execute("BEGIN")
        try:
            yield
        finally:
            self.database.execute("COMMIT")

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        """Return the session, parsed."""
        if tenant_id is None:
            return self._one(GET, session_id.bytes)
        return self._one(GET_OF_TENANT, session_id.bytes, tenant_id.bytes)

    async def save(self, session: Session) -> UUID:
        """Stamp the session, and insert or update its row."""
        stamp = self._stamps.stamp(session)
        customer, scenario, history = session.customer_profile_id, session.active_scenario_id, session.step_history
        row = (
            session.session_id.bytes,
            session.tenant_id.bytes,
            session.agent_id.bytes,
            session.channel.value,
            session.user_channel_id,
            None if customer is None else customer.bytes,
            session.status.value,
            None if scenario is None else scenario.bytes,
            session.active_scenario_version,
            history[-1].step_content_hash if history else None,
            (stamp - _EPOCH) // _MICROSECOND,
            session.model_dump_json(),
        )
        self.database.execute(SAVE, row)
        return session.session_id

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Delete the row."""
        if tenant_id is None:
            return self.database.execute(DELETE, (session_id.bytes,)).rowcount > 0
        return self.database.execute(DELETE_OF_TENANT, (session_id.bytes, tenant_id.bytes)).rowcount > 0

    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> Session | None:
        """Read the last entry of the index."""
        return self._one(BY_CHANNEL, tenant_id.bytes, channel.value, user_channel_id)

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]:
        """Read an index backwards."""
        if status is None:
            return self._all(BY_AGENT, tenant_id.bytes, agent_id.bytes, limit)
        return self._all(BY_AGENT_STATUS, tenant_id.bytes, agent_id.bytes, status.value, limit)

    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[Session]:
        """Read an index backwards."""
        return self._all(BY_CUSTOMER, tenant_id.bytes, customer_profile_id.bytes, limit)

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[Session]:
        """Read an index backwards; what the filter says is asked of the parsed sessions."""
        found = self._all(BY_STEP, tenant_id.bytes, scenario_id.bytes, scenario_version, step_content_hash)
        if scope_filter is None:
            return found
        now = self._clock()
        return [session for session in found if is_in_scope(session, scope_filter, now)]

    def _one(self, statement: str, *values: bytes | str | int) -> Session | None:
        row = self.database.execute(statement, values).fetchone()
        return None if row is None else Session.model_validate_json(row[0])

    def _all(self, statement: str, *values: bytes | str | int) -> list[Session]:
        parse = Session.model_validate_json
        return [parse(body) for (body,) in self.database.execute(statement, values)]
