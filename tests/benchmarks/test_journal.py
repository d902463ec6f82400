"""The journal: all parts in one small run, whose tables show it; saves that were lost are found out."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure.processes import ProcessFailedError
from benchmarks.measure.progress import Progress
from benchmarks.report.table import Table, factor
from benchmarks.report.tables import tables
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.journal import loads, saving
from benchmarks.scenarios.journal.direct import DirectSQLite
from benchmarks.scenarios.journal.reads import NEVER_SAVED, OPERATIONS, RESTORED
from benchmarks.scenarios.journal.scenario import JournalResults
from benchmarks.scenarios.journal.subjects import (
    BATCHED,
    DIRECT_FULL,
    FULL,
    JOURNALS,
    STORES,
    SUBJECTS,
    compare,
    open_store,
    open_subjects,
    path_of,
)
from benchmarks.scenarios.sessions import Population
from sessiondex import Session
from tests.benchmarks.small_run import JOURNAL, small_run

SIZE = 20


@pytest.fixture
def sessions() -> list[Session]:
    return list(Population(SIZE, seed=1))


def results() -> JournalResults:
    found = small_run().journal
    assert found is not None
    return found


def journal_tables() -> list[Table]:
    return [table for table in tables(small_run()) if table.part == "journal"]


def test_results() -> None:
    """Each subject has a rate for each number of tasks, each store its pauses and its reads; only journals commit."""
    found = results()

    assert [(rate.tasks, rate.subject) for rate in found.rates] == [
        (n, name) for n in JOURNAL.tasks for name in SUBJECTS
    ]
    assert {rate.subject for rate in found.rates if rate.saves_per_commit is not None} == set(JOURNALS)
    assert [rate.saves_per_commit for rate in found.rates if (rate.tasks, rate.subject) == (1, FULL)] == [1]
    assert {rate.of_direct for rate in found.rates if rate.subject == DIRECT_FULL} == {1}
    assert [each.subject for each in found.pauses] == [*STORES]
    assert [(cell.operation, cell.subject) for cell in found.reads] == [
        (operation, name) for operation in OPERATIONS for name in (NEVER_SAVED, RESTORED)
    ]
    assert [(each.sessions, each.bytes_loaded) for each in found.loads] == [(60, None)]
    assert found.sync > 0


def test_tables() -> None:
    """There is a row for each rate, operation and store; figures are those of the run."""
    found = results()
    saves, reads, pauses, loaded = journal_tables()

    assert [[row[0], row[3]] for row in saves.rows] == [
        [rate.subject, f"{factor(rate.of_direct)}x"] for rate in found.rates
    ]
    assert [row[0] for row in reads.rows] == [*OPERATIONS]
    assert [row[:1] + row[-1:] for row in pauses.rows] == [
        [each.subject, factor(each.longest_of_all)] for each in found.pauses
    ]
    assert loaded.head == ["sessions", "60"]
    assert loaded.rows[0] == ["loading, s", f"{found.loads[0].seconds:.2f}"]
    assert loaded.rows[-1] == ["bytes per session, repacked", "-"]


def test_no_loads() -> None:
    """Without sizes, there is no table of loading."""
    run = replace(small_run(), journal=replace(results(), loads=[]))

    assert len([table for table in tables(run) if table.part == "journal"]) == len(journal_tables()) - 1


async def test_same_sessions(sessions: list[Session], tmp_path: Path) -> None:
    """All subjects have the same sessions, and journals still have them when they are opened again."""
    ids = [session.session_id for session in sessions]
    async with open_subjects(tmp_path, sessions) as subjects:
        await saving.run(subjects, ids, [3], 1, 0.01, tmp_path, Progress())
        saved = [await subjects[BATCHED].get(session_id) for session_id in ids]
    async with open_store(BATCHED, tmp_path) as store:
        restored = [await store.get(session_id) for session_id in ids]

    assert restored == saved
    assert all(session is not None and session.turn_count > 3 for session in saved[:3])  # each task saves one, or more


async def test_session_that_a_journal_lost(sessions: list[Session], tmp_path: Path) -> None:
    """A journal that has fewer sessions than its store had is found out."""

    async def lose_one() -> None:
        async with open_subjects(tmp_path, sessions):
            await asyncio.to_thread(_delete_one, path_of(FULL, tmp_path))

    with pytest.raises(AnswersDifferError, match=f"{FULL}, opened again: 1 of {SIZE} sessions are missing or differ"):
        await lose_one()


def _delete_one(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM sessions WHERE number = 1")
    connection.close()


async def test_save_that_was_lost(sessions: list[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject that saves nothing is found out."""

    async def nothing(*_: Any) -> None:
        await asyncio.sleep(0)

    async with open_subjects(tmp_path, sessions) as subjects:
        monkeypatch.setattr(DirectSQLite, "save", nothing)
        with pytest.raises(AnswersDifferError, match=rf"{DIRECT_FULL}: \d+ turns were saved, and 3 are there"):
            await saving.run(subjects, [sessions[0].session_id], [1], 1, 0.01, tmp_path, Progress())


def test_different_sessions(sessions: list[Session]) -> None:
    """Sessions that are missing or differ are counted."""
    ids = [session.session_id for session in sessions[:3]]

    with pytest.raises(AnswersDifferError, match="name: 2 of 3 sessions are missing or differ"):
        compare(dict.fromkeys(ids, "a"), {ids[0]: "a", ids[1]: "b"}, "name")


async def test_loading(tmp_path: Path) -> None:
    """The sessions that are loaded are those that were saved; others are found out."""
    saved = await loads.save(tmp_path / "sessions.db", SIZE, 1)
    found, loaded = await loads.load(tmp_path / "sessions.db", SIZE)
    other = replace(loaded, digest="0")

    assert loads.checked(saved, loaded, found) is found
    assert saved.sessions == SIZE
    assert found.per_session == found.seconds / SIZE * 1e6
    with pytest.raises(AnswersDifferError, match=f"journal of {SIZE} sessions: other ones were loaded"):
        loads.checked(saved, other, found)


async def test_failing_process(tmp_path: Path) -> None:
    """A process that fails ends the run with its error output."""
    with pytest.raises(
        ProcessFailedError, match=r"journal, 20 sessions: the process ended with status 1: [^$]*nowhere"
    ):
        await loads.run([SIZE], 1, tmp_path / "nowhere", Progress())
