"""Print the tables and the answer to the terminal."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.report.table import Table
from benchmarks.report.tables import answer, tables
from benchmarks.run import Run

_WIDTH_WITHOUT_TERMINAL = 120
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def console() -> Console:
    """Return a console for the terminal, or a wide one if the output goes elsewhere."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


def show(out: Console, run: Run) -> None:
    """Print all tables."""
    for table in tables(run):
        rendered, left_out = fitted(out, table)
        out.print(Text(table.title, style="bold"))
        out.print(rendered)
        if left_out:
            out.print(Text(f"  Too narrow for: {'; '.join(left_out)}. The report has all columns.", style="dim"))
        if table.note:
            out.print(Text(table.note, style="dim"))
        out.print()


def show_answer(out: Console, run: Run, written: Path) -> None:
    """Print the answer, the duration, and the file to open."""
    out.print(Text(answer(run), style="bold"))
    out.print(f"Took {run.seconds:.0f} s. Report: {written}", highlight=False, soft_wrap=True)


def fitted(out: Console, table: Table) -> tuple[RichTable, list[str]]:
    """Render the table without the optional columns that do not fit; return it and the heads of those columns."""
    left_out: list[int] = []
    rendered = _render(table, left_out)
    for column in table.optional:
        if Measurement.get(out, out.options.update(max_width=1_000), rendered).minimum <= out.width:
            break
        left_out.append(column)
        rendered = _render(table, left_out)
    return rendered, [table.head[column] for column in left_out]


def _render(table: Table, left_out: list[int]) -> RichTable:
    """Render the table; heads and prose may be wrapped, figures and names may not."""
    rendered = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    shown = [column for column in range(len(table.head)) if column not in left_out]
    for column in shown:
        rendered.add_column(table.head[column], justify="right" if column > 0 and not table.is_prose else "left")
    for number, row in enumerate(table.rows):
        cells = []
        for column in shown:
            is_marked = (number, column) in table.marks
            text = row[column] if table.is_prose else row[column].replace(" ", _NO_BREAK_SPACE)
            cells.append(Text(text + ("*" if is_marked else ""), style="yellow" if is_marked else ""))
        rendered.add_row(*cells)
    return rendered
