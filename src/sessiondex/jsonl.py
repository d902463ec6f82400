"""JSON Lines: writes all sessions of a store to a file, one in a line, and reads them back into any store.

A line is a JSON object with the type and the schema version of the session's class, its stamp in microseconds since
1970-01-01 UTC, its revision, and the session. So other releases and other programs can read it. Files are read and
written in a thread, so the loop goes on.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import zlib
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOBase
from itertools import islice
from os import PathLike
from pathlib import Path
from tempfile import mkstemp
from typing import IO, Any, Literal, TypeAlias, TypeVar

from pydantic_core import from_json, to_json

from sessiondex.arguments import MAX_RESTORED_STAMP, check_callable
from sessiondex.clock import to_microseconds
from sessiondex.contract import SessionStore
from sessiondex.errors import InvalidArgumentError, InvalidLineError, SessiondexError, TenantMismatchError
from sessiondex.indexed import own_keys
from sessiondex.models import Session
from sessiondex.progress import report
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.snapshots.session_types import MAX_SCHEMA_VERSION, SessionTypes
from sessiondex.transfer import check_store

T = TypeVar("T")

log: logging.Logger = logging.getLogger("sessiondex")

File: TypeAlias = str | PathLike[str] | IO[bytes]
"""A path, compressed by gzip if it ends in `.gz`, or a binary file that the caller closes."""

_PAGE_SIZE = 500
_LINES_PER_TURN = 50  # then other tasks run


@dataclass(frozen=True)
class LinesProgress:
    """How far an export or import has come.

    `lines` counts those written or read, `restored` the sessions of an import that were newer than the store's,
    `skipped` the bad lines.
    """

    lines: int
    restored: int = 0
    skipped: int = 0


OnLines = Callable[[LinesProgress], Awaitable[None] | None]


async def export_jsonl(store: SessionStore[Any], file: File, *, progress: OnLines | None = None) -> LinesProgress:
    """Write all sessions of the store to the file, one in a line, and return how many there were.

    A file that is given as a path appears, or is replaced, at the end: never half of it. `progress` is called after
    each page, and may be a coroutine function. `SessionStore.export` says what holds for sessions that are saved during
    the export. Cost: that of reading each session.

    >>> import asyncio
    >>> from io import BytesIO
    >>> from uuid import uuid4
    >>> from sessiondex import InMemorySessionStore, Session
    >>> async def main():
    ...     source, target, file = InMemorySessionStore(), InMemorySessionStore(), BytesIO()
    ...     session = Session(tenant_id=uuid4(), agent_id=uuid4(), channel="sms", user_channel_id="1")
    ...     await source.save(session)
    ...     written = await export_jsonl(source, file)
    ...     file.seek(0)
    ...     done = await import_jsonl(file, target)
    ...     return written.lines, done.restored, await target.get(session.session_id) == session
    >>> asyncio.run(main())
    (1, 1, True)

    Raises:
        InvalidSessionError: a class has no name by which another process finds it; declare `session_type` in it.
        NotImplementedError: the store has no `export`.
    """
    check_store("store", store)
    if progress is not None:
        check_callable("progress", progress)
    codec: SnapshotCodec[Any] = SnapshotCodec(lambda _values, _indexed: ())
    types = SessionTypes()
    cursor: str | None
    done, cursor = LinesProgress(0), None
    with _opened(file, "wb") as target:
        while True:
            page, cursor = await store.export(cursor=cursor, limit=_PAGE_SIZE)
            lines = []
            for number, session in enumerate(page, 1):
                if number % _LINES_PER_TURN == 0:
                    await asyncio.sleep(0)
                lines.append(_line_of(codec, types, session))
            await _in_thread(partial(target.writelines, lines))
            done = LinesProgress(done.lines + len(page))
            await report(progress, done)
            if cursor is None:
                return done


async def import_jsonl(
    file: File,
    store: SessionStore[Any],
    *,
    session_classes: Iterable[type[Session]] = (),
    bad_lines: Literal["raise", "skip"] = "raise",
    progress: OnLines | None = None,
) -> LinesProgress:
    """Restore the sessions in the file to the store, and return how many lines there were.

    `session_classes` are the subclasses of `Session` in the file. Their `upgrade` reads what earlier versions wrote.
    Sessions that the store has in as late a version are left alone, so an import that was interrupted can be repeated.
    With `bad_lines="skip"`, a line that cannot be read, or whose id belongs to another tenant, is logged, counted and
    left out. `progress` is called after each part of the file, and may be a coroutine function. Cost: that of reading
    and saving each session.

    Raises:
        InvalidLineError: a line cannot be read, or the file is damaged. Earlier parts of the file were restored.
        NotImplementedError: the store has no `restore`.
    """
    check_store("store", store)
    if progress is not None:
        check_callable("progress", progress)
    if bad_lines not in ("raise", "skip"):
        raise InvalidArgumentError("bad_lines", "must be 'raise' or 'skip'")
    # The keys are made, so that a line whose values cannot be indexed is found here.
    codec: SnapshotCodec[Any] = SnapshotCodec(lambda values, indexed: tuple(own_keys(values, indexed)))
    types = SessionTypes(session_classes)
    done = LinesProgress(0)
    with _opened(file, "rb") as source:
        iterator = iter(source)
        while lines := await _read(iterator, done.lines):
            found: list[tuple[int, Session]] = []
            skipped = 0
            for number, line in enumerate(lines, done.lines + 1):
                if number % _LINES_PER_TURN == 0:
                    await asyncio.sleep(0)
                try:
                    if line.strip():
                        found.append((number, _session_of(codec, types, number, line)))
                except InvalidLineError as error:
                    _skip_or_raise(error, bad_lines)
                    skipped += 1
            restored, refused = await _restore(store, found, bad_lines)
            done = LinesProgress(done.lines + len(lines), done.restored + restored, done.skipped + skipped + refused)
            await report(progress, done)
    return done


async def _read(iterator: Iterator[bytes], before: int) -> list[bytes]:
    """Return the next lines; `before` is how many were read."""
    try:
        lines = await _in_thread(lambda: [*islice(iterator, _PAGE_SIZE)])
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidLineError(before + 1, f"from here on the file is damaged: {error}") from error
    if lines and not before:
        lines[0] = lines[0].removeprefix(BOM_UTF8)
    return lines


async def _restore(store: SessionStore[Any], found: list[tuple[int, Session]], bad_lines: str) -> tuple[int, int]:
    """Restore sessions, each given with its line, and return how many were restored and how many skipped."""
    refused = 0
    while True:
        try:
            return await store.restore([session for _, session in found]), refused
        except TenantMismatchError as error:
            bad = [number for number, session in found if session.session_id == error.session_id]
            _skip_or_raise(InvalidLineError(bad[0], str(error)), bad_lines)
            refused += len(bad)
            found = [one for one in found if one[1].session_id != error.session_id]


def _skip_or_raise(error: InvalidLineError, bad_lines: str) -> None:
    if bad_lines == "raise":
        raise error
    log.warning("an import goes on without a line: %s", error)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run the work in a thread. If this is cancelled, it waits: nobody else may use the file before."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        task.exception()  # it is of no interest now, and must not be logged
        raise


def _line_of(codec: SnapshotCodec[Any], types: SessionTypes, session: Session) -> bytes:
    stamp = to_microseconds(session.last_activity_at)
    session_id, tenant_id, packed, _, _ = codec.prepare(session)
    cls, version, data = codec.to_json(packed, session_id.bytes, tenant_id.bytes, stamp, session.revision)
    head = to_json({"type": types.type_of(cls), "version": version, "stamp": stamp, "revision": session.revision})
    return b'%b,"session":%b}\n' % (head[:-1], data)


def _session_of(codec: SnapshotCodec[Any], types: SessionTypes, number: int, line: bytes) -> Session:
    try:
        parts: Any = from_json(line)
        name, version, stamp, revision, values = (
            parts[key] for key in ("type", "version", "stamp", "revision", "session")
        )
    except (ValueError, TypeError, LookupError):
        reason = "it is no JSON object with type, version, stamp, revision and session"
        raise InvalidLineError(number, reason) from None
    for key, value, least, most in (
        ("version", version, 1, MAX_SCHEMA_VERSION),
        ("stamp", stamp, 0, MAX_RESTORED_STAMP),
        ("revision", revision, 1, MAX_RESTORED_STAMP),
    ):
        if type(value) is not int or not least <= value <= most:
            raise InvalidLineError(number, f"{key} must be an int from {least} to {most}")
    cls = types.class_of(name) if isinstance(name, str) else None
    if cls is None:
        raise InvalidLineError(number, f"no known class has the type {name!r}; give it in session_classes")
    try:
        session: Session = codec.from_json(cls, version, to_json(values), stamp, revision)
        codec.prepare(session)  # so that `restore` refuses no line for its contents
    except SessiondexError as error:
        raise InvalidLineError(number, str(error)) from error
    return session


@contextmanager
def _opened(file: File, mode: Literal["rb", "wb"]) -> Iterator[IO[bytes]]:
    """Open a path, or take an open file. A path that is written is replaced when all went well."""
    if not isinstance(file, str | PathLike):
        given: object = file
        if isinstance(given, TextIOBase) or not hasattr(given, "readlines" if mode == "rb" else "writelines"):
            raise InvalidArgumentError("file", f"must be a path or a binary file, not {type(given).__name__}")
        yield file
        return
    path = Path(file)
    if not path.name or path.is_dir():
        raise InvalidArgumentError("file", "must be the path of a file")
    opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
    if mode == "rb":
        with opener(path, mode) as source:
            yield source
        return
    if not path.parent.is_dir():
        raise InvalidArgumentError("file", f"there is no folder {path.parent}; make it first")
    descriptor, name = mkstemp(dir=path.parent, prefix=".", suffix=".partial")  # which nobody else can read
    os.close(descriptor)
    try:
        with opener(name, mode) as target:
            yield target
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
