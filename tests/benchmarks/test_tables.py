"""The tables: one value, rendered in the terminal, on the page and as Markdown; every figure is the run's."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.report.answer import answer, readme
from benchmarks.report.markdown import main as print_markdown
from benchmarks.report.markdown import to_markdown
from benchmarks.report.table import Table, duration
from benchmarks.report.tables import PARTS, tables
from benchmarks.report.terminal import close, fitted, show
from benchmarks.run import Cells, Run
from benchmarks.scenarios.lookups import Cell
from benchmarks.scenarios.operations import BY_CHANNEL, GET, OPERATIONS, QUERIES, SAVE
from benchmarks.stores.subjects import INDEXED, REFERENCE
from tests.benchmarks.small_run import small_run

FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?")
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def _printed(run: Run, width: int) -> str:
    out = Console(file=StringIO(), width=width)
    show(out, run)
    close(out, run, Path("out/report.html"))
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


def _with_medians(values: dict[tuple[int, str, str], float]) -> Run:
    """Return the small run with other medians of lookups with uniform keys."""

    def changed(cell: Cell) -> Cell:
        median = values.get((cell.sessions, cell.operation, cell.subject), cell.summary.median)
        return replace(cell, summary=replace(cell.summary, median=median)) if cell.keys == "uniform" else cell

    return replace(small_run(), lookups=[changed(cell) for cell in small_run().lookups])


def _stores_with(indexed: float, scan: float, **others: float) -> Run:
    """Return the small run with these medians for all operations; `others` are those of the index at 60 sessions."""
    stores = {INDEXED: indexed, REFERENCE: scan}
    medians = {(size, name, store): stores[store] for size in (30, 60) for name in OPERATIONS for store in stores}
    return _with_medians(medians | {(60, name, INDEXED): median for name, median in others.items()})


def _table(run: Run, part: str) -> Table:
    return next(table for table in tables(run) if table.part == part)


def test_shape() -> None:
    """Every row is as wide as the head; heads and titles give the units."""
    for table in tables(small_run()):
        assert all(len(row) == len(table.head) for row in table.rows), table.title
        words = " ".join([table.title, *table.head, *[row[0] for row in table.rows]])
        assert re.search(r"µs|ms|seconds|/s|per second|bytes|times as fast|What the peers are", words), table.title


def test_every_part_has_a_table() -> None:
    """A part that was not run has none."""
    parts = {table.part for table in tables(small_run())}
    few = replace(small_run(), peers=None, mixes=[], floods=[], indexes=None, journal=None, lookups=[
        cell for cell in small_run().lookups if cell.operation in OPERATIONS
    ])  # fmt: skip

    assert parts == {
        "speedups",
        "lookups",
        "memory",
        "replay",
        "services",
        "peers",
        "mixes",
        "floods",
        "indexes",
        "journal",
        "details",
    }
    assert {table.part for table in tables(few)} == {"speedups", "lookups", "memory", "replay", "details"}
    assert tables(replace(few, lookups=[], replays=[], footprints=[])) == []


def test_figures_are_those_of_the_run() -> None:
    """A figure that changes in the run changes in its cell, and in no other."""
    table = _table(_with_medians({(60, GET, INDEXED): 1234.0, (60, GET, REFERENCE): 5678.0}), "lookups")
    cells = Cells(small_run().lookups)
    row = next(row for row in table.rows if row[0] == GET)
    before = [duration(cells.median(30, GET, name)) for name in (INDEXED, REFERENCE)]

    assert row == [GET, "index 4.6x", " / ".join(before), "1,230 / 5,680"]
    assert [other for other in table.rows if other[0] != GET] == [
        other for other in _table(small_run(), "lookups").rows if other[0] != GET
    ]


@pytest.mark.parametrize(
    ("indexed", "verdict"), [(0.5, "index 2.0x"), (0.98, "equal"), (1.02, "equal"), (2, "scan 2.0x")]
)
def test_marks(indexed: float, verdict: str) -> None:
    """Cells in which the scan is faster are marked, and only these; medians within a few per cent are equal."""
    run = _stores_with(100, 50, get_by_channel=indexed * 50)
    table, speed_ups = _table(run, "lookups"), _table(run, "speedups")
    row = next(row for row in table.rows if row[0] == BY_CHANNEL)
    number, column = table.rows.index(row), 1 + list(QUERIES).index(BY_CHANNEL)

    assert row[1] == verdict
    assert {(number, 2), (number, 3)} & table.marks == ({(number, 2), (number, 3)} if indexed == 2 else {(number, 2)})
    assert (0, column) in speed_ups.marks
    assert ((1, column) in speed_ups.marks) == (indexed == 2)


def test_speed_ups() -> None:
    """There is one row for each size: the scan's median divided by the index's, for each lookup."""
    table = _table(_stores_with(10, 300, get_by_channel=1, list_by_agent=600), "speedups")

    assert [row[:3] for row in table.rows] == [["30", "30x", "30x"], ["60", "300x", "0.50x"]]
    assert {len(row) for row in table.rows} == {1 + len(QUERIES)}


@pytest.mark.parametrize(
    ("indexed", "scan", "others", "expected"),
    [
        (
            10,
            300,
            {BY_CHANNEL: 1},
            ["At 60 sessions the index answers lookups 30 to 300 times as fast as a linear scan."],
        ),
        (
            10,
            10,
            {BY_CHANNEL: 1, GET: 20, SAVE: 30},
            [
                "At 60 sessions the index answers lookups 1.0 to 10 times as fast as a linear scan.",
                "The scan is as fast or faster in 5 of 5 lookups at 30 sessions and 4 of 5 lookups at 60 sessions.",
                "At some sizes the scan is faster at get and save.",
            ],
        ),
        (
            10,
            5,
            {**dict.fromkeys(QUERIES, 1), GET: 20},
            [
                "At 60 sessions the index answers lookups 5.0 times as fast as a linear scan.",
                "The scan is as fast or faster in 5 of 5 lookups at 30 sessions.",
                "At every size the scan is faster at get, save and delete: 2.0 to 4.0 times as fast at 60 sessions.",
            ],
        ),
    ],
)
def test_answer(indexed: float, scan: float, others: dict[str, float], expected: list[str]) -> None:
    """It gives the range of the speed-up over all lookups, and where the scan is as fast or faster."""
    assert answer(_stores_with(indexed, scan, **others)) == " ".join(expected)


def test_no_answer() -> None:
    """A run without lookups says so."""
    run = replace(small_run(), lookups=[])

    assert answer(run) == readme(run) == "This run timed no lookups."


def test_readme() -> None:
    """Three lookups at the largest size; where the scan is faster, with its medians; the machine and the versions."""
    run = _stores_with(8, 2, get_by_channel=0.5, list_by_agent=1, find_sessions_by_step_hash=0.1, save=1)
    text = readme(run)
    rows = [line.split("|")[2:-1] for line in text.splitlines() if "µs|" in line]

    assert rows == [
        ["0.50 µs", "2.00 µs", "**4.0**"],
        ["1.00 µs", "2.00 µs", "**2.0**"],
        ["0.10 µs", "2.00 µs", "**20**"],
    ]
    assert "The scan is faster at `get` (2.00 µs against 8.00 µs) and `delete` (2.00 µs against 8.00 µs): it" in text
    assert run.versions["python"] in text
    assert str(run.machine["cpu"]) in text


def test_terminal_has_every_figure() -> None:
    """At full width, every cell of every table of figures is printed, but for the details."""
    printed = _printed(small_run(), 200)

    for table in tables(small_run()):
        if table.part == "details" or table.is_prose:
            assert table.title not in printed
            continue
        assert table.title in printed
        for cell in (cell for row in table.rows for cell in row):
            assert set(FIGURE.findall(cell)) <= set(FIGURE.findall(printed)), cell


def test_terminal_order() -> None:
    """The answer comes first, and again last with the file to open; the parts come in the order of the report."""
    printed = _printed(small_run(), 1_000)
    lines = printed.strip().splitlines()
    titles = [table.title for table in tables(small_run()) if table.title in printed]

    assert lines[0].strip() == lines[-2].strip() == answer(small_run())
    assert lines[-1].endswith("Written: out/report.html")
    assert sorted(titles, key=printed.index) == titles
    assert titles[0].startswith("Lookups: how many times as fast")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_narrow_terminal(width: int) -> None:
    """Lines fit, no figure is cut, and columns that do not fit are named."""
    out = Console(file=StringIO(), width=width)
    run = _with_medians({(cell.sessions, cell.operation, cell.subject): 98_765.4 for cell in small_run().lookups})
    printed = _printed(run, width)

    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    for table in tables(run):
        if table.part == "details":
            continue
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
        "|operation|µs|",
        "|---|---:|",
        "|`get_by_channel`|1 / 2|",
        "|`save`, new|**3**|",
    ]


@pytest.mark.parametrize("name", ["default.json", "million.json"])
def test_markdown_of_stored_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run in the repository can be printed; the answer and the table of the README only where asked for."""
    run = Run.read(RESULTS / name)
    print_markdown([str(RESULTS / name)])
    everything = capsys.readouterr().out
    print_markdown([str(RESULTS / name), "memory", "answer", "readme"])
    some = capsys.readouterr().out

    assert everything.startswith(answer(run))
    assert [table.title for table in tables(run) if table.title not in everything] == []
    assert "Conversations replayed" not in some
    assert some.index(_table(run, "memory").title) < some.index(answer(run)) < some.rindex(readme(run))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.json"], "nowhere.json: cannot be read (No such file or directory)"),
        ([__file__], "not the results of a run"),
        ([str(RESULTS / "default.json"), "lookup"], f"'lookup' is none of answer, readme, {', '.join(PARTS)}"),
    ],
)
def test_markdown_refuses(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments are named in one line."""
    with pytest.raises(SystemExit):
        print_markdown(arguments)

    assert message in capsys.readouterr().err


def test_plain_words() -> None:
    """The output compares; it does not judge."""
    printed = _printed(small_run(), 200) + readme(small_run())

    assert not re.search(r"(?i)\b(targets?|missed|reached|bounds?)\b", printed)
