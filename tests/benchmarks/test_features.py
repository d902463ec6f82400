"""The feature matrix: what the checks find, and the table in the README."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.features.cells import BY_HAND, NO, YES, Cell, absent, by_hand
from benchmarks.features.checks import CUSTOMER, FEATURES
from benchmarks.features.markdown import to_markdown
from benchmarks.features.matrix import IN_MEMORY, ON_SERVER, Matrix, local_subjects, read, run
from benchmarks.features.subjects.dict_loops import DictChecks
from benchmarks.features.tools import KeyedLocks, bytecodes, most_at_once

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "benchmarks/results/features.json"


async def test_outcomes_are_those_committed(tmp_path: Path) -> None:
    """Subjects that need no peer pass and fail the same checks as in the committed result."""
    subjects = local_subjects(tmp_path)
    found, committed = await run(subjects), read(COMMITTED)

    for feature in FEATURES:
        for subject in subjects:
            ours, theirs = found.cells[feature][subject.name], committed.cells[feature][subject.name]
            assert replace(ours, observed="") == replace(theirs, observed=""), (feature, subject.name)


def test_every_cell_has_evidence() -> None:
    """The committed result has every feature of every subject, and says what was observed."""
    committed = read(COMMITTED)

    assert set(committed.cells) == set(FEATURES)
    for row in committed.cells.values():
        assert set(row) == set(committed.versions)
        assert all(cell.outcome in {YES, NO, BY_HAND} and cell.observed for cell in row.values())
        assert all((cell.outcome == BY_HAND) == bool(cell.lines) for cell in row.values())


def test_json_round_trip(tmp_path: Path) -> None:
    """A matrix comes back equal from its file."""
    matrix = Matrix("CPython 3", {"dict": "CPython 3"}, {"turns": {"dict": Cell(BY_HAND, "seen", 5, "Note.")}})
    (tmp_path / "features.json").write_text(matrix.to_json(), encoding="utf-8")

    assert read(tmp_path / "features.json") == matrix


def _small_matrix(in_memory: Cell, on_server: Cell) -> Matrix:
    row = {
        IN_MEMORY: in_memory,
        ON_SERVER: on_server,
        "dict": Cell(BY_HAND, "seen", 5, "Note."),
        "ADK": Cell(NO, "seen"),
    }
    return Matrix("CPython 3", {name: f"{name} 1" for name in row}, dict.fromkeys(FEATURES, row))


def test_markdown_merges_both_stores() -> None:
    """Both stores have one column, which says where only the server has a feature; equal footnotes are one."""
    same = to_markdown(_small_matrix(Cell(YES, "a"), Cell(YES, "b"))).splitlines()
    differ = to_markdown(_small_matrix(Cell(NO, "a"), Cell(YES, "b"))).splitlines()

    assert same[0] == "|feature|sessiondex|dict|ADK|"
    assert same[2].endswith("|yes|5 lines¹|no|")
    assert differ[2].endswith("|on a server|5 lines¹|no|")
    assert same[-1].count("¹ Note.") == 1
    assert "²" not in same[-1]


def test_markdown_refuses_other_differences() -> None:
    """A feature that is in memory only would need another word."""
    with pytest.raises(AssertionError, match="customer"):
        to_markdown(_small_matrix(Cell(YES, "a"), Cell(NO, "b")))


async def test_steps_grow_with_a_loop() -> None:
    """Bytecodes count the work of a call: the same each time, and ten times as many for a loop ten times as long."""

    async def counted(size: int) -> int:
        checks = DictChecks()
        await checks.fill(range(size))
        return await bytecodes(lambda: checks.of_customer(CUSTOMER))

    few, again, many = [await counted(size) for size in (100, 100, 1_000)]
    assert few == again
    assert 5 * few < many < 15 * few


async def test_locks_are_per_key() -> None:
    """Tasks with the same key take turns; a lock that nobody uses is forgotten."""
    locks, keys = KeyedLocks(), iter("abcde")

    assert await most_at_once(lambda: locks.lock("a")) == 1
    assert await most_at_once(lambda: locks.lock(next(keys))) == 5
    assert not locks._locks


class _Peer:
    def list_sessions(self, page_size: int) -> None:
        """Have a parameter that the check looks for."""


def test_absent_fails_when_there_is_such_a_name() -> None:
    """A new version that has the feature makes the check fail, by a method or by a parameter."""
    assert absent(_Peer, "cursor") == "_Peer has no public name or parameter with 'cursor'"
    for word in ("list", "page"):
        with pytest.raises(AssertionError, match="review the check"):
            absent(_Peer, word)


def _two_lines() -> int:
    """Return a number; this line is not counted."""
    # Nor is this one.
    return 1


def test_lines_of_code() -> None:
    """Only code is counted, and only if it passed."""
    assert by_hand(True, "seen", _two_lines, _two_lines) == Cell(BY_HAND, "seen", 4)
    assert by_hand(False, "seen", _two_lines) == Cell(NO, "seen")
