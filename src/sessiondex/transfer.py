"""copy_sessions: copies all sessions from one store to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sessiondex.arguments import check_callable
from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidArgumentError
from sessiondex.progress import report


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
    check_store("source", source)
    check_store("target", target)
    if progress is not None:
        check_callable("progress", progress)
    if source is target:
        raise InvalidArgumentError("target", "must be another store than the source")
    read = restored = 0
    while True:
        page, cursor = await source.export(cursor=cursor, limit=page_size)
        restored += await target.restore(page)
        read += len(page)
        done = CopyProgress(read, restored, cursor)
        await report(progress, done)
        if cursor is None:
            return done


def check_store(name: str, store: object) -> None:
    """Raise `InvalidArgumentError` unless the argument is a store."""
    if not isinstance(store, SessionStore):
        reason = f"must be a SessionStore, not {type(store).__name__}; open_store() returns one"
        raise InvalidArgumentError(name, reason)
