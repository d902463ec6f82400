"""Copy sessions to a server and back."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from sessiondex import InMemorySessionStore, Session, copy_sessions, export_jsonl, import_jsonl
from sessiondex.stores.sqlite import SQLiteJournal
from tests.support.builders import TENANT, NotedSession, TaggedSession, at_step
from tests.support.copies import answers, fill
from tests.support.redis.internals import prefix_of
from tests.support.stores import check_indexes


async def test_from_memory_to_a_server_and_back(make_redis: Any) -> None:
    """All three stores answer all queries equally, with the same stamps, revisions and classes."""
    source, server, target = InMemorySessionStore[Any](), make_redis(), InMemorySessionStore[Any]()
    sessions = await fill(source)
    there = await copy_sessions(source, server, page_size=7)
    back = await copy_sessions(server, target, page_size=7)

    assert (there.restored, back.restored) == (50, 50)
    assert await answers(source, sessions) == await answers(server, sessions) == await answers(target, sessions)
    check_indexes(target)


async def test_from_a_file_to_a_server_and_back(make_redis: Any, tmp_path: Path) -> None:
    """A store with a journal answers alike, also when it has loaded what came from the server."""
    classes: list[type[Session]] = [NotedSession, TaggedSession]
    source, server = InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "1.db")), make_redis()
    async with source:
        sessions = await fill(source)
        expected = await answers(source, sessions)
        await copy_sessions(source, server, page_size=7)
        assert await answers(server, sessions) == expected
    async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "2.db")) as target:
        await copy_sessions(server, target, page_size=7)
    journal = SQLiteJournal(tmp_path / "2.db")
    async with InMemorySessionStore[Any](journal=journal, session_classes=classes) as target:
        assert await answers(target, sessions) == expected
        check_indexes(target)


async def test_a_copy_continues_at_a_cursor_after_a_restart(make_redis: Any) -> None:
    """A new store on the same server accepts the cursor."""
    server, target = make_redis(), InMemorySessionStore[Any]()
    sessions = await fill(server)
    page, cursor = await server.export(limit=20)
    await target.restore(page)
    again = make_redis(prefix=prefix_of(server), session_classes=[NotedSession, TaggedSession])
    rest = await copy_sessions(again, target, cursor=cursor)

    assert rest.restored == 30
    assert await answers(server, sessions) == await answers(target, sessions)


async def test_through_a_file_and_back(make_redis: Any) -> None:
    """Sessions go from a server to a file, and from there to memory and to another server, all equal."""
    source, target, file = make_redis(), make_redis(), BytesIO()
    sessions = [at_step() for _ in range(20)]
    await source.save_many(sessions)
    await source.save(sessions[3], touch=False)
    await export_jsonl(source, file)
    for store in (target, InMemorySessionStore()):
        file.seek(0)
        assert (await import_jsonl(file, store)).restored == 20
        assert await store.list_by_tenant(TENANT) == await source.list_by_tenant(TENANT)
