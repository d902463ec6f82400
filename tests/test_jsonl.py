"""Law 6 across processes: sessions written as JSON Lines come back equal, in any store and release."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import threading
from codecs import BOM_UTF8
from io import BytesIO, StringIO
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from sessiondex import (
    Indexed,
    InMemorySessionStore,
    InvalidArgumentError,
    InvalidLineError,
    InvalidSessionError,
    LinesProgress,
    ScanSessionStore,
    Session,
    export_jsonl,
    import_jsonl,
)
from tests.support.builders import OTHER_TENANT, TENANT, at_step, make_session
from tests.support.waiting import HANG_SECONDS


class Ticket(Session):
    session_type: ClassVar[str] = "ticket"
    tags: set[str] = set()


class Renamed(Session):
    """The second release of `Ticket`."""

    session_type: ClassVar[str] = "ticket"
    schema_version: ClassVar[int] = 2
    labels: set[str] = set()

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1
        data["labels"] = data.pop("tags")
        return data


async def filled(count: int = 5) -> tuple[Any, list[Any]]:
    """Return a store, and its sessions of two classes and two tenants, some saved again without touch."""
    store: Any = InMemorySessionStore()
    sessions = [
        make_session(Ticket, tags={"a", "b"}, tenant_id=OTHER_TENANT) if number % 2 else at_step()
        for number in range(count)
    ]
    await store.save_many(sessions)
    for session in sessions[::3]:
        session.turn_count += 1
        await store.save(session, touch=False)
    return store, sessions


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def everything(store: Any) -> list[Any]:
    return [*await store.list_by_tenant(TENANT, limit=9_999), *await store.list_by_tenant(OTHER_TENANT, limit=9_999)]


@pytest.mark.parametrize("name", ["sessions.jsonl", "sessions.jsonl.gz"])
@pytest.mark.parametrize("make", [InMemorySessionStore, ScanSessionStore])
async def test_all_sessions_come_back(tmp_path: Path, make: Any, name: str) -> None:
    """With their stamps and revisions. A second import changes nothing."""
    source, sessions = await filled(1_203)
    target, path = make(), tmp_path / name
    seen: list[LinesProgress] = []
    assert await export_jsonl(source, path, progress=seen.append) == LinesProgress(1_203)
    done = await import_jsonl(str(path), target, session_classes=[Ticket])

    assert [one.lines for one in seen] == [500, 1_000, 1_203]
    assert done == LinesProgress(1_203, restored=1_203)
    assert await everything(target) == await everything(source)
    assert len(await everything(target)) == len(sessions)
    assert await import_jsonl(path, target, session_classes=[Ticket]) == LinesProgress(1_203)
    assert names_in(tmp_path) == [name]
    assert path.stat().st_mode & 0o077 == 0


async def test_a_line_can_be_read_by_others() -> None:
    store, file = InMemorySessionStore[Any](), BytesIO()
    session = make_session(Ticket, tags={"a"})
    await store.save(session)
    await export_jsonl(store, file)
    line = json.loads(file.getvalue())

    assert (line["type"], line["version"], line["revision"]) == ("ticket", 1, 1)
    assert line["session"]["tags"] == ["a"]
    assert line["stamp"] == session.last_activity_at.timestamp() * 1_000_000


async def test_an_import_that_was_interrupted_is_repeated() -> None:
    source, _ = await filled(1_100)
    target, file = InMemorySessionStore[Any](), BytesIO()
    await export_jsonl(source, file)

    def stop(_: LinesProgress) -> None:
        raise KeyError("stop")

    file.seek(0)
    with pytest.raises(KeyError):
        await import_jsonl(file, target, session_classes=[Ticket], progress=stop)
    file.seek(0)
    done = await import_jsonl(file, target, session_classes=[Ticket])

    assert done == LinesProgress(1_100, restored=600)
    assert await everything(target) == await everything(source)


async def test_a_later_release_upgrades() -> None:
    store, file, target = InMemorySessionStore[Any](), BytesIO(), InMemorySessionStore[Any]()
    session = make_session(Ticket, tags={"a"})
    await store.save(session)
    await export_jsonl(store, file)
    file.seek(0)
    await import_jsonl(file, target, session_classes=[Renamed])
    found = await target.get(session.session_id)

    assert type(found) is Renamed
    assert found.labels == {"a"}


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{", "it is no JSON object with type"),
    "no object": (b"[1]", "it is no JSON object with type"),
    "revision 0": (
        b'{"type": "ticket", "version": 1, "stamp": 1, "revision": 0, "session": {}}',
        "revision must be an int from 1",
    ),
    "a stamp that is no number": (
        b'{"type": "ticket", "version": 1, "stamp": "now", "revision": 1, "session": {}}',
        "stamp must be an int",
    ),
    "an unknown type": (
        b'{"type": "order", "version": 1, "stamp": 1, "revision": 1, "session": {}}',
        "no known class has the type 'order'; give it in session_classes",
    ),
    "no session": (b'{"type": "ticket", "version": 1, "stamp": 1, "revision": 1, "session": {}}', "tenant_id"),
    "half a line": (b'{"type": "ticket", "version": 1, "st', "it is no JSON object"),
}


@pytest.mark.parametrize("name", BAD_LINES)
async def test_a_bad_line(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is an error with its number, or skipped, logged and counted."""
    bad, reason = BAD_LINES[name]
    source, file = InMemorySessionStore[Any](), BytesIO()
    session = make_session()
    await source.save(session)
    await export_jsonl(source, file)
    content = file.getvalue()
    target = InMemorySessionStore[Any]()
    with pytest.raises(InvalidLineError, match=reason) as caught:
        await import_jsonl(BytesIO(content + bad + b"\n" + content), target, session_classes=[Ticket])
    assert caught.value.line == 2
    assert await target.count_by_tenant(TENANT) == 0
    with caplog.at_level(logging.WARNING, "sessiondex"):
        done = await import_jsonl(
            BytesIO(content + bad + b"\n" + content), target, session_classes=[Ticket], bad_lines="skip"
        )

    assert done == LinesProgress(3, restored=1, skipped=1)
    assert await target.get(session.session_id) == session
    assert "line 2" in caplog.text


