"""copy_sessions: copies all sessions from one store to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidArgumentError


@dataclass(frozen=True)
class CopyProgress:
    """How far a copy has come: the target has everything that was read up to `cursor`.

    `read` counts the sessions read from the source, `restored` those of them that were newer than the target's.
    `cursor` resumes the copy; it is `None` at the end.
    """

    read: int
    restored: int
    cursor: str | None


async def copy_sessions(
    source: SessionStore[Any],
    target: SessionStore[Any],
    *,
    cursor: str | None = None,
    page_size: int = 500,
    progress: Callable[[CopyProgress], Awaitable[None] | None] | None = None,
) -> CopyProgress:
    """Copy all sessions with their stamps and revisions, a page at a time, and return how many there were.

    `progress` is called after each page, and may be a coroutine function. To resume an interrupted copy, pass the
    `cursor` of its last progress; starting over does no harm either. Sessions that are saved in the source during the
    copy may be left out: stop the writes, or copy once more when they have stopped. Deletions are not copied. Cost:
    that of reading and saving each session; one page is held at a time.

    >>> import asyncio
    >>> from uuid import uuid4
    >>> from sessiondex import InMemorySessionStore, Session
    >>> async def main():
    ...     source, target = InMemorySessionStore(), InMemorySessionStore()
    ...     session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel="sms", user_channel_id="1")
    ...     await source.save(session)
    ...     done = await copy_sessions(source, target)
    ...     return done.restored, await target.get(session.session_id) == session
    >>> asyncio.run(main())
    (1, True)

    Raises:
        NotImplementedError: a store has no `export`, or no `restore`.
        TenantMismatchError: the target has a session of that id, of another tenant.
    """
    for name, store in (("source", source), ("target", target)):
        given: object = store
        if not isinstance(given, SessionStore):
            reason = f"must be a SessionStore, not {type(store).__name__}; open_store() returns one"
            raise InvalidArgumentError(name, reason)
    if progress is not None and not callable(progress):
        raise InvalidArgumentError("progress", f"must be callable, not {type(progress).__name__}")
    if source is target:
        raise InvalidArgumentError("target", "must be another store than the source")
    read = restored = 0
    while True:
        page, cursor = await source.export(cursor=cursor, limit=page_size)
        restored += await target.restore(page)
        read += len(page)
        done = CopyProgress(read, restored, cursor)
        if progress is not None:
            result = progress(done)
            if isawaitable(result):
                await result
        if cursor is None:
            return done
