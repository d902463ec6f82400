"""Who can read the files of a journal, and what is left in them of what was deleted."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sessiondex import InMemorySessionStore
from sessiondex.stores.sqlite import SQLiteJournal, database, files
from tests.support.builders import OTHER_TENANT, TENANT, make_session
from tests.support.disk import RecordedDisk
from tests.support.journal_files import read
from tests.support.journal_states import connector
from tests.support.seeds import TryEach
from tests.support.sizes import search_size
from tests.support.sqlite_vfs import why_unsupported
from tests.support.waiting import until

DATABASE = "sessions.db"


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """Let files be readable by all unless their maker takes care."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_only_the_user_can_read_the_files(tmp_path: Path) -> None:
    private = 0o600
    async with InMemorySessionStore(journal=(journal := SQLiteJournal(tmp_path / DATABASE))) as store:
        await store.save(make_session())
        await journal.backup(tmp_path / "backup.db")
        open_files = modes(tmp_path)

    names = {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-lock", "backup.db"}
    assert open_files == dict.fromkeys(names, private)
    await read(tmp_path / "backup.db")
    assert set(modes(tmp_path).values()) == {private}


def texts_in(folder: Path, texts: list[bytes]) -> list[bytes]:
    """Return those of the texts that are anywhere in the files of the folder."""
    contents = [path.read_bytes() for path in folder.iterdir()]
    return [text for text in texts if any(text in content for content in contents)]


class Writer:
    """Saves sessions of a tenant; each version has a text of its own, which a file may keep by mistake."""

    def __init__(self, store: Any, tenant: UUID, rng: random.Random) -> None:
        self._store = store
        self._tenant = tenant
        self._rng = rng
        self._sessions: list[Any] = []
        self._numbers = count()
        self.texts: list[bytes] = []

    def _fill(self, session: Any) -> None:
        text = f"{self._tenant.hex} {next(self._numbers)}."
        size = self._rng.choice([1, 1, 2, 5, 10, 20, 60, 250, 1_000])
        session.variables = {"text": text * size}
        self.texts.append(text.encode())

    async def save(self) -> None:
        session = make_session(tenant_id=self._tenant)
        if self._sessions and self._rng.random() < 0.5:
            session = self._rng.choice(self._sessions)
        else:
            self._sessions.append(session)
        self._fill(session)
        await self._store.save(session)

    async def delete(self) -> None:
        if self._sessions:
            session = self._sessions.pop(self._rng.randrange(len(self._sessions)))
            await self._store.delete(session.session_id)


@pytest.mark.search
def test_nothing_is_left_of_what_was_erased(tmp_path: Path, try_each: TryEach) -> None:
    """When `delete_by_tenant` has returned, no text of the tenant is in a file, of no version of any session."""

    async def attempt(seed: int) -> None:
        folder, rng = tmp_path / str(seed), random.Random(seed)
        folder.mkdir()
        journal = SQLiteJournal(folder / DATABASE, durability="batched")
        async with InMemorySessionStore(journal=journal) as store:
            erased, other = Writer(store, TENANT, rng), Writer(store, OTHER_TENANT, rng)
            for _ in range(3):
                for _ in range(150):
                    writer = rng.choice([erased, other])
                    await (writer.save() if rng.random() < 0.7 else writer.delete())
                    if rng.random() < 0.1:
                        await journal.flush()
                await journal.flush()
                assert texts_in(folder, erased.texts), "what is looked for can be found"
                await store.delete_by_tenant(TENANT)
                assert not texts_in(folder, erased.texts)
        assert not texts_in(folder, erased.texts)

    try_each(range(search_size(24)), lambda seed: asyncio.run(attempt(seed)))


async def test_deleted_text_is_overwritten_soon(make_store: Any, tmp_path: Path) -> None:
    """Without an erasure and without a scrub, while the store is open: in the file, and in the log."""
    store = await make_store()
    texts = [f"secret {number}.".encode() for number in range(6)]  # few enough for one page, so none is copied
    sessions = [make_session(variables={"text": text.decode()}) for text in texts]
    await store.save_many(sessions)
    await store.journal.flush()
    assert texts_in(tmp_path, texts) == texts
    for session in sessions[:4]:
        await store.delete(session.session_id)

    await until(lambda: texts_in(tmp_path, texts) == texts[4:])


@pytest.mark.skipif(why_unsupported() is not None, reason=str(why_unsupported()))
async def test_a_disk_without_room_to_write_the_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An erasure then says that traces are left, and the store goes on. A later scrub removes them."""
    texts = [f"secret {number}.".encode() for number in range(100)]
    with RecordedDisk() as disk:

        class Crowded(sqlite3.Connection):
            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                if statement == "VACUUM" and not caplog.messages:
                    disk.fail(disk.calls + 9, errno.ENOSPC, for_ever=True)
                try:
                    return super().execute(statement, *values)
                finally:
                    disk.repair()

        monkeypatch.setattr(files, "connect", connector(disk, Crowded))
        async with InMemorySessionStore(journal=(journal := SQLiteJournal(tmp_path / DATABASE))) as store:
            await store.save_many([make_session(variables={"text": text.decode() * 80}) for text in texts])
            assert await store.delete_by_tenant(TENANT) == 100
            assert [message for message in caplog.messages if "the disk has no room for a second copy" in message]
            await store.save(make_session())
            assert await store.health_check()
            await journal.scrub()
            assert not texts_in(tmp_path, texts)

    monkeypatch.undo()
    assert len(await read_plain(tmp_path / DATABASE)) == 1


async def test_nothing_is_left_after_many_deletions(tmp_path: Path) -> None:
    """Soon after the last, the file is smaller, while the store is open. After a scrub, their texts are gone."""
    path = tmp_path / DATABASE
    async with InMemorySessionStore(journal=(journal := SQLiteJournal(path))) as store:
        texts = [f"secret {number}.".encode() for number in range(2_000)]
        sessions = [make_session(variables={"text": text.decode() * 80}) for text in texts]
        await store.save_many(sessions)
        size = path.stat().st_size
        for start in range(0, 1_900, 100):
            await store.delete_many([session.session_id for session in sessions[start : start + 100]])

        await until(lambda: path.stat().st_size < size / 4)
        await journal.scrub()
        assert not texts_in(tmp_path, texts[:1_900])
        assert texts_in(tmp_path, texts[1_900:])
        assert not journal.stats().is_stopped

    assert len(await read_plain(path)) == 100


async def read_plain(path: Path) -> list[Any]:
    async with InMemorySessionStore(journal=SQLiteJournal(path)) as store:
        found: list[Any] = (await store.export(limit=10_000))[0]
        return found


async def test_somebody_reads_the_file_of_a_running_store(tmp_path: Path) -> None:
    """As `sqlite3 -readonly` does. The reader sees one instant, writers go on, and deleted text goes when it ends."""
    path = tmp_path / DATABASE
    async with InMemorySessionStore(journal=(journal := SQLiteJournal(path))) as store:
        sessions = [make_session(variables={"text": f"secret {number}."}) for number in range(20)]
        await store.save_many(sessions)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as reader:
            count_rows = "SELECT count(*) FROM sessions"
            reader.execute("BEGIN")
            assert reader.execute(count_rows).fetchone() == (20,)
            await store.delete_by_tenant(TENANT)
            for _ in range(50):
                await store.save(make_session(tenant_id=OTHER_TENANT))
            assert reader.execute(count_rows).fetchone() == (20,)
            reader.execute("COMMIT")
            assert reader.execute(count_rows).fetchone() == (50,)
            await until(lambda: not texts_in(tmp_path, [b"secret 1.", b"secret 19."]))
        assert await store.health_check()
        assert not journal.stats().is_stopped

    assert len(await read_plain(path)) == 50


async def test_somebody_reads_the_file_while_the_store_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log stays, as the reader needs it, and the next store goes on. Nobody waits for the reader.

    Deleted text goes when the reader has ended, also in a store that deletes nothing itself.
    """
    monkeypatch.setattr(database, "_BUSY_MILLISECONDS", 100_000)
    path, deleted = tmp_path / DATABASE, make_session(variables={"text": "secret 1."})
    async with InMemorySessionStore(journal=SQLiteJournal(path)) as store:
        await store.save(deleted)
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM sessions").fetchall()
        await store.delete(deleted.session_id)
        await store.save(make_session())
    with closing(reader):
        async with asyncio.timeout(50):
            other = await InMemorySessionStore(journal=SQLiteJournal(path)).__aenter__()
        assert texts_in(tmp_path, [b"secret 1."])
    await until(lambda: not texts_in(tmp_path, [b"secret 1."]))
    await other.aclose()
    assert len(await read_plain(path)) == 1
