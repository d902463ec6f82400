"""Sessions move between memory, a file and a server, both ways, and all queries answer alike."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from sessiondex import InMemorySessionStore, Session, copy_sessions, export_jsonl, import_jsonl
from tests.support.builders import NotedSession, TaggedSession
from tests.support.copies import answers, fill

CLASSES: list[type[Session]] = [NotedSession, TaggedSession]


async def test_from_memory_to_a_file_and_back(make_store: Any) -> None:
    source, target = InMemorySessionStore[Any](), InMemorySessionStore[Any]()
    sessions = await fill(source)
    journalled = await make_store()
    await copy_sessions(source, journalled, page_size=7)
    await journalled.aclose()
    journalled = await make_store(journalled.journal.path, session_classes=CLASSES)
    await copy_sessions(journalled, target, page_size=7)

    assert await answers(source, sessions) == await answers(journalled, sessions) == await answers(target, sessions)


async def test_through_json_lines(make_store: Any) -> None:
    source, file = await make_store(), BytesIO()
    sessions = await fill(source)
    await export_jsonl(source, file)
    file.seek(0)
    target = await make_store()
    await import_jsonl(file, target, session_classes=CLASSES)
    await target.aclose()
    target = await make_store(target.journal.path, session_classes=CLASSES)

    assert await answers(source, sessions) == await answers(target, sessions)
