"""Opening a journal loads all sessions in slices, and says what is wrong with its arguments."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import pytest

from sessiondex import (
    Indexed,
    InMemorySessionStore,
    InvalidArgumentError,
    LoadProgress,
    Session,
    StoreClosedError,
    StoreNotOpenError,
    StoreUnavailableError,
    open_store,
)
from sessiondex.stores.slices import SLICE_SECONDS
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite import thread as thread_module
from tests.support.builders import TENANT, make_session
from tests.support.stores import check_indexes, options_of


async def fill(path: Path, count: int) -> list[Any]:
    sessions = [make_session() for _ in range(count)]
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        await store.save_many(sessions)
    return sessions


async def test_progress_is_reported_while_others_run(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    sessions, seen, turns = await fill(path, 1_200), list[LoadProgress](), 0

    async def note(progress: LoadProgress) -> None:
        await asyncio.sleep(0)
        seen.append(progress)

    async def others() -> None:
        nonlocal turns
        while len(seen) < 3:
            await asyncio.sleep(0)
            turns += 1

    running = asyncio.create_task(others())
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path, progress=note)) as store:
        check_indexes(store)
        assert await store.list_by_tenant(TENANT, limit=2_000) == sessions[::-1]
    await running

    assert seen == [LoadProgress(500, 0, 1_200), LoadProgress(1_000, 0, 1_200), LoadProgress(1_200, 0, 1_200)]
    assert turns > 10


async def test_an_error_of_the_progress_callback_ends_the_opening(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    await fill(path, 3)

    def fail(_: LoadProgress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await InMemorySessionStore[Any](journal=SQLiteJournal(path, progress=fail)).__aenter__()

    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        assert await store.count_by_tenant(TENANT) == 3


@pytest.mark.parametrize("call", ["aclose", "__aenter__"])
async def test_a_progress_callback_may_call_the_store(tmp_path: Path, call: str) -> None:
    """It waits for nothing that waits for it."""
    path = tmp_path / "sessions.db"
    await fill(path, 3)

    async def use(_: LoadProgress) -> None:
        await getattr(store, call)()

    store = InMemorySessionStore[Any](journal=SQLiteJournal(path, progress=use))
    async with asyncio.timeout(10):
        with pytest.raises(StoreClosedError if call == "aclose" else StoreNotOpenError):
            await store.__aenter__()

    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as other:
        assert await other.count_by_tenant(TENANT) == 3


@pytest.mark.parametrize("after", ["an orderly end", "a crash"])
async def test_an_opening_that_failed_can_be_repeated(tmp_path: Path, after: str) -> None:
    """The log stays where it is: it has the latest saves."""
    path = tmp_path / "sessions.db"
    sessions = [make_session() for _ in range(3)]
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        await store.save_many(sessions)
        if after == "a crash":
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", tmp_path / f"copy.db{suffix}")
            path = tmp_path / "copy.db"

    def fail(_: LoadProgress) -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await InMemorySessionStore[Any](journal=SQLiteJournal(path, progress=fail)).__aenter__()
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        assert await store.count_by_tenant(TENANT) == 3


NAMES = ["ann's sessions?.db", "#1 100%.db", "é/ü.db", "a" * 200, "b\udcff.db"]


@pytest.mark.parametrize("name", NAMES)
async def test_any_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for given in (str(path), "/" + str(path)):
        async with InMemorySessionStore[Any](journal=SQLiteJournal(given)) as store:
            await store.save(make_session())
    assert path.exists()
    async with InMemorySessionStore[Any](journal=SQLiteJournal(path)) as store:
        assert await store.count_by_tenant(TENANT) == 2


async def test_a_slice_of_loading_is_as_long_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two turns of the loop, it checks the time after each session."""
    path = tmp_path / "sessions.db"
    await fill(path, 400)
    store = InMemorySessionStore[Any](journal=SQLiteJournal(path))
    loader: Any = store._loader
    prepare, loaded, most = loader._prepare, 0, 0

    def slow(row: Any) -> Any:
        nonlocal loaded
        loaded += 1
        end = perf_counter() + SLICE_SECONDS
        while perf_counter() < end:
            pass
        return prepare(row)

    async def watch() -> None:
        nonlocal loaded, most
        while not store._guard.is_open:
            await asyncio.sleep(0)
            most, loaded = max(most, loaded), 0

    monkeypatch.setattr(loader, "_prepare", slow)
    watching = asyncio.create_task(watch())
    await store.__aenter__()
    await watching
    await store.aclose()

    assert most <= 2


