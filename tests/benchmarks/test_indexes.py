"""Indexes of own fields: both classes hold the same, and every store answers as a scan does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.measure.progress import Progress
from benchmarks.report.table import duration
from benchmarks.report.tables import tables
from benchmarks.scenarios import footprint
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.indexes import BY_FIELD, GET_BY_FIELD, check, make_stores, put
from benchmarks.scenarios.loading import Loaded, load_into
from benchmarks.scenarios.lookups import MAX_SCAN_STORE_SIZE
from benchmarks.scenarios.operations import BY_CUSTOMER, SAVE
from benchmarks.scenarios.own_fields import WITH_INDEXES, WITHOUT_INDEXES
from benchmarks.scenarios.sessions import Population
from benchmarks.stores.subjects import SCAN_STORE
from sessiondex import InMemorySessionStore, Session
from tests.benchmarks.small_run import small_run

SIZE = 60


@pytest.fixture
async def loaded() -> AsyncIterator[Loaded]:
    async with load_into(make_stores(SIZE), put, Population(SIZE, seed=1), Progress()) as loaded:
        yield loaded


async def test_same_answers(loaded: Loaded) -> None:
    """Each session is found by its e-mail alone, and by the order with all others of its customer."""
    keys = list(loaded.keys.values())
    found = await check(loaded.subjects, keys, SIZE)

    assert list(loaded.subjects) == [WITHOUT_INDEXES, WITH_INDEXES, SCAN_STORE]
    assert found[BY_FIELD] == found[BY_CUSTOMER]
    assert {len(sessions) for sessions in found[BY_FIELD]} == {1, 2, 3}
    assert [[one.partition(":")[0] for one in found] for found in found[GET_BY_FIELD]] == [
        [str(one.session_id)] for one in keys
    ]


async def test_wrong_answer(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that leaves a session out is found out."""

    async def nothing(*_: Any, **__: Any) -> list[Session]:
        return []

    monkeypatch.setattr(InMemorySessionStore, "list_by_field", nothing)

    with pytest.raises(AnswersDifferError, match=f"{BY_FIELD}: at {SIZE} sessions, a linear scan and {WITH_INDEXES}"):
        await check(loaded.subjects, list(loaded.keys.values()), SIZE)


def test_cells() -> None:
    """Each size has a cell for each operation; both lists are as long; so few sessions are not weighed."""
    results = small_run().indexes

    assert results is not None
    assert [(cell.operation, cell.subject) for cell in results.cells if cell.sessions == SIZE] == [
        (BY_CUSTOMER, WITH_INDEXES),
        (BY_FIELD, WITH_INDEXES),
        (GET_BY_FIELD, WITH_INDEXES),
        (BY_FIELD, SCAN_STORE),
        (SAVE, WITHOUT_INDEXES),
        (SAVE, WITH_INDEXES),
    ]
    assert results.footprints == []
    assert SCAN_STORE not in make_stores(MAX_SCAN_STORE_SIZE + 1)


def test_table() -> None:
    """Medians and bytes are those of the run; what was not measured at a size is a dash."""
    run = small_run()
    assert run.indexes is not None
    weighed = [
        replace(run.footprints[0], variant=name, sessions=SIZE, bytes_per_session=size)
        for name, size in ((WITHOUT_INDEXES, 1234.0), (WITH_INDEXES, 5678.0))
    ]
    run = replace(run, indexes=replace(run.indexes, footprints=weighed))
    table = next(table for table in tables(run) if table.part == "indexes")
    saved = [cell.summary.median for cell in small_run().indexes.cells if cell.operation == SAVE]  # type: ignore[union-attr]  # it was run

    assert [row[1:] for row in table.rows[-2:]] == [["-", "1,234"], ["-", "5,678"]]
    assert table.rows[0][1:] + table.rows[1][1:] == [duration(saved[place]) for place in (0, 2, 1, 3)]


@pytest.mark.parametrize("variant", [WITHOUT_INDEXES, WITH_INDEXES])
async def test_footprint(variant: str) -> None:
    """Both classes can be weighed."""
    assert (await footprint.measure(variant, SIZE, 1, 0)).variant == variant
