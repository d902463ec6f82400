"""Write the report: one static HTML page without scripts, and the plots as SVG files for README and docs.

`python -m benchmarks.report.page FILE DIRECTORY` writes them again, from the results of a run; names of plots after the
directory, such as `lookup memory`, write only these SVG files.
"""

import argparse
import base64
import hashlib
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from benchmarks.options import directory
from benchmarks.report.answer import answer, setting
from benchmarks.report.charts import Plot, main_plots, plots
from benchmarks.report.markdown import run_file
from benchmarks.report.style import dark_rules, standalone, to_svg
from benchmarks.report.table import Table, duration
from benchmarks.report.tables import PARTS, tables
from benchmarks.run import Run, write_whole

_HERE = Path(__file__).parent


def write_report(run: Run, into: Path) -> Path:
    """Write `report.html` and the SVG files; return the path of the page."""
    write_plots(run, into)
    page = into / "report.html"
    write_whole(page, render(run))
    return page


def write_plots(run: Run, into: Path, names: Sequence[str] = ()) -> None:
    """Write the plots with these names as SVG files; without names, all that README and docs may show."""
    for plot in main_plots(run):
        if not names or plot.name in names:
            write_whole(into / f"{plot.name}.svg", standalone(to_svg(plot.chart, plot.title)))


def render(run: Run) -> str:
    """Return the page."""
    style = (_HERE / "page.css").read_text(encoding="utf-8") + dark_rules()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    all_plots, all_tables = list(plots(run)), tables(run)
    parts = {
        part: _section(part, [plot for plot in all_plots if plot.part == part], found)
        for part in PARTS
        if (found := [table for table in all_tables if table.part == part])
    }
    details = parts.pop("details", "")
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        style=style,
        digest=digest,
        answer=escape(answer(run)),
        parts="\n".join(parts.values()),
        details=details,
        setting=escape(setting(run)),
        date=escape(run.date),
        seconds=f"{run.seconds:.0f}",
        seed=run.seed,
        timer=duration(run.timer_overhead),
        command=escape(run.command),
    )


def _section(part: str, drawn: Sequence[Plot], found: Sequence[Table]) -> str:
    """Return a part: its first table, its plots, its other tables; the tables of the details are closed at first."""
    figures = "\n".join(f'<figure id="plot-{plot.name}">{to_svg(plot.chart, plot.title)}</figure>' for plot in drawn)
    panels = f'<div class="panels">\n{figures}\n</div>' if drawn else ""
    first, *others = (
        f"<details><summary>{escape(table.title)}</summary>\n{_table(table)}</details>"
        if part == "details"
        else f"<div><h3>{escape(table.title)}</h3>\n{_table(table)}</div>"
        for table in found
    )
    body = "\n".join([first, panels, *others])
    return f'<section id="{part}">\n<h2>{PARTS[part]}</h2>\n{body}\n</section>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in table.head)
    rows = []
    for number, row in enumerate(table.rows):
        cells = "".join(
            f'<td class="faster">{escape(cell)}*</td>'
            if (number, column) in table.marks
            else f"<td>{escape(cell) if column else escape(cell).replace('_', '_<wbr>')}</td>"
            for column, cell in enumerate(row)
        )
        rows.append(f"<tr>{cells}</tr>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    kind = ' class="prose"' if table.is_prose else ""
    body = "\n".join(rows)
    table_html = f"<table{kind}><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll">{table_html}</div>\n{note}'


def main(arguments: Sequence[str]) -> None:
    """Write the report of a run that was stored, or some of its plots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report.page", description="Write the report of a run.")
    parser.add_argument("run", type=run_file, metavar="FILE", help="results.json of a run")
    parser.add_argument("into", type=directory, metavar="DIRECTORY", help="for report and plots")
    parser.add_argument("plots", nargs="*", metavar="PLOT", help="write only these plots, such as lookup and memory")
    given = parser.parse_args(arguments)
    if given.plots:
        write_plots(given.run, given.into, given.plots)
    else:
        write_report(given.run, given.into)


if __name__ == "__main__":
    main(sys.argv[1:])
