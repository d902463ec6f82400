"""Keep sessions in an SQLite file without a store in between: what a service writes by hand to keep them."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar
from uuid import UUID

from sessiondex import Session

R = TypeVar("R")

_TABLE = "CREATE TABLE sessions (id BLOB PRIMARY KEY NOT NULL, data TEXT NOT NULL)"
_GET = "SELECT data FROM sessions WHERE id = ?"
_SAVE = "INSERT INTO sessions VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data"


class DirectSQLite:
    """One connection in one thread; each save is a transaction of its own, and is committed when `save` returns.

    It finds sessions by id alone: an index for another query would make saves slower. `synchronous` is SQLite's
    setting: with "FULL" each commit is synced, with "NORMAL" a power failure loses the last ones.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._path = path
        self._synchronous = synchronous

    async def __aenter__(self) -> Self:
        self._connection = await self._run(self._connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def get(self, session_id: UUID) -> Session | None:
        """Return the session, or `None`."""
        row = await self._run(lambda: self._connection.execute(_GET, (session_id.bytes,)).fetchone())
        return None if row is None else Session.model_validate_json(row[0])

    async def save(self, session: Session) -> None:
        """Store the session."""
        row = (session.session_id.bytes, session.model_dump_json())
        await self._run(lambda: self._connection.execute(_SAVE, row))

    async def flush(self) -> None:
        """Return at once: no commit is pending."""

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(_TABLE)
        return connection

    async def _run(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
