"""What is left of a journal when a store is closed, or its interpreter ends without closing it."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, StoreClosedError, StoreNotOpenError, StoreUnavailableError
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite import thread as thread_module
from sessiondex.stores.sqlite.database import Database
from sessiondex.stores.sqlite.thread import JournalThread
from tests.support.builders import TENANT, IndexedSession, make_session
from tests.support.every_method import CALLS

ROOT = Path(__file__).parents[2]


def journal_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sessiondex journal")]


async def test_a_closed_store_leaves_no_thread_and_no_log(make_store: Any, tmp_path: Path) -> None:
    store = await make_store(tmp_path / "sessions.db")
    await store.save(make_session())
    assert len(journal_threads()) == 1
    await store.aclose()
    await store.aclose()

    assert not journal_threads()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sessions.db", "sessions.db-lock"]


async def test_a_store_that_was_never_opened_can_be_closed(tmp_path: Path) -> None:
    store = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db"))
    assert not await store.health_check()
    await store.aclose()

    assert not [*tmp_path.iterdir()]
    with pytest.raises(StoreClosedError):
        await store.__aenter__()


async def test_closing_under_load_keeps_what_was_acknowledged(make_store: Any, tmp_path: Path) -> None:
    """Calls under way end in success or with `StoreClosedError`."""
    path, saved = tmp_path / "sessions.db", list[Any]()
    store = await make_store(path)

    async def save() -> None:
        while True:
            session = make_session()
            await store.save(session)
            saved.append(session)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(save()) for _ in range(20)]
    while len(saved) < 200:
        await asyncio.sleep(0)
    await store.aclose()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreClosedError}

    store = await make_store(path)
    for session in saved:
        assert await store.get(session.session_id) == session
    assert await store.count_by_tenant(TENANT) >= len(saved)


PROGRAM = """
import asyncio, sys
from pathlib import Path
from sessiondex import InMemorySessionStore, SQLiteJournal
from tests.support.builders import make_session
from uuid import UUID
async def main():
    store = await InMemorySessionStore(journal=SQLiteJournal(sys.argv[1], durability=sys.argv[2])).__aenter__()
    await store.save(make_session(session_id=UUID(int=1)))
    {end}
asyncio.run(main())
"""

ENDS = {
    "returns": "return",
    "exits": "sys.exit(0)",
    "waits": "import threading; threading.Thread(target=lambda: __import__('time').sleep(0.3)).start()",
}


@pytest.mark.parametrize("level", ["full", "batched"])
@pytest.mark.parametrize("end", ENDS)
async def test_an_interpreter_that_ends_without_closing_flushes(tmp_path: Path, level: str, end: str) -> None:
    path = tmp_path / "sessions.db"
    program = PROGRAM.format(end=ENDS[end])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "-c", program, str(path), level, cwd=ROOT, stderr=-1
    )
    _, errors = await child.communicate()
    assert (child.returncode, errors) == (0, b"")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["sessions.db", "sessions.db-lock"]

    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        assert await store.count_by_tenant(TENANT) == 1


async def test_an_interpreter_that_cannot_flush_says_so(tmp_path: Path) -> None:
    program = PROGRAM.format(
        end="""
    def refuse(*_):
        raise OSError("no space left")
    from sessiondex.stores.sqlite.database import Database
    Database.write = refuse
    await store.save(make_session(session_id=UUID(int=2)))"""
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path / "sessions.db"), "batched", cwd=ROOT, stderr=-1
    )
    _, errors = await child.communicate()

    assert child.returncode == 0
    assert b"the interpreter ends before all was saved" in errors
    assert b"no space left" in errors


async def test_a_disk_that_does_not_answer_ends_the_wait_of_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = await InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db")).__aenter__()
    journal: Any = store.journal
    answered = threading.Event()
    working = journal._thread.run(lambda _: answered.wait(30))
    monkeypatch.setattr(thread_module, "_EXIT_SECONDS", 0.01)
    thread_module._stop_all()
    answered.set()

    assert "before all was saved" in caplog.text
    assert working.result(10)
    await store.aclose()


@pytest.mark.parametrize("name", [name for name in CALLS if name not in {"aclose", "health_check", "async with"}])
async def test_every_call_before_opening_is_refused(tmp_path: Path, name: str) -> None:
    store = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db"), session_classes=[IndexedSession])
    with pytest.raises(StoreNotOpenError, match="async with"):
        await CALLS[name](store, make_session(IndexedSession))
    with pytest.raises(StoreNotOpenError):
        store.stats()


async def test_closing_says_that_batched_saves_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their callers know nothing of it: the calls had returned."""
    store = await InMemorySessionStore[Any](
        journal=SQLiteJournal(tmp_path / "sessions.db", durability="batched")
    ).__aenter__()

    def refuse(*_: Any) -> None:
        raise MemoryError("out of the blue")

    monkeypatch.setattr(Database, "write", refuse)
    await store.save(make_session())
    with pytest.raises(StoreUnavailableError, match="out of the blue") as caught:
        await store.aclose()
    assert caught.value.is_outcome_unknown
    assert not journal_threads()


async def test_a_thread_that_dies_leaves_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db")).__aenter__()

    def fail(*_: Any) -> None:
        raise SystemExit("out of the blue")

    monkeypatch.setattr(JournalThread, "_write_pending", fail)
    with pytest.raises(StoreUnavailableError, match="out of the blue"):
        await store.save(make_session())
    with pytest.raises(StoreUnavailableError):
        await store.save(make_session())
    await store.aclose()
