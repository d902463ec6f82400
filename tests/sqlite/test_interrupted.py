"""Ctrl-C at any opcode of a commit: what memory has then is what the file has after the next write."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessiondex import InMemorySessionStore
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite.thread import JournalThread
from tests.support.builders import make_session
from tests.support.opcode_faults import Fault, raising
from tests.support.sizes import IS_STRESS
from tests.support.stores import check_indexes

STEP = 1 if IS_STRESS else 31
"""Of so many opcodes, one is interrupted."""


def versions(store: Any) -> set[tuple[bytes, int, int]]:
    """Return id, stamp and revision of all sessions."""
    table = store._table._table
    return {(head.key, head.stamp, head.revision) for head in map(table.head, table.rows())}


async def interrupted(path: Path, level: Any, fault: Fault) -> None:
    stored, other, last = make_session(), make_session(), make_session()
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path, durability=level)) as store:
        await store.save_many([stored, other])
        batch = [make_session(), stored.model_copy(update={"turn_count": 7}), make_session()]
        for write in (store.save_many(batch), store.touch(other.session_id), store.delete(other.session_id)):
            with suppress(KeyboardInterrupt), raising(fault):
                await write
        await store.save(last)
        check_indexes(store)
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as other_store:
        assert versions(other_store) == versions(store), str(fault)
        assert await other_store.get(last.session_id) == last


@pytest.mark.search
@pytest.mark.parametrize("level", ["full", "batched"])
def test_an_interrupted_commit_is_on_disk_as_it_is_in_memory(tmp_path: Path, level: str) -> None:
    place = count = 0
    while True:
        path = tmp_path / f"{place}.db"
        fault = Fault(KeyboardInterrupt, place, in_commit=True)
        asyncio.run(interrupted(path, level, fault))
        if not fault.where:
            break
        place += STEP
        count += 1
    assert count > 20


@pytest.mark.parametrize("level", ["full", "batched"])
def test_a_commit_whose_command_was_interrupted_is_written(
    tmp_path: Path, level: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread looks at the queue once a second, without a command."""

    async def run() -> None:
        async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "s.db", durability=level)) as store:
            with monkeypatch.context() as patch:
                for name in ("write_now", "write_later"):
                    patch.setattr(JournalThread, name, lambda _: None)
                saving = asyncio.create_task(store.save(make_session()))
                await asyncio.sleep(0)
            await saving
            while store.journal is not None and store.journal.stats().pending_bytes:
                await asyncio.sleep(0.01)

    asyncio.run(run())
