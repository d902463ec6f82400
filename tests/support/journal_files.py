"""Files of journals as a closed store or a killed one leaves them, and what a store makes of them.

`python -m tests.support.journal_files FOLDER` writes the files that the tests of the format keep.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import UUID

from sessiondex import InMemorySessionStore
from sessiondex.stores.sqlite import SQLiteJournal
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, Clock, NotedSession, TaggedSession, make_session, visit

DATABASE, LOG = "sessions.db", "sessions.db-wal"
GOLDEN_COUNT = 3
"""How many sessions the kept files have besides those of several kinds."""
CLASSES = (NotedSession, TaggedSession)

Sessions = dict[UUID, Any]
"""Sessions by their ids."""


class JournalFiles(NamedTuple):
    """The files of a journal, and the sessions that are in them."""

    files: Mapping[str, bytes]
    sessions: Sessions
    sessions_before: Sessions
    """Those before the last commit."""


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Any]:
    """Open a store with a journal in that file, which knows the classes."""
    journal = SQLiteJournal(path)
    async with InMemorySessionStore(journal=journal, session_classes=CLASSES, **options) as store:
        yield store


async def sessions_in(store: Any) -> Sessions:
    """Return all that the store has."""
    found: list[Any] = []
    cursor = None
    while True:
        some, cursor = await store.export(cursor=cursor)
        found += some
        if cursor is None:
            return {session.session_id: session for session in found}


async def read(path: Path, **options: Any) -> Sessions:
    """Open a store in that file, and return all its sessions."""
    async with opened(path, **options) as store:
        return await sessions_in(store)


def of_several_kinds() -> list[Any]:
    """Return some sessions, the same each time."""

    def session(number: int, cls: type[Any], **fields: Any) -> Any:
        return make_session(cls, session_id=UUID(int=number), customer_profile_id=CUSTOMER, **fields)

    return [
        session(1, NotedSession, note="a note", scores=[0.1, -0.0]),
        session(2, TaggedSession, tags={"one tag"}),
        session(
            3, NotedSession, variables={"é": "\0\u2028\U0001f600", "big": 2**63 - 1, "none": None, "list": [1, 2.5]}
        ),
        session(4, NotedSession, step_history=[visit(step_id=SCENARIO, turn_number=1)], agent_id=AGENT),
        session(5, NotedSession, variables={"text": "of several pages " * 1_500}),
    ]


async def fill(store: Any, clock: Clock, count: int) -> Sessions:
    """Call every kind of write; return the sessions before the last commit."""
    sessions = [
        *of_several_kinds(),
        *(
            make_session(session_id=UUID(int=100 + number), variables={"text": f"{number} " * (number * 13 % 400)})
            for number in range(count)
        ),
    ]
    for session in sessions:
        clock.move(seconds=1)
        await store.save(session)
    for session in sessions[5::3]:
        await store.touch(session.session_id)
    for session in sessions[6::3]:
        session.turn_count += 1
        await store.save(session)
    await store.delete_many([session.session_id for session in sessions[7::4]])
    await store.save_many(sessions[:3])
    before = await sessions_in(store)
    await store.save(make_session(session_id=UUID(int=99)))
    return before


def expected_sessions(count: int) -> Sessions:
    """Return what `fill` leaves, as a store without a journal has it."""

    async def fill_in_memory() -> Sessions:
        clock = Clock()
        store: Any = InMemorySessionStore(clock=clock)
        await fill(store, clock, count)
        return await sessions_in(store)

    return asyncio.run(fill_in_memory())


async def make_files(folder: Path, count: int, *, is_killed: bool) -> JournalFiles:
    """Return the files of a store that was closed, or killed after its last save."""
    path, clock = folder / DATABASE, Clock()
    async with opened(path, clock=clock) as store:
        before = await fill(store, clock, count)
        sessions = await sessions_in(store)
        killed = {name: (folder / name).read_bytes() for name in (DATABASE, LOG)} if is_killed else {}
    return JournalFiles(killed or {DATABASE: path.read_bytes()}, sessions, before)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files of the folder that hold data: neither locks nor the shared memory of SQLite."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.is_file() and not path.name.endswith(("-lock", "-shm"))
    }


def main(arguments: Sequence[str]) -> None:
    """Write a file that was closed, and one with a log that a killed store left."""
    for new_name, is_killed in (("journal-format-1.db", False), ("journal-format-1-killed.db", True)):
        with TemporaryDirectory() as folder:
            made = asyncio.run(make_files(Path(folder), GOLDEN_COUNT, is_killed=is_killed))
        for name, content in made.files.items():
            (Path(arguments[0]) / name.replace(DATABASE, new_name)).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
