"""Files that an earlier release of this format has written: they load, and new files are like them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.journal_files import DATABASE, GOLDEN_COUNT, expected_sessions, make_files, read
from tests.support.power_failure import write_to

DATA = Path(__file__).parent.parent / "data"
NAMES = ["journal-format-1.db", "journal-format-1-killed.db"]
SETTINGS = ("application_id", "user_version", "page_size", "auto_vacuum", "encoding", "journal_mode")


def copied(name: str, folder: Path) -> Path:
    """Copy the kept file, with its log if there is one, and return its path."""
    write_to(folder, {path.name: path.read_bytes() for path in DATA.glob(f"{name}*")})
    return folder / name


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_format_1(tmp_path: Path, name: str) -> None:
    """Its sessions are all there and equal, with their stamps and revisions; also those in a log that was left."""
    path = copied(name, tmp_path / "copy")

    assert path.with_name(f"{name}-wal").exists() == ("killed" in name)
    assert asyncio.run(read(path)) == expected_sessions(GOLDEN_COUNT)


def layout(path: Path) -> tuple[list[tuple[str, ...]], list[tuple[str | int]]]:
    with closing(sqlite3.connect(path)) as connection:
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        return schema, [connection.execute(f"PRAGMA {setting}").fetchone() for setting in SETTINGS]


def test_a_new_file_has_the_same_layout(tmp_path: Path) -> None:
    """Another layout needs another format, and a test that this one is still read."""
    (tmp_path / "new").mkdir()
    made = asyncio.run(make_files(tmp_path / "new", GOLDEN_COUNT, is_killed=False))
    write_to(tmp_path / "closed", made.files)

    assert made.sessions == expected_sessions(GOLDEN_COUNT)
    assert layout(tmp_path / "closed" / DATABASE) == layout(copied(NAMES[0], tmp_path / "old"))