WRONG: dict[str, Any] = {
    "path": [{"path": 7}, {"path": b"x"}, {"path": ""}, {"path": ":memory:"}, {"path": "a\0b"}],
    "durability": [{"durability": "safe"}, {"durability": None}, {"durability": []}],
    "flush_interval": [{"flush_interval": 0.2}, {"flush_interval": timedelta(0)}],
    "max_pending_bytes": [{"max_pending_bytes": 0}, {"max_pending_bytes": "1"}],
    "progress": [{"progress": 7}],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_named(name: str) -> None:
    for wrong in WRONG[name]:
        with pytest.raises(InvalidArgumentError) as caught:
            SQLiteJournal(**{"path": "sessions.db", **wrong})
        assert caught.value.argument == name


def test_a_journal_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="journal: must be a SQLiteJournal"):
        InMemorySessionStore[Any](journal="sessions.db")  # type: ignore[arg-type]  # a path by mistake


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "sessions.db"
    with pytest.raises(InvalidArgumentError, match="there is no folder"):
        await InMemorySessionStore[Any](journal=SQLiteJournal(path)).__aenter__()


# -- by URL --


async def test_a_url_is_all_that_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of the journal are ignored by other stores, so they can stay where they are."""
    monkeypatch.chdir(tmp_path)
    session = make_session()
    for url in ("sqlite:///sessions.db?durability=batched&cache_size=7", f"sqlite:///{tmp_path}/sessions.db"):
        store = open_store(url, max_sessions=9, flush_interval=timedelta(seconds=1))
        async with store:
            await store.save(session)
            assert isinstance(store, InMemorySessionStore)
            assert options_of(store)["max_sessions"] == 9
    assert session.revision == 2
    async with open_store("memory://", durability="batched") as store:
        await store.save(session)
        assert session.revision == 1


class Ticket(Session):
    email: Annotated[str | None, Indexed()] = None


async def test_a_url_with_the_options_of_all_stores(tmp_path: Path) -> None:
    """Those that only others have are ignored; those of classes reach the store with its journal."""
    url, session = f"sqlite:///{tmp_path}/sessions.db?prefix=x&on_unreadable=skip", make_session(Ticket)
    options: dict[str, Any] = {"turn_ttl": timedelta(seconds=9), "timeout": 2.0, "max_connections": 3, "idle_ttl": None}
    async with open_store(url, session_classes=[Ticket], **options) as store:
        await store.save(session)
        assert await store.get_by_field(TENANT, "email", "ann@x.org") is None
    async with open_store(url, **options) as store:
        assert await store.list_by_tenant(TENANT) == []
        assert await store.count_by_tenant(TENANT) == 1
    with pytest.raises(InvalidArgumentError, match="there is no 'colour'"):
        open_store(url, colour="red")
    with pytest.raises(InvalidArgumentError, match="have the type"):
        open_store(url, session_classes=[Ticket, type("Other", (Session,), {"session_type": f"{__name__}:Ticket"})])


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite://sessions.db",
        "sqlite:///",
        "sqlite:///a.db#b",
        "sqlite:///a.db#",
        "sqlite:///a.db?debug=1#b",
    ],
)
def test_a_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="must be like sqlite:"):
        open_store(url)


def test_a_path_in_a_url_may_look_like_a_wrong_host() -> None:
    """As it does where `urlunsplit` loses a slash of an absolute path."""
    store: Any = open_store("sqlite:////[data]/a.db?debug=1")

    assert store.journal.path == Path("/[data]/a.db")


def test_a_url_makes_its_journal(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="makes its journal from the URL"):
        open_store("sqlite:///a.db", journal=SQLiteJournal(tmp_path / "b.db"))


# -- flush --


async def test_a_flush_waits_for_what_was_batched(tmp_path: Path) -> None:
    journal = SQLiteJournal(tmp_path / "sessions.db", durability="batched", flush_interval=timedelta(hours=1))
    with pytest.raises(StoreUnavailableError, match="not open"):
        await journal.flush()
    async with InMemorySessionStore[Any](journal=journal) as store:
        await store.save(make_session())
        assert journal.stats().pending_commits == 1
        await journal.flush()
        stats = store.stats().journal
        assert stats is not None
        assert (stats.pending_commits, stats.pending_bytes, stats.lag_seconds) == (0, 0, 0)


async def test_what_is_batched_is_written_after_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_module, "_POLL_SECONDS", 100)  # which would write it too
    journal = SQLiteJournal(tmp_path / "sessions.db", durability="batched", flush_interval=timedelta(milliseconds=1))
    async with InMemorySessionStore[Any](journal=journal) as store:
        for _ in range(3):
            await store.save(make_session())
            async with asyncio.timeout(50):
                while journal.stats().pending_bytes:
                    await asyncio.sleep(0.001)
