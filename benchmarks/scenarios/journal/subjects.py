"""Open what is measured, all with the same sessions: a store with a journal and without, and SQLite used directly."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeAlias
from uuid import UUID

from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.journal.direct import DirectSQLite
from sessiondex import InMemorySessionStore, Session
from sessiondex.stores.sqlite import Durability, SQLiteJournal

WITHOUT = "store without journal"
FULL, BATCHED = "journal, full", "journal, batched"
DIRECT_FULL, DIRECT_NORMAL = "SQLite directly, FULL", "SQLite directly, NORMAL"
JOURNALS: dict[str, Durability] = {FULL: "full", BATCHED: "batched"}
STORES = (WITHOUT, *JOURNALS)
SUBJECTS = (*STORES, DIRECT_FULL, DIRECT_NORMAL)


class Saver(Protocol):
    """What is measured gets and saves sessions."""

    async def get(self, session_id: UUID, /) -> Session | None:
        """Return the session, or `None`."""

    async def save(self, session: Session, /) -> object:
        """Store the session; return when it is as durable as the subject promises."""

    async def flush(self) -> None:
        """Wait until all that was saved is written."""


class StoreSaver:
    """A store of the library."""

    def __init__(self, store: InMemorySessionStore[Session]) -> None:
        self.store = store
        self.get = store.get
        self.save = store.save

    async def flush(self) -> None:
        """Wait for the journal, if there is one."""
        if self.store.journal is not None:
            await self.store.journal.flush()


Savers: TypeAlias = dict[str, Saver]
Contents: TypeAlias = dict[UUID, str]


def path_of(name: str, folder: Path) -> Path:
    """Return the path of a subject's file."""
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}.db"


@asynccontextmanager
async def open_store(name: str, folder: Path) -> AsyncIterator[InMemorySessionStore[Session]]:
    """Open a store of the library, with the sessions that are in its journal."""
    durability = JOURNALS.get(name)
    journal = durability and SQLiteJournal(path_of(name, folder), durability=durability)
    async with InMemorySessionStore[Session](journal=journal or None) as store:
        yield store


@asynccontextmanager
async def open_subjects(folder: Path, sessions: Sequence[Session]) -> AsyncIterator[Savers]:
    """Open all subjects, save the sessions to each, and check that they are there.

    In the end, open the journals again, and check that they have what their stores had.

    Raises:
        AnswersDifferError: a subject has other sessions than were saved.
    """
    ids = [session.session_id for session in sessions]
    expected = {session.session_id: content(session) for session in sessions}
    async with AsyncExitStack() as stack:
        subjects: Savers = {}
        for name in STORES:
            subjects[name] = StoreSaver(await stack.enter_async_context(open_store(name, folder)))
        for name, synchronous in ((DIRECT_FULL, "FULL"), (DIRECT_NORMAL, "NORMAL")):
            direct = DirectSQLite(path_of(name, folder), synchronous)
            subjects[name] = await stack.enter_async_context(direct)
        for name, subject in subjects.items():
            for session in sessions:
                await subject.save(session.model_copy())
            compare(expected, await contents(subject, ids), name)
        yield subjects
        at_end = {name: await contents(subjects[name], ids, whole=True) for name in JOURNALS}
    for name, saved in at_end.items():
        async with open_store(name, folder) as store:
            compare(saved, await contents(StoreSaver(store), ids, whole=True), f"{name}, opened again")


async def contents(subject: Saver, ids: Sequence[UUID], *, whole: bool = False) -> Contents:
    """Return the sessions with these ids as JSON; unless `whole`, without what only the stores set."""
    found = [await subject.get(session_id) for session_id in ids]
    return {each.session_id: each.model_dump_json() if whole else content(each) for each in found if each is not None}


def content(session: Session) -> str:
    """Return what the caller of a store determines."""
    return session.model_dump_json(exclude={"revision", "last_activity_at"})


def compare(expected: Contents, found: Contents, name: str) -> None:
    """Compare what a subject has with what it should have.

    Raises:
        AnswersDifferError: they differ.
    """
    if found != expected:
        other = sum(found.get(session_id) != text for session_id, text in expected.items())
        raise AnswersDifferError(f"{name}: {other} of {len(expected):,} sessions are missing or differ")