def at_sign(text: str) -> str:
    if "@" not in text:
        raise ValueError("no address")
    return text


class WithAddress(Session):
    """The second release of `Ticket`, which indexes what the first did not check."""

    session_type: ClassVar[str] = "ticket"
    tags: Annotated[set[str], Indexed(normalize=at_sign)] = set()


@pytest.mark.parametrize("make", [InMemorySessionStore, ScanSessionStore])
async def test_a_line_that_cannot_be_indexed_is_a_bad_line(make: Any) -> None:
    source, file, target = InMemorySessionStore[Any](), BytesIO(), make()
    bad, good = make_session(Ticket, tags={"ann"}), make_session(Ticket, tags={"ann@x.org"})
    await source.save_many([bad, good])
    await export_jsonl(source, file)
    with pytest.raises(InvalidLineError, match="tags: its `normalize` raised ValueError"):
        await import_jsonl(BytesIO(file.getvalue()), target, session_classes=[WithAddress])
    done = await import_jsonl(BytesIO(file.getvalue()), target, session_classes=[WithAddress], bad_lines="skip")

    assert done == LinesProgress(2, restored=1, skipped=1)
    assert (await target.get_by_field(TENANT, "tags", "ann@x.org")).session_id == good.session_id


async def test_an_id_of_another_tenant() -> None:
    """It is an error with the number of its line, or that session is left out."""
    source, sessions = await filled(7)
    target, file = InMemorySessionStore[Any](), BytesIO()
    await export_jsonl(source, file)
    await target.save(make_session(session_id=sessions[2].session_id, tenant_id=OTHER_TENANT))
    file.seek(0)
    with pytest.raises(InvalidLineError, match="belongs to another tenant"):
        await import_jsonl(file, target, session_classes=[Ticket])
    file.seek(0)
    done = await import_jsonl(file, target, session_classes=[Ticket], bad_lines="skip")

    assert done == LinesProgress(7, restored=6, skipped=1)


async def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    class Local(Session):
        pass

    path = tmp_path / "sessions.jsonl.gz"
    path.write_bytes(gzip.compress(b"before"))
    store = InMemorySessionStore[Any]()
    await store.save(make_session(Local))
    with pytest.raises(InvalidSessionError, match="session_type"):
        await export_jsonl(store, path)

    assert gzip.decompress(path.read_bytes()) == b"before"
    assert names_in(tmp_path) == [path.name]


