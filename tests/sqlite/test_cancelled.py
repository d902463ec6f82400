"""Waiting for the disk: order, cancellation at every suspension, and loops that end in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, StoreClosedError, StoreNotOpenError, StoreUnavailableError
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite import thread as thread_module
from sessiondex.stores.sqlite.database import Database
from tests.support.builders import AGENT, CUSTOMER, TENANT, make_session
from tests.support.cancel_anywhere import CancelledRun, CancelPoint, cancel_everywhere, ended
from tests.support.stores import check_indexes, check_no_lock_is_held


class SlowDisk:
    """Holds up each transaction until `go_on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writing, self.may_write = threading.Event(), threading.Event()
        self.batches: list[int] = []
        write = Database.write

        def slow(database: Database, writes: Any, sequence: int) -> None:
            self.writing.set()
            assert self.may_write.wait(30)
            self.batches.append(len(writes))
            write(database, writes, sequence)

        monkeypatch.setattr(Database, "write", slow)

    async def until_it_writes(self) -> None:
        while not self.writing.is_set():
            await asyncio.sleep(0)

    def go_on(self) -> None:
        self.may_write.set()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.go_on()


@pytest.fixture
async def full(tmp_path: Path) -> Any:
    store = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db"))
    async with store:
        yield store
    check_indexes(store)


async def test_a_save_is_visible_before_it_is_durable_and_written_back_after(full: Any, disk: SlowDisk) -> None:
    """Readers never wait; the session of the caller gets its version when it is on disk."""
    session, reader = make_session(), full.changes()
    saving = asyncio.create_task(full.save(session))
    await disk.until_it_writes()
    found = await full.get(session.session_id)
    assert found.revision == 1
    assert (await anext(reader)).session_id == session.session_id
    assert session.revision == 0
    assert not saving.done()
    assert not full._lock.locked()
    assert full.stats().journal.pending_bytes > 0
    disk.go_on()
    await saving

    assert session == found
    assert full.stats().journal.pending_bytes == 0


async def test_concurrent_writes_share_a_transaction(full: Any, disk: SlowDisk) -> None:
    first = asyncio.create_task(full.save(make_session()))
    await disk.until_it_writes()
    others = [asyncio.create_task(full.save(make_session())) for _ in range(50)]
    await asyncio.sleep(0)
    disk.go_on()
    await asyncio.gather(first, *others)

    assert disk.batches == [1, 50]


async def test_a_cancelled_save_is_stored_all_the_same(full: Any, disk: SlowDisk, tmp_path: Path) -> None:
    session, other = make_session(), make_session()
    saving = asyncio.create_task(full.save(session))
    await disk.until_it_writes()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert session.revision == 0
    disk.go_on()
    await full.save(other)
    await full.aclose()

    async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db")) as store:
        assert await store.get(session.session_id) is not None


async def test_writers_wait_while_too_much_waits_for_the_disk(tmp_path: Path, disk: SlowDisk) -> None:
    """Batched writes return at once, until the bound is reached; reads never wait."""
    journal = SQLiteJournal(tmp_path / "sessions.db", durability="batched", max_pending_bytes=20_000)
    async with InMemorySessionStore[Any](journal=journal) as store:
        saved = 0

        async def save() -> None:
            nonlocal saved
            for _ in range(100):
                await store.save(make_session())
                saved += 1

        saving = asyncio.create_task(save())
        await disk.until_it_writes()
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert 0 < saved < 50
        assert journal.stats().pending_bytes < 30_000
        assert journal.stats().lag_seconds > 0
        assert len(await store.list_by_tenant(TENANT, limit=100)) == saved
        disk.go_on()
        await saving
    assert saved == 100


async def test_a_save_that_waits_when_other_work_stops_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the error."""
    has_begun, may_fail = threading.Event(), threading.Event()

    def fail(_: Database) -> bool:
        has_begun.set()
        assert may_fail.wait(30)
        raise OSError("out of the blue")

    monkeypatch.setattr(thread_module, "_TIDY_SECONDS", 0)
    monkeypatch.setattr(Database, "tidy", fail)
    store = await InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db")).__aenter__()
    session = make_session()
    await store.save(session)
    await store.delete(session.session_id)
    while not has_begun.is_set():
        await asyncio.sleep(0.001)
    saving = asyncio.create_task(store.save(session))
    await asyncio.sleep(0)
    may_fail.set()
    async with asyncio.timeout(20):
        with pytest.raises(StoreUnavailableError, match="out of the blue"):
            await saving
    await store.aclose()


# -- cancellation at every place --


def fill(number: int) -> Any:
    return make_session(customer_profile_id=CUSTOMER, user_channel_id=str(number))


OPERATIONS: dict[str, Callable[[Any, Any], Coroutine[Any, Any, Any]]] = {
    "save": lambda store, _: store.save(fill(7)),
    "save_many": lambda store, _: store.save_many([fill(7), fill(8)]),
    "get_or_create": lambda store, _: store.get_or_create(TENANT, "sms", "new", _new),
    "update": lambda store, stored: store.update(stored.session_id, lambda one: setattr(one, "turn_count", 9)),
    "touch": lambda store, stored: store.touch(stored.session_id),
    "delete": lambda store, stored: store.delete(stored.session_id),
    "erase": lambda store, _: store.delete_by_customer(TENANT, CUSTOMER),
    "flush": lambda store, _: store.journal.flush(),
    "aclose": lambda store, _: store.aclose(),
}


def _new() -> Any:
    return make_session(agent_id=AGENT, channel="sms", user_channel_id="new")


def versions(store: Any) -> set[tuple[bytes, int, int]]:
    """Return id, stamp and revision of all sessions."""
    table = store._table._table
    return {(head.key, head.stamp, head.revision) for head in map(table.head, table.rows())}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_call_that_is_cancelled_anywhere_leaves_nothing_half_done(tmp_path: Path, name: str) -> None:
    """The file has what memory has, and both can be used."""
    numbers = iter(range(1_000_000))

    async def attempt(cut: CancelPoint) -> CancelledRun[Any]:
        path, stored = tmp_path / f"{next(numbers)}.db", fill(1)
        store = await InMemorySessionStore[Any](journal=SQLiteJournal(path)).__aenter__()
        await store.save(stored)
        _, cancelled = await ended(OPERATIONS[name](store, stored), cut)
        is_closed = name == "aclose"
        if not is_closed:
            await store.save(fill(2))
            check_no_lock_is_held(store)
        await store.aclose()
        check_indexes(store)
        async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as other:
            assert versions(other) == versions(store)
        return cancelled

    assert cancel_everywhere(lambda cut: asyncio.run(attempt(cut))) > 0


def test_opening_that_is_cancelled_anywhere_frees_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    sessions = [fill(number) for number in range(30)]

    async def prepare() -> None:
        async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
            await store.save_many(sessions)

    async def attempt(cut: CancelPoint) -> CancelledRun[Any]:
        store = InMemorySessionStore[Any](journal=SQLiteJournal(path))
        task, cancelled = await ended(store.__aenter__(), cut)
        if task.cancelled():
            with pytest.raises(StoreClosedError):
                await store.get(sessions[0].session_id)
        await store.aclose()
        async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as other:
            assert await other.count_by_tenant(TENANT) == len(sessions)
        return cancelled

    asyncio.run(prepare())
    assert cancel_everywhere(lambda cut: asyncio.run(attempt(cut))) > 0


async def test_a_store_that_is_closed_while_it_opens(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    store = InMemorySessionStore[Any](journal=SQLiteJournal(path))
    opening = asyncio.create_task(store.__aenter__())
    await asyncio.sleep(0)
    with pytest.raises(StoreNotOpenError):
        await store.get(make_session().session_id)
    await store.aclose()
    with pytest.raises(StoreClosedError):
        await opening

    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as other:
        assert await other.health_check()


async def test_two_tasks_that_open_one_store(tmp_path: Path) -> None:
    store = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db"))
    await asyncio.gather(store.__aenter__(), store.__aenter__())
    await store.save(make_session())
    await store.aclose()


# -- loops --


@pytest.mark.parametrize("level", ["full", "batched"])
def test_two_loops_one_after_another(tmp_path: Path, level: Any) -> None:
    store = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db", durability=level))
    first, second = make_session(), make_session()

    async def begin() -> None:
        await store.__aenter__()
        await store.save(first)

    async def go_on() -> None:
        await store.save(second)
        await store.aclose()

    async def check() -> None:
        async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db")) as other:
            assert await other.get_many([first.session_id, second.session_id]) == [first, second]

    asyncio.run(begin())
    asyncio.run(go_on())
    asyncio.run(check())


def test_a_loop_that_ends_while_saves_wait(tmp_path: Path, disk: SlowDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are stored, and the next loop goes on at once, without the thread's look around."""
    monkeypatch.setattr(thread_module, "_POLL_SECONDS", 1e6)
    store = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db"))
    sessions = [make_session() for _ in range(5)]
    last = make_session()

    async def begin() -> None:
        await store.__aenter__()
        tasks = [asyncio.create_task(store.save(session)) for session in sessions]
        await disk.until_it_writes()
        del tasks

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it is: a program that ends this way
    loop.close()
    disk.go_on()

    async def go_on() -> None:
        await store.save(last)
        await store.aclose()
        async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "sessions.db")) as other:
            assert await other.count_by_tenant(TENANT) == len(sessions) + 1

    asyncio.run(go_on())
