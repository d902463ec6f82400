"""Damaged journals, and files that are none: right sessions or an error, and nothing is touched."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from struct import unpack_from
from typing import Any

import pytest

from sessiondex import InMemorySessionStore
from sessiondex.errors import InvalidJournalError, UnreadableSessionError
from sessiondex.stores.sqlite import SQLiteJournal, files
from sessiondex.stores.sqlite.lock import FileLock
from tests.support.journal_files import (
    DATABASE,
    LOG,
    JournalFiles,
    Sessions,
    files_in,
    make_files,
    opened,
    read,
    sessions_in,
)
from tests.support.power_failure import write_to
from tests.support.seeds import TryEach
from tests.support.sizes import search_size

FRAME_BYTES = 24 + files.PAGE_SIZE
LOG_HEADER_BYTES = 32


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> JournalFiles:
    return asyncio.run(make_files(tmp_path_factory.mktemp("closed"), 40, is_killed=False))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> JournalFiles:
    return asyncio.run(make_files(tmp_path_factory.mktemp("killed"), 12, is_killed=True))


def flipped(content: bytes, place: int, bit: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def check_untouched(folder: Path, before: Mapping[str, bytes]) -> None:
    assert files_in(folder) == before, "the refused files were changed"
    FileLock(folder / DATABASE).release()


def found_in(folder: Path, before: Mapping[str, bytes]) -> Sessions | None:
    """Return what a store finds in these files; `None` if it refuses them and left them as they are."""
    write_to(folder, before)
    try:
        return asyncio.run(read(folder / DATABASE))
    except (InvalidJournalError, UnreadableSessionError):
        check_untouched(folder, before)
        return None


async def check_use(path: Path, sessions: Sessions) -> None:
    """Save, delete and reopen: a file that opens must not lead to wrong sessions later."""
    kept = dict(sessions)
    async with opened(path) as store:
        for session in list(kept.values())[::2]:
            await store.delete(kept.pop(session.session_id).session_id)
        for session in kept.values():
            session.turn_count += 1
            await store.save(session)
        kept = await sessions_in(store)
    assert await read(path) == kept


@pytest.mark.search
def test_bits_flip_in_a_closed_file(tmp_path: Path, closed: JournalFiles, try_each: TryEach) -> None:
    """Either the file is refused and left as it is, or it has the right sessions, now and after more writes."""
    outcomes = []

    def attempt(seed: int) -> None:
        rng, folder, content = random.Random(seed), tmp_path / str(seed), closed.files[DATABASE]
        page = rng.randrange(len(content) // files.PAGE_SIZE) * files.PAGE_SIZE
        place = page + rng.choice([rng.randrange(files.PAGE_SIZE), rng.randrange(120)])
        found = found_in(folder, {DATABASE: flipped(content, place, rng.randrange(8))})
        assert found is None or found == closed.sessions
        if found is not None:
            asyncio.run(check_use(folder / DATABASE, found))
        outcomes.append(found is None)
        rmtree(folder)

    if try_each(range(search_size(2_400, 16)), attempt):
        assert 0.3 < sum(outcomes) / len(outcomes) < 1


@pytest.mark.search
def test_bits_flip_and_damaged_sessions_are_skipped(tmp_path: Path, closed: JournalFiles, try_each: TryEach) -> None:
    """Every session that is not there was counted, and the others are right."""
    skips = []

    def attempt(seed: int) -> None:
        rng, folder, content = random.Random(seed), tmp_path / str(seed), closed.files[DATABASE]
        before = {DATABASE: flipped(content, rng.randrange(len(content)), rng.randrange(8))}
        write_to(folder, before)

        async def read_readable() -> None:
            async with opened(folder / DATABASE, on_unreadable="skip") as store:
                skipped, found = store.stats().skipped_reads, await sessions_in(store)
                assert found.items() <= closed.sessions.items()
                assert len(found) + skipped == len(closed.sessions)
                skips.append(skipped)

        try:
            asyncio.run(read_readable())
        except InvalidJournalError:
            check_untouched(folder, before)
        rmtree(folder)

    if try_each(range(10_000, 10_000 + search_size(1_600, 16)), attempt):
        assert any(skips)


def last_commit_begins(log: bytes) -> int:
    """Return where the frames of the last commit begin."""
    ends = [
        place + FRAME_BYTES
        for place in range(LOG_HEADER_BYTES, len(log) - FRAME_BYTES + 1, FRAME_BYTES)
        if unpack_from(">I", log, place + 4)[0]
    ]
    assert ends[-1] == len(log), "the log ends with a commit"
    return ends[-2]


@pytest.mark.search
@pytest.mark.parametrize("where", ["anywhere", "headers of frames", "header"])
def test_bits_flip_in_a_log(tmp_path: Path, killed: JournalFiles, try_each: TryEach, where: str) -> None:
    """Either it is refused, or the sessions are right; only damage to the last commit may undo that commit."""
    log, losses, refusals = killed.files[LOG], [], []
    last = last_commit_begins(log)

    def attempt(seed: int) -> None:
        rng, folder = random.Random(seed), tmp_path / str(seed)
        frame = LOG_HEADER_BYTES + rng.randrange((len(log) - LOG_HEADER_BYTES) // FRAME_BYTES) * FRAME_BYTES
        place = {
            "anywhere": rng.randrange(len(log)),
            "headers of frames": frame + rng.randrange(24),
            "header": rng.randrange(LOG_HEADER_BYTES),
        }[where]
        found = found_in(folder, {**killed.files, LOG: flipped(log, place, rng.randrange(8))})
        if place < last:
            assert found is None or found == killed.sessions
            refusals.append(found is None)
        elif found is not None:
            assert found in (killed.sessions, killed.sessions_before)
            losses.append(found == killed.sessions_before)
        rmtree(folder)

    if try_each(range(20_000, 20_000 + search_size(1_200, 16)), attempt):
        assert any(refusals)
        assert where == "header" or any(losses), "what the docs say of the last commit is true"


def other_database(folder: Path) -> bytes:
    with closing(sqlite3.connect(folder / "other")) as connection:
        connection.execute("CREATE TABLE numbers (number)")
        connection.commit()
    return (folder / "other").read_bytes()


def patched(content: bytes, place: int, value: int) -> bytes:
    return content[:place] + value.to_bytes(4) + content[place + 4 :]


FOREIGN: dict[str, tuple[Callable[[bytes, Path], bytes], str]] = {
    "garbage": (lambda _, __: random.Random(1).randbytes(20_000), "not a journal of sessiondex.* Give another path"),
    "one byte": (lambda _, __: b"S", "not a journal of sessiondex.* Give another path"),
    "text": (lambda _, __: b"Dear diary,\n" * 9, "not a journal of sessiondex.* Give another path"),
    "another database": (lambda _, folder: other_database(folder), "not a journal of sessiondex.* Give another path"),
    "of another application": (lambda content, _: patched(content, 68, 1), "not a journal of.* Give another path"),
    "a later format": (lambda content, _: patched(content, 60, 2), "has format 2, of a later release.* Use that"),
    "format 0": (lambda content, _: patched(content, 60, 0), "damaged header; restore a backup"),
    "the header alone": (lambda content, _: content[:100], "restore a backup"),
    "half a file": (lambda content, _: content[: len(content) // 2], "restore a backup"),
    "without its last page": (lambda content, _: content[: -files.PAGE_SIZE], "restore a backup"),
    "a page of zeros": (lambda content, _: content[: -files.PAGE_SIZE] + bytes(files.PAGE_SIZE), "restore a backup"),
}


@pytest.mark.parametrize(("change", "message"), FOREIGN.values(), ids=FOREIGN)
async def test_another_file(
    tmp_path: Path, closed: JournalFiles, change: Callable[[bytes, Path], bytes], message: str
) -> None:
    """The error says what to do, and the file stays as it is; the second attempt finds the same."""
    before = {DATABASE: change(closed.files[DATABASE], tmp_path)}
    write_to(tmp_path / "a", before)

    for _ in range(2):
        with pytest.raises(InvalidJournalError, match=message):
            await read(tmp_path / "a" / DATABASE)
        check_untouched(tmp_path / "a", before)


@pytest.mark.parametrize(
    ("missing", "message"),
    [(LOG, "lacks its -wal file.* restore a backup"), (DATABASE, "is missing, and its .*-wal is there.* backup")],
)
async def test_a_file_without_the_other(tmp_path: Path, killed: JournalFiles, missing: str, message: str) -> None:
    """It is refused again and again: an attempt does not make the missing file."""
    before = {name: content for name, content in killed.files.items() if name != missing}
    write_to(tmp_path / "a", before)

    for _ in range(3):
        with pytest.raises(InvalidJournalError, match=message):
            await read(tmp_path / "a" / DATABASE)
        check_untouched(tmp_path / "a", before)


async def test_the_advice_after_a_lost_log(tmp_path: Path, killed: JournalFiles) -> None:
    """Accepting the loss, by the command that the error gives, opens the file."""
    write_to(tmp_path / "a", {DATABASE: killed.files[DATABASE]})
    path = tmp_path / "a" / DATABASE
    with pytest.raises(InvalidJournalError, match="UPDATE journal SET is_open = 0"):
        await read(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE journal SET is_open = 0")
        connection.commit()

    assert (await read(path)).items() <= killed.sessions.items()


async def test_an_error_after_an_unclean_end(tmp_path: Path, killed: JournalFiles) -> None:
    """A store that cannot be opened leaves the log to the next one."""

    def fail(_: object) -> None:
        raise LookupError

    write_to(tmp_path / "a", killed.files)
    path = tmp_path / "a" / DATABASE
    for _ in range(2):
        with pytest.raises(LookupError):
            await InMemorySessionStore(journal=SQLiteJournal(path, progress=fail)).__aenter__()
        check_untouched(tmp_path / "a", killed.files)

    assert await read(path) == killed.sessions


WRONG_VALUES = [
    "UPDATE sessions SET stamp = 'text'",
    "UPDATE sessions SET revision = 0.5",
    "UPDATE sessions SET id = 'text' WHERE number = 1",
    "UPDATE sessions SET id = x'01' WHERE number = 1",
    "UPDATE sessions SET type = x'ff'",
    "UPDATE sessions SET version = 'text'",
    "UPDATE sessions SET data = 5",
    "UPDATE sessions SET head_check = 'text'",
    "UPDATE sessions SET data_check = 1.5",
]


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("statement", WRONG_VALUES)
async def test_wrong_values_in_rows(tmp_path: Path, closed: JournalFiles, statement: str) -> None:
    """They are damage as any other, whatever their types."""
    write_to(tmp_path / "a", closed.files)
    path = tmp_path / "a" / DATABASE
    execute(path, statement)

    with pytest.raises(UnreadableSessionError, match=r"the row is damaged.* restore a backup"):
        await read(path)
    async with opened(path, on_unreadable="skip") as store:
        assert store.stats().skipped_reads + store.stats().sessions == len(closed.sessions)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM journal",
        "INSERT INTO journal SELECT * FROM journal",
        "UPDATE journal SET stamp = 'text'",
        "UPDATE journal SET sequence = sequence + 1",
        "ALTER TABLE journal RENAME COLUMN is_open TO is_opeo",
        "DROP TABLE journal",
        "DROP TABLE sessions",
        "UPDATE sessions SET number = -5 WHERE number = 1",  # where nobody looks for it
    ],
)
async def test_wrong_tables(tmp_path: Path, closed: JournalFiles, statement: str) -> None:
    write_to(tmp_path / "a", closed.files)
    path = tmp_path / "a" / DATABASE
    execute(path, statement)
    before = files_in(path.parent)

    for _ in range(2):
        with pytest.raises(InvalidJournalError, match="restore a backup"):
            await read(path)
        check_untouched(path.parent, before)


async def test_an_empty_file(tmp_path: Path) -> None:
    """It becomes a journal, since temporary files are made so."""
    (tmp_path / DATABASE).touch()

    assert [await read(tmp_path / DATABASE) for _ in range(2)] == [{}, {}]


@pytest.mark.parametrize("link", [os.symlink, os.link])
async def test_a_link(tmp_path: Path, closed: JournalFiles, link: Any) -> None:
    """By another name, a second store could open the file."""
    write_to(tmp_path / "a", closed.files)
    link(tmp_path / "a" / DATABASE, tmp_path / "a" / "link.db")

    with pytest.raises(InvalidJournalError, match=r"must (be a file; symbolic links|have one name)"):
        await read(tmp_path / "a" / "link.db")
    check_untouched(tmp_path / "a", {**closed.files, "link.db": closed.files[DATABASE]})


async def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / DATABASE).mkdir()

    with pytest.raises(InvalidJournalError, match="must be a file"):
        await read(tmp_path / DATABASE)


async def test_a_file_is_replaced_while_it_is_opened(
    tmp_path: Path, closed: JournalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, as the file that was checked is not the one that would be used."""
    write_to(tmp_path / "a", closed.files)
    write_to(tmp_path / "other", closed.files)
    connect = files.connect

    def replace_and_connect(path: Path) -> sqlite3.Connection:
        (tmp_path / "other" / DATABASE).replace(path)
        return connect(path)

    monkeypatch.setattr(files, "connect", replace_and_connect)
    with pytest.raises(InvalidJournalError, match="was replaced while it was opened; open it again"):
        await read(tmp_path / "a" / DATABASE)
    check_untouched(tmp_path / "a", closed.files)