async def test_wrong_arguments() -> None:
    store: Any = InMemorySessionStore()
    wrong: list[tuple[str, Any]] = [
        ("store", lambda: export_jsonl("store", BytesIO())),  # type: ignore[arg-type]
        ("store", lambda: import_jsonl(BytesIO(), None)),  # type: ignore[arg-type]
        ("progress", lambda: export_jsonl(store, BytesIO(), progress=5)),  # type: ignore[arg-type]
        ("bad_lines", lambda: import_jsonl(BytesIO(), store, bad_lines="stop")),  # type: ignore[arg-type]
        ("file", lambda: export_jsonl(store, StringIO())),  # type: ignore[arg-type]
        ("file", lambda: import_jsonl([b"{}"], store)),  # type: ignore[arg-type]
        ("file", lambda: export_jsonl(store, "")),
        ("file", lambda: export_jsonl(store, "/")),
        ("file", lambda: export_jsonl(store, "no folder/sessions.jsonl")),
        ("session_classes", lambda: import_jsonl(BytesIO(), store, session_classes=[int])),  # type: ignore[list-item]
    ]
    for argument, call in wrong:
        with pytest.raises(InvalidArgumentError) as caught:
            await call()
        assert caught.value.argument == argument


async def test_what_json_has_and_a_session_has_not_is_a_bad_line() -> None:
    source, target, file = InMemorySessionStore[Any](), InMemorySessionStore[Any](), BytesIO()
    await source.save_many([make_session(variables={"n": 1}), make_session(variables={"n": 2})])
    await export_jsonl(source, file)
    content = file.getvalue().replace(b'{"n":2}', b'{"n":1e999}')
    with pytest.raises(InvalidLineError, match="variables"):
        await import_jsonl(BytesIO(content), target)

    assert await import_jsonl(BytesIO(content), target, bad_lines="skip") == LinesProgress(2, restored=1, skipped=1)


async def test_a_mark_of_the_encoding_and_empty_lines_do_no_harm() -> None:
    source, target, file = InMemorySessionStore[Any](), InMemorySessionStore[Any](), BytesIO()
    await source.save(make_session())
    await export_jsonl(source, file)
    content = BOM_UTF8 + file.getvalue().replace(b"\n", b"\r\n") + b"\n\n"

    assert await import_jsonl(BytesIO(content), target) == LinesProgress(3, restored=1)


@pytest.mark.parametrize("flaw", ["cut short", "spoiled"])
async def test_a_damaged_file(tmp_path: Path, flaw: str) -> None:
    source, _ = await filled(1_200)
    target, path = InMemorySessionStore[Any](), tmp_path / "sessions.jsonl.gz"
    await export_jsonl(source, path)
    content = path.read_bytes()
    path.write_bytes(content[:-9] if flaw == "cut short" else content[:-6] + b"\0\0" + content[-4:])
    with pytest.raises(InvalidLineError, match="from here on the file is damaged") as caught:
        await import_jsonl(path, target, session_classes=[Ticket])

    assert caught.value.line == 1_001
    assert len(await everything(target)) == 1_000


async def test_two_exports_to_one_path(tmp_path: Path) -> None:
    """The file is one of the two."""
    path, stores = tmp_path / "sessions.jsonl", [(await filled(count))[0] for count in (1_500, 1_100)]
    await asyncio.gather(*(export_jsonl(store, path) for store in stores))
    done = await import_jsonl(path, InMemorySessionStore[Any](), session_classes=[Ticket])

    assert done.lines == done.restored
    assert done.lines in {1_500, 1_100}
    assert names_in(tmp_path) == [path.name]


class SlowFile(BytesIO):
    """Writes when its user has cancelled the work."""

    def __init__(self) -> None:
        super().__init__()
        self.is_writing, self.is_cancelled = threading.Event(), threading.Event()

    def writelines(self, lines: Any) -> None:
        self.is_writing.set()
        assert self.is_cancelled.wait(HANG_SECONDS)
        super().writelines(lines)


async def test_a_cancelled_export_has_ended() -> None:
    """It waits for its thread, so that nobody else uses the file meanwhile."""
    source, _ = await filled(1_200)
    file = SlowFile()
    exporting = asyncio.ensure_future(export_jsonl(source, file))
    assert await asyncio.to_thread(file.is_writing.wait, HANG_SECONDS)
    exporting.cancel()
    await asyncio.sleep(0)
    assert not exporting.done()
    file.is_cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await exporting

    assert file.getvalue().count(b"\n") == 500
