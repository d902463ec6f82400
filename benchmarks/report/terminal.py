"""Print the answer and the tables to the terminal."""

from itertools import product
from pathlib import Path
from textwrap import wrap

from rich import box
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.report.answer import answer
from benchmarks.report.table import Table
from benchmarks.report.tables import tables
from benchmarks.run import Run

_WIDTH_WITHOUT_TERMINAL = 120


def console() -> Console:
    """Return a console for the terminal, or a wide one if the output goes elsewhere."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)


def show(out: Console, run: Run) -> None:
    """Print the answer, then the tables in the order of the report; the details are in the report only."""
    out.print(Text(answer(run), style="bold"), end="\n\n")
    for table in tables(run):
        if table.part == "details" or table.is_prose:
            continue
        rendered, left_out = fitted(out, table)
        out.print(Text(table.title, style="bold"))
        out.print(rendered)
        if left_out:
            out.print(Text(f"  Too narrow for: {'; '.join(left_out)}. The report has all columns.", style="dim"))
        if table.note:
            out.print(Text(table.note, style="dim"))
        out.print()


def close(out: Console, run: Run, written: Path) -> None:
    """Print the answer again, where it stays in sight, then the duration and the file to open."""
    out.print(Text(answer(run), style="bold"))
    out.print(f"Took {run.seconds:.0f} s. Written: {written}", highlight=False, soft_wrap=True)


def fitted(out: Console, table: Table) -> tuple[RichTable, list[str]]:
    """Render the table without the optional columns that do not fit; return it and the heads of those columns."""
    rendered = _render(table, [], 1)
    for count, padding in product(range(len(table.optional) + 1), (1, 0)):
        left_out = list(table.optional[:count])
        rendered = _render(table, left_out, padding)
        size = Measurement.get(out, out.options.update(max_width=1_000), rendered)
        if (size.minimum if table.is_prose else size.maximum) <= out.width:
            return rendered, [table.head[column] for column in left_out]
    return rendered, [table.head[column] for column in table.optional]


def _render(table: Table, left_out: list[int], padding: int) -> RichTable:
    """Render the table; heads and prose are wrapped, figures and names are not."""
    rendered = RichTable(box=box.SIMPLE_HEAD, padding=(0, padding, 0, 0), show_edge=False, pad_edge=False)
    columns = [column for column in range(len(table.head)) if column not in left_out]
    for column in columns:
        head = table.head[column]
        if not table.is_prose:
            widest = max(len(row[column]) for row in table.rows)
            head = "\n".join(wrap(head, max(widest, *map(len, head.split() or [""])), break_long_words=False))
        justify: JustifyMethod = "right" if column > 0 and not table.is_prose else "left"
        rendered.add_column(head, justify=justify, no_wrap=not table.is_prose)
    for number, row in enumerate(table.rows):
        marked = [(number, column) in table.marks for column in columns]
        cells = [row[column] + "*" * is_marked for column, is_marked in zip(columns, marked, strict=True)]
        rendered.add_row(*[Text(cell, "bold" if cell.endswith("*") else "") for cell in cells])
    return rendered
