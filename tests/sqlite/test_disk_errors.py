"""A journal whose disk fails: the first error stops it, and what was acknowledged is there after a repair."""

from __future__ import annotations

import asyncio
import errno
import random
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from shutil import copytree, rmtree, which
from typing import Any, NamedTuple

import pytest

from sessiondex import InMemorySessionStore
from sessiondex.errors import InvalidJournalError, StoreUnavailableError
from sessiondex.stores.sqlite import SQLiteJournal, files
from sessiondex.stores.sqlite.thread import JournalThread
from tests.support.builders import make_session
from tests.support.disk import RecordedDisk
from tests.support.journal_states import MarkingJournal, State, bounds, commits_in, connector, state_in, states_after
from tests.support.journal_work import Task
from tests.support.power_failure import write_to
from tests.support.seeds import skip_with_seed
from tests.support.sizes import search_size
from tests.support.sqlite_vfs import why_unsupported

DATABASE = "sessions.db"
TASKS, CALLS = 3, 7

needs_disk = pytest.mark.skipif(why_unsupported() is not None, reason=str(why_unsupported()))


class Attempt(NamedTuple):
    """A run on a disk that fails, and what came of it."""

    disk: RecordedDisk
    states: list[State]
    errors: list[BaseException]
    """What the tasks got, and opening and closing."""


async def check_stopped(store: Any) -> None:
    """A write is refused before anything changes, reads go on, and the store says so."""
    session = make_session()
    known = (await store.export(limit=1))[0]
    with pytest.raises(StoreUnavailableError, match=r"an error stopped it .* open it with a new store") as refused:
        await store.save(session)
    assert not refused.value.is_outcome_unknown
    assert await store.get(session.session_id) is None
    assert [await store.get(one.session_id) for one in known] == known
    assert not await store.health_check()


async def use(journal: MarkingJournal, seed: int) -> list[BaseException]:
    """Let tasks write until an error; return what they got. No error is taken for damage, whose repair loses data."""
    rng, found = random.Random(seed), []
    store: Any = InMemorySessionStore(journal=journal)
    try:
        async with store:
            tasks = [Task(store, journal, number, rng).run(CALLS) for number in range(TASKS)]
            found = [one for one in await asyncio.gather(*tasks, return_exceptions=True) if one is not None]
            if store.stats().journal.is_stopped:
                await check_stopped(store)
            else:
                assert not found, "an error has stopped the journal"
    except (sqlite3.OperationalError, StoreUnavailableError) as error:
        return [*found, error]
    except InvalidJournalError as error:
        # Which a disk cannot read for ever, so it is damaged.
        if not any(sign in error.reason for sign in ("unable to get the page", "Failed to read")):
            raise
        return [*found, error]
    return found


def attempt(folder: Path, number: int, error: int, *, for_ever: bool, durability: Any) -> Attempt:
    """Run a store on a disk whose call with that number fails."""
    with RecordedDisk(counts_reads=True) as disk, pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "connect", connector(disk))
        disk.fail(number, error, for_ever=for_ever)
        journal = MarkingJournal(
            folder / DATABASE, disk, durability=durability, flush_interval=timedelta(milliseconds=2)
        )
        errors = asyncio.run(use(journal, number))
    return Attempt(disk, states_after(journal.commits), errors)


def check_survivors(tried: Attempt, folder: Path, rng: random.Random) -> None:
    """All that was acknowledged is there after a repair; also if the power fails after the error."""
    at_least, at_most = bounds(tried.disk.operations)
    end = len(tried.disk.operations)
    for name, state in (
        ("lost", tried.disk.with_pending_lost(end)),
        ("drawn", tried.disk.after_power_failure(end, rng)),
    ):
        write_to(folder / name, state)
        if (folder / name / DATABASE).exists():
            assert commits_in(state_in(folder / name / DATABASE), tried.states, at_most) >= at_least
    assert commits_in(state_in(folder / DATABASE), tried.states, at_most) >= at_least


def all_calls(folder: Path, durability: str) -> int:
    """Return how many calls a run makes that does not fail, about: threads take turns as they like."""
    folder.mkdir()
    tried = attempt(folder, 1_000_000, errno.EIO, for_ever=False, durability=durability)
    assert not tried.errors
    return tried.disk.calls


@needs_disk
@pytest.mark.search
@pytest.mark.parametrize("durability", ["full", "batched"])
@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_each_call_fails(tmp_path: Path, error: int, for_ever: bool, durability: str) -> None:
    """Writers get an error, no write is acknowledged that is not there later, and there is no gap."""
    calls = all_calls(tmp_path / "whole", durability)
    rng = random.Random(calls)
    unknown = 0
    for number in rng.sample(range(calls), search_size(calls, 16)):
        folder = tmp_path / str(number)
        folder.mkdir()
        tried = attempt(folder, number, error, for_ever=for_ever, durability=durability)
        check_survivors(tried, folder, rng)
        for one in tried.errors[:TASKS]:
            unknown += isinstance(one, StoreUnavailableError) and one.is_outcome_unknown
        rmtree(folder)

    assert unknown


@needs_disk
@skip_with_seed
def test_going_on_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a journal that ignores errors loses acknowledged writes, or has gaps."""
    monkeypatch.setattr(JournalThread, "_fail", lambda *_: None)
    monkeypatch.setattr(SQLiteJournal, "scrub", lambda self, _: self.flush())  # which would raise the error
    calls = all_calls(tmp_path / "whole", "full")
    failures = 0
    for number in range(calls // 3, calls, 5):
        folder = tmp_path / str(number)
        folder.mkdir()
        tried = attempt(folder, number, errno.EIO, for_ever=False, durability="full")
        try:
            check_survivors(tried, folder, random.Random(number))
        except AssertionError:
            failures += 1

    assert failures > 3


async def save_until_full(path: Path) -> dict[Any, Any]:
    """Save sessions until the disk is full; return those whose saves returned."""
    saved = {}
    async with InMemorySessionStore(journal=SQLiteJournal(path)) as store:

        async def save_many() -> None:
            for number in range(10_000):
                session = make_session(variables={"text": f"{number}" * 500})
                await store.save(session)
                saved[session.session_id] = session

        with pytest.raises(StoreUnavailableError, match="full"):
            await save_many()
        await check_stopped(store)
    return saved


async def check_saved(path: Path, saved: dict[Any, Any]) -> None:
    """At most the session whose save failed may be there as well."""
    async with InMemorySessionStore(journal=SQLiteJournal(path)) as store:
        assert {one: await store.get(one) for one in saved} == saved
        assert len((await store.export(limit=10_000))[0]) <= len(saved) + 1
        await store.save(make_session())


async def test_a_full_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = files.connect

    def connect_with_limit(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(files, "connect", connect_with_limit)
        saved = await save_until_full(tmp_path / DATABASE)

    assert len(saved) > 10
    await check_saved(tmp_path / DATABASE, saved)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder, mount, umount = tmp_path / "disk", which("mount"), which("umount")
    folder.mkdir()
    if mount is None or umount is None:
        pytest.skip("there is no mount")
    mounted = subprocess.run(  # noqa: S603
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run([umount, str(folder)], check=True)  # noqa: S603


async def test_a_full_disk(small_disk: Path) -> None:
    saved = await save_until_full(small_disk / DATABASE)

    assert len(saved) > 10
    elsewhere = small_disk.parent / "elsewhere"
    copytree(small_disk, elsewhere)
    await check_saved(elsewhere / DATABASE, saved)
