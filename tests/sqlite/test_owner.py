"""A journal has one owner: one store, in one process, until it is closed or its process ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sessiondex import (
    ForkedStoreError,
    InMemorySessionStore,
    InvalidArgumentError,
    JournalInUseError,
    StoreUnavailableError,
)
from sessiondex.stores.sqlite import SQLiteJournal
from tests.support.builders import make_session

ROOT = Path(__file__).parents[2]

HOLD = """
import asyncio, sys
from sessiondex import InMemorySessionStore, SQLiteJournal
async def main():
    async with InMemorySessionStore(journal=SQLiteJournal(sys.argv[1])):
        print("open", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def store_on(path: Path) -> InMemorySessionStore[Any]:
    return InMemorySessionStore(journal=SQLiteJournal(path))


async def check_it_is_in_use(path: Path) -> None:
    store = store_on(path)
    with pytest.raises(JournalInUseError, match="close the store that has it") as caught:
        await store.__aenter__()
    assert str(path) in str(caught.value)
    assert not await store.health_check()


async def test_a_second_store_in_the_process_is_refused(tmp_path: Path) -> None:
    path, session = tmp_path / "sessions.db", make_session()
    async with store_on(path) as store:
        await store.save(session)
        await check_it_is_in_use(path)
        await check_it_is_in_use(tmp_path / "." / "sessions.db")
        await store.save(session)
    async with store_on(path) as store:
        assert await store.get(session.session_id) == session


async def test_the_lock_outlives_other_handles_of_the_files(tmp_path: Path) -> None:
    """The system drops SQLite's own locks when any handle in the process is closed."""
    path = tmp_path / "sessions.db"
    async with store_on(path):
        for name in ("sessions.db", "sessions.db-lock", "sessions.db-wal"):
            (tmp_path / name).read_bytes()
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        connection.execute("SELECT count(*) FROM sessions").fetchall()
        connection.close()
        await check_it_is_in_use(path)


async def test_a_second_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"open\n"
    await check_it_is_in_use(path)
    child.send_signal(signal.SIGKILL)
    await child.wait()

    async with store_on(path) as store:
        assert await store.health_check()


@pytest.mark.parametrize("suffix", ["-lock", "-wal", "-shm"])
async def test_a_link_in_place_of_a_file_beside_it_is_not_followed(tmp_path: Path, suffix: str) -> None:
    """Else somebody who can write to the folder could have other files of its user written to."""
    path, elsewhere = tmp_path / "sessions.db", tmp_path / "elsewhere"
    async with store_on(path):
        pass
    Path(f"{path}{suffix}").unlink(missing_ok=True)
    Path(f"{path}{suffix}").symlink_to(elsewhere)
    with pytest.raises(StoreUnavailableError, match="open"):
        await store_on(path).__aenter__()

    assert not elsewhere.exists()


async def test_a_journal_serves_one_store(tmp_path: Path) -> None:
    """A second one is refused, and the first goes on."""
    journal, session = SQLiteJournal(tmp_path / "sessions.db"), make_session()
    async with InMemorySessionStore[Any](journal=journal) as store:
        other = InMemorySessionStore[Any](journal=journal)
        with pytest.raises(InvalidArgumentError, match="make a new SQLiteJournal for each store"):
            await other.__aenter__()
        assert not journal.stats().is_stopped
        await store.save(session)
    async with store_on(tmp_path / "sessions.db") as store:
        assert await store.get(session.session_id) == session


async def test_a_store_whose_journal_was_closed_refuses_to_save(tmp_path: Path) -> None:
    async with store_on(tmp_path / "sessions.db") as store:
        await store.journal.aclose()  # type: ignore[union-attr]  # it has one
        with pytest.raises(StoreUnavailableError):
            await store.save(make_session())
        assert not await store.health_check()


# -- fork --


def in_a_child(work: Callable[[], None]) -> None:
    """Do the work in a forked child, and fail if it fails there."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it has threads: that is the point
def test_a_forked_child_cannot_use_the_store_and_harms_nothing(tmp_path: Path) -> None:
    path, first, second = tmp_path / "sessions.db", make_session(), make_session()
    with asyncio.Runner() as runner:
        store = store_on(path)
        runner.run(store.__aenter__())
        runner.run(store.save(first))

        def use() -> None:
            for call in (lambda: store.get(first.session_id), lambda: store.save(second), store.aclose):
                with pytest.raises(ForkedStoreError):
                    asyncio.Runner().run(call())

        in_a_child(use)
        assert Path(f"{path}-wal").exists()
        runner.run(store.save(second))
        runner.run(check_it_is_in_use(path))
        runner.run(store.aclose())
    check_both_are_there(path, first, second)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_lives_on_does_not_keep_the_file(tmp_path: Path) -> None:
    path, first, second = tmp_path / "sessions.db", make_session(), make_session()
    with asyncio.Runner() as runner:
        store = store_on(path)
        runner.run(store.__aenter__())
        runner.run(store.save_many([first, second]))
        pid = os.fork()
        if not pid:
            signal.pause()
            os._exit(0)
        try:
            runner.run(store.aclose())
            check_both_are_there(path, first, second)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_child_that_outlives_its_parent_does_not_keep_the_file(tmp_path: Path) -> None:
    """The parent was killed, so it released nothing."""
    path = tmp_path / "sessions.db"
    program = f"""
import asyncio, os, signal
from pathlib import Path
from tests.sqlite.test_owner import store_on
async def main():
    await store_on(Path({str(path)!r})).__aenter__()
    pid = os.fork()
    if not pid:
        signal.pause()
    print(pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    # Not by asyncio, which waits for the child too: it has the other end of the pipe.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:  # noqa: S603  # our own program
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.wait() == -signal.SIGKILL

        async def open_it() -> None:
            async with store_on(path) as store:
                assert await store.health_check()

        try:
            asyncio.run(open_it())
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_ends_as_programs_do_leaves_the_journal_alone(tmp_path: Path) -> None:
    """The end of its interpreter writes nothing and waits for nothing."""
    path, first, second = tmp_path / "sessions.db", make_session(), make_session()
    program = f"""
import asyncio, os, selectors, sys
from pathlib import Path
from tests.sqlite.test_owner import store_on
from tests.support.builders import make_session
from uuid import UUID
async def main():
    store = await store_on(Path({str(path)!r})).__aenter__()
    await store.save(make_session(session_id=UUID({str(first.session_id)!r})))
    pid = os.fork()
    if not pid:
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    await store.save(make_session(session_id=UUID({str(second.session_id)!r})))
    await store.aclose()
# Not with epoll: a child that closes its copy of the loop would make the parent's deaf.
with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
    runner.run(main())
"""

    async def run() -> int:
        child = await asyncio.create_subprocess_exec(sys.executable, "-W", "ignore", "-c", program, cwd=ROOT)
        return await child.wait()

    assert asyncio.run(run()) == 0
    check_both_are_there(path, first, second)


def check_both_are_there(path: Path, *sessions: Any) -> None:
    async def check() -> None:
        async with store_on(path) as store:
            for session in sessions:
                assert await store.get(session.session_id) is not None

    asyncio.run(check())
