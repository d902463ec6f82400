"""Backups: a journal is copied while it is in use, and the copy can be opened like any journal."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, InvalidArgumentError
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite.database import Database
from tests.support.builders import TENANT, make_session
from tests.support.stores import check_indexes


async def test_a_new_file_is_synced_and_so_is_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file before it gets its name, and the folder after it: else a power failure could undo either."""
    path, copy, fsync = tmp_path / "sessions.db", tmp_path / "copy.db", os.fsync
    synced: list[tuple[int, bool, bool]] = []

    def note(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, path.exists(), copy.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    async with InMemorySessionStore[Any](journal=(journal := SQLiteJournal(path))):
        await journal.backup(copy)
    (first, second), folder = (file.stat().st_ino for file in (path, copy)), tmp_path.stat().st_ino

    assert synced == [
        (first, False, False),
        (folder, True, False),
        (second, True, False),
        (folder, True, True),
    ]


async def test_a_save_is_on_disk_before_the_backup_under_way_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_begun, is_saved, backup = threading.Event(), threading.Event(), Database.backup

    def slow(database: Database, path: Path, between: Callable[[], None]) -> None:
        def repeat() -> None:
            """Call it as often as a backup of a large file would."""
            has_begun.set()
            deadline = monotonic() + 50
            while not is_saved.is_set():
                assert monotonic() < deadline
                between()

        backup(database, path, repeat)

    monkeypatch.setattr(Database, "backup", slow)
    async with InMemorySessionStore[Any](journal=(journal := SQLiteJournal(tmp_path / "sessions.db"))) as store:
        copying = asyncio.create_task(journal.backup(tmp_path / "copy.db"))
        while not has_begun.is_set() and not copying.done():
            await asyncio.sleep(0.001)
        async with asyncio.timeout(20):
            await store.save(make_session())
        is_saved.set()
        await copying


async def test_a_backup_touches_no_other_file(tmp_path: Path) -> None:
    """Not even the journal itself, if it is called as the copy is while it is made."""
    path = tmp_path / "sessions-new"
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        await store.save(make_session())
        assert store.journal is not None
        await store.journal.backup(tmp_path / "sessions")
        await store.save(make_session())
    for file, count in (("sessions-new", 2), ("sessions", 1)):
        async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / file)) as other:
            assert await other.count_by_tenant(TENANT) == count


async def test_a_backup_is_a_journal(make_store: Any, tmp_path: Path) -> None:
    """It has what was saved before, saves go on while it is made, and it can be opened beside the first."""
    store, sessions = await make_store(), [make_session() for _ in range(2_000)]
    await store.save_many(sessions)
    copy, more = tmp_path / "copy.db", list[Any]()

    async def save() -> None:
        while True:
            session = make_session()
            await store.save(session)
            more.append(session)
            await asyncio.sleep(0)

    saving = asyncio.create_task(save())
    await store.journal.backup(copy)
    saving.cancel()
    await asyncio.wait([saving])
    other = await make_store(copy)
    check_indexes(other)
    assert await other.get_many([session.session_id for session in sessions]) == sessions
    assert sorted(path.name for path in tmp_path.glob("copy*")) == [
        "copy.db",
        "copy.db-lock",
        "copy.db-shm",
        "copy.db-wal",
    ]
    for path in (copy, store.journal.path):
        with pytest.raises(InvalidArgumentError, match="there is a file"):
            await store.journal.backup(path)
    with pytest.raises(InvalidArgumentError, match="there is no folder"):
        await store.journal.backup(tmp_path / "missing" / "copy.db")
    (tmp_path / "third.db-wal").touch()
    with pytest.raises(InvalidArgumentError, match="third"):
        await store.journal.backup(tmp_path / "third.db")
    assert await store.health_check()
