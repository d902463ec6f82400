"""SQLite by the standard library: a table with a JSON column, and an index for each query."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.features.cells import Cell, absent, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, Checks, record

_SCHEMA = """
    CREATE TABLE sessions (id TEXT PRIMARY KEY, customer TEXT, channel TEXT, user TEXT, updated INTEGER, body TEXT);
    CREATE INDEX by_customer ON sessions (customer, updated);
    CREATE INDEX by_channel ON sessions (channel, user, updated);
"""
_SAVE = "INSERT OR REPLACE INTO sessions VALUES (:id, :customer, :channel, :user, :updated, :body)"
_NEWEST = "SELECT body FROM sessions WHERE customer = ? AND updated < ? ORDER BY updated DESC LIMIT ?"


class SQLiteChecks(Checks):
    """A database in a file, one connection."""

    unit = "instructions of SQLite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "sessions.db"
        self._path.unlink(missing_ok=True)
        self._database = sqlite3.connect(self._path, isolation_level=None)
        self._database.executescript(_SCHEMA)

    async def fill(self, numbers: Iterable[int]) -> None:
        self._database.execute("BEGIN")
        for number in numbers:
            await self.write(record(number))
        self._database.execute("COMMIT")

    async def read(self, number: int) -> dict[str, Any]:
        (body,) = self._database.execute("SELECT body FROM sessions WHERE id = ?", (record(number)["id"],)).fetchone()
        session: dict[str, Any] = json.loads(body)
        return session

    async def write(self, session: dict[str, Any]) -> None:
        self._database.execute(_SAVE, session | {"body": json.dumps(session)})

    async def touch(self, number: int) -> None:
        session = await self.read(number)
        await self.write(session | {"updated": session["updated"] + 1_000})

    def _all(self, statement: str, *values: object) -> list[dict[str, Any]]:
        return [json.loads(body) for (body,) in self._database.execute(statement, values)]

    async def of_customer(self, customer: str) -> list[str]:
        return [each["id"] for each in self._all(_NEWEST, customer, 2**62, 100)]

    async def of_channel(self, user: str) -> list[str]:
        statement = "SELECT body FROM sessions WHERE channel = 'slack' AND user = ? ORDER BY updated DESC LIMIT 1"
        return [each["id"] for each in self._all(statement, user)]

    async def steps(self, call: Callable[[], Awaitable[Any]]) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        self._database.set_progress_handler(step, 1)
        await call()
        self._database.set_progress_handler(None, 1)
        return count

    async def pages(self) -> Cell:
        async def page(before: int | None) -> tuple[list[str], int]:
            found = self._all(_NEWEST, CUSTOMER, before or 2**62, 4)
            return [each["id"] for each in found], found[-1]["updated"]

        return built_in(*await self._pages(page))

    async def stale(self) -> Cell:
        overwritten = await self._overwritten()
        self._database.execute("DELETE FROM sessions")
        self._database.execute("ALTER TABLE sessions ADD COLUMN revision INTEGER DEFAULT 0")
        self._database.execute("INSERT INTO sessions (id) VALUES ('session-0001')")
        saved = [_save_if_newest(self._database, "session-0001", 0, "{}") for _ in range(2)]
        return by_hand(saved == [True, False], f"{overwritten}; a column for a revision works", _save_if_newest)

    async def turns(self) -> Cell:
        return await self._turns_by_locks(sqlite3.Connection, note="Within one process.")

    async def expiry(self) -> Cell:
        await self.fill([0])
        await self.write(record(1) | {"updated": record(1)["updated"] + 3_600_000_000})
        before = await self.of_customer(CUSTOMER)
        _forget(self._database, record(0)["updated"] + 1)
        listed = await self.of_customer(CUSTOMER)
        return by_hand(listed == ["session-0001"], f"listed {before}, after a sweep {listed}", _forget)

    async def feed(self) -> Cell:
        _add_change_log(self._database)
        await self.fill([0, 1])
        self._database.execute("DELETE FROM sessions WHERE id = 'session-0000'")
        kinds = [kind for (kind,) in self._database.execute("SELECT kind FROM changes ORDER BY number")]
        lack = absent(sqlite3.Connection, "update_hook", "commit_hook")
        return by_hand(kinds == ["saved", "saved", "deleted"], f"{lack}; triggers: {kinds}", _add_change_log)

    async def sharing(self) -> Cell:
        await self.fill([1])
        second = sqlite3.connect(self._path)
        (count,) = second.execute("SELECT count(*) FROM sessions").fetchone()
        second.close()
        return built_in(count == 1, f"a second connection sees {count} session of 1")

    async def queries(self) -> Cell:
        await self.fill(range(100))
        found = self._all(
            "SELECT body FROM sessions"
            " WHERE json_extract(body, '$.city') = 'Lisbon' AND json_extract(body, '$.turns') > 90"
        )
        return built_in(len(found) == 5, f"SQL finds {len(found)} of 100")

    async def history(self) -> Cell:
        overwritten = await self._overwritten()
        self._database.execute("DELETE FROM sessions")
        _add_history(self._database)
        await self.fill([1])
        await self.write(record(1) | {"city": "Faro"})
        cities = [
            city
            for (city,) in self._database.execute("SELECT json_extract(body, '$.city') FROM history ORDER BY rowid")
        ]
        return by_hand(cities == ["Lisbon", "Faro"], f"{overwritten}; a trigger: {cities}", _add_history)

    def store(self) -> object:
        return self._database

    async def aclose(self) -> None:
        self._database.close()


def _save_if_newest(database: sqlite3.Connection, session_id: str, revision: int, body: str) -> bool:
    statement = "UPDATE sessions SET body = ?, revision = revision + 1 WHERE id = ? AND revision = ?"
    return database.execute(statement, (body, session_id, revision)).rowcount == 1


def _forget(database: sqlite3.Connection, idle_before: int) -> None:
    database.execute("DELETE FROM sessions WHERE updated < ?", (idle_before,))


def _add_change_log(database: sqlite3.Connection) -> None:
    database.executescript("""
        CREATE TABLE changes (number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, id TEXT);
        CREATE TRIGGER saved AFTER INSERT ON sessions BEGIN
            INSERT INTO changes (kind, id) VALUES ('saved', new.id);
        END;
        CREATE TRIGGER deleted AFTER DELETE ON sessions BEGIN
            INSERT INTO changes (kind, id) VALUES ('deleted', old.id);
        END;
    """)


def _add_history(database: sqlite3.Connection) -> None:
    database.executescript("""
        CREATE TABLE history (id TEXT, body TEXT);
        CREATE TRIGGER kept AFTER INSERT ON sessions BEGIN
            INSERT INTO history VALUES (new.id, new.body);
        END;
    """)
