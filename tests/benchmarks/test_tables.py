"""The tables: one value, rendered in the terminal, on the page and as Markdown; every figure is the run's."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from benchmarks.report.markdown import to_markdown
from benchmarks.report.table import Table, duration
from benchmarks.report.tables import answer, tables
from benchmarks.report.terminal import fitted, show
from benchmarks.run import Cells, Run
from benchmarks.scenarios.lookups import Cell
from benchmarks.scenarios.operations import GET, OPERATIONS
from benchmarks.stores.subjects import INDEXED, REFERENCE
from tests.benchmarks.small_run import small_run

FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?")


def _printed(run: Run, width: int) -> str:
    out = Console(file=StringIO(), width=width)
    show(out, run)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


def _with_medians(values: dict[tuple[int, str, str], float]) -> Run:
    """Return the small run with other medians of lookups with uniform keys."""

    def changed(cell: Cell) -> Cell:
        median = values.get((cell.sessions, cell.operation, cell.subject), cell.summary.median)
        return replace(cell, summary=replace(cell.summary, median=median)) if cell.keys == "uniform" else cell

    return replace(small_run(), lookups=[changed(cell) for cell in small_run().lookups])


def test_shape() -> None:
    """Every row is as wide as the head; heads and titles give the units."""
    for table in tables(small_run()):
        assert all(len(row) == len(table.head) for row in table.rows), table.title
        words = " ".join([table.title, *table.head, *[row[0] for row in table.rows]])
        assert re.search(r"µs|ms|seconds|/s|per second|bytes|What the peers are", words), table.title


def test_every_part_has_a_table() -> None:
    """A part that was not run has none."""
    parts = {table.part for table in tables(small_run())}
    few = replace(small_run(), peers=None, mixes=[], floods=[], lookups=[
        cell for cell in small_run().lookups if cell.operation in OPERATIONS
    ])  # fmt: skip

    assert parts == {"lookups", "memory", "replay", "services", "peers", "mixes", "floods", "details"}
    assert {table.part for table in tables(few)} == {"lookups", "memory", "replay", "details"}


def test_figures_are_those_of_the_run() -> None:
    """A figure that changes in the run changes in its cell, and in no other."""
    table = tables(_with_medians({(60, GET, INDEXED): 1234.0, (60, GET, REFERENCE): 5678.0}))[0]
    cells = Cells(small_run().lookups)
    row = next(row for row in table.rows if row[0] == GET)
    before = [duration(cells.median(30, GET, name)) for name in (INDEXED, REFERENCE)]

    assert row == [GET, " / ".join(before), "1,230 / 5,680", "index 4.6x"]
    assert [other for other in table.rows if other[0] != GET] == [
        other for other in tables(small_run())[0].rows if other[0] != GET
    ]


def test_marks() -> None:
    """Cells in which the scan is faster are marked, and only these."""
    medians = {(30, INDEXED): 2.0, (30, REFERENCE): 1.0, (60, INDEXED): 0.5, (60, REFERENCE): 1.0}
    table = tables(_with_medians({(size, GET, store): median for (size, store), median in medians.items()}))[0]
    number = [row[0] for row in table.rows].index(GET)

    assert (number, 1) in table.marks
    assert (number, 2) not in table.marks


@pytest.mark.parametrize("scan", [1.0, 300.0])
def test_answer(scan: float) -> None:
    """It gives the range of the speed-up over all queries, and where the scan is faster."""
    stores = {INDEXED: 10.0, REFERENCE: scan}
    medians = {(size, name, store): stores[store] for size in (30, 60) for name in OPERATIONS for store in stores}
    text = answer(_with_medians(medians | {(60, "get_by_channel", INDEXED): 1.0}))

    if scan == 300:
        assert text == "At 60 sessions, the indexed store answers queries 30 to 300 times as fast as the scan."
    else:
        assert "queries 0.10 to 1.0 times as fast as the scan; the scan is faster at list_by_agent (10x)," in text
        assert text.endswith("delete (10x) and 5 of 5 queries at 30 sessions.")


def test_terminal_has_every_figure() -> None:
    """At full width, every cell of every table is printed."""
    printed = _printed(small_run(), 200)

    for table in tables(small_run()):
        assert table.title in printed
        for cell in (cell for row in table.rows for cell in row):
            assert set(FIGURE.findall(cell)) <= set(FIGURE.findall(printed)), cell


@pytest.mark.parametrize("width", [80, 120])
def test_narrow_terminal(width: int) -> None:
    """Lines fit, no figure is cut, and columns that do not fit are named."""
    out = Console(file=StringIO(), width=width)
    run = _with_medians({(cell.sessions, cell.operation, cell.subject): 98_765.4 for cell in small_run().lookups})
    printed = _printed(run, width)

    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    for table in tables(run):
        _, left_out = fitted(out, table)
        assert set(left_out) <= {table.head[column] for column in table.optional}
        for number, row in enumerate(table.rows):
            for place, cell in enumerate(row):
                if place and table.head[place] not in left_out and not table.is_prose:
                    assert cell + ("*" if (number, place) in table.marks else "") in printed


def test_markdown() -> None:
    """Methods are code, and marked cells are bold."""
    table = Table(
        "lookups", "Title", ["operation", "µs"], [["get_by_channel", "1 / 2"], ["save, new", "3"]], marks={(1, 1)}
    )

    assert to_markdown(table).splitlines() == [
        "Title:",
        "",
        "| operation | µs |",
        "| --- | --- |",
        "| `get_by_channel` | 1 / 2 |",
        "| `save`, new | **3** |",
    ]


def test_plain_words() -> None:
    """The output compares; it does not judge."""
    printed = _printed(small_run(), 200) + answer(small_run())

    assert not re.search(r"(?i)\b(targets?|missed|reached|bounds?)\b", printed)
