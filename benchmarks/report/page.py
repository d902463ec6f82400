"""Write the report: one static HTML page without scripts, and the plots as SVG files for README and docs."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from benchmarks.report.charts import Plot, footprint_plots, plots, speed_up
from benchmarks.report.style import dark_rules, standalone, to_svg
from benchmarks.report.table import Table, duration
from benchmarks.report.tables import answer, tables
from benchmarks.run import Cells, Run

_HERE = Path(__file__).parent
_FILE_WIDTH = 560  # pixels: README and docs have room for wider plots than a phone

PARTS = {
    "lookups": "Lookups",
    "memory": "Memory and pauses",
    "replay": "Conversations replayed",
    "services": "Pages, counts and updates",
    "peers": "Peers",
    "mixes": "Mixes of operations",
    "floods": "Ids that collide",
    "servers": "Redis store on a server",
    "details": "Every figure",
}


def write_report(run: Run, directory: Path) -> Path:
    """Write `report.html` and the SVG files; return the path of the page."""
    wide = [speed_up(Cells(run.lookups), _FILE_WIDTH), *footprint_plots(run, _FILE_WIDTH)]
    for plot in wide:
        svg = standalone(to_svg(plot.chart, plot.title))
        (directory / f"{plot.name}.svg").write_text(svg, encoding="utf-8")
    page = directory / "report.html"
    page.write_text(render(run), encoding="utf-8")
    return page


def render(run: Run) -> str:
    """Return the page."""
    style = (_HERE / "page.css").read_text(encoding="utf-8") + dark_rules()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    machine = run.machine
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['os']}"
    all_plots, all_tables = list(plots(run)), tables(run)
    parts = [
        _section(part, [plot for plot in all_plots if plot.part == part], found)
        for part in PARTS
        if (found := [table for table in all_tables if table.part == part])
    ]
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        style=style,
        digest=digest,
        answer=escape(answer(run)),
        parts="\n".join(parts),
        machine=escape(where),
        versions=escape(", ".join(f"{name} {version}" for name, version in run.versions.items())),
        date=escape(run.date),
        seconds=f"{run.seconds:.0f}",
        seed=run.seed,
        timer=duration(run.timer_overhead),
        command=escape(run.command),
    )


def _section(part: str, drawn: Sequence[Plot], found: Sequence[Table]) -> str:
    """Return a part; the tables of the details are closed at first."""
    figures = "\n".join(f'<figure id="plot-{plot.name}">{to_svg(plot.chart, plot.title)}</figure>' for plot in drawn)
    panels = f'<div class="panels">\n{figures}\n</div>' if drawn else ""
    body = "\n".join(
        f"<details><summary>{escape(table.title)}</summary>\n{_table(table)}</details>"
        if part == "details"
        else f"<h3>{escape(table.title)}</h3>\n{_table(table)}"
        for table in found
    )
    return f'<section id="{part}">\n<h2>{PARTS[part]}</h2>\n{panels}\n{body}\n</section>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in table.head)
    rows = []
    for number, row in enumerate(table.rows):
        cells = "".join(
            f'<td class="faster">{escape(cell)}*</td>'
            if (number, column) in table.marks
            else f"<td>{escape(cell)}</td>"
            for column, cell in enumerate(row)
        )
        rows.append(f"<tr>{cells}</tr>")
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    kind = ' class="prose"' if table.is_prose else ""
    body = "\n".join(rows)
    table_html = f"<table{kind}><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<div class="scroll">{table_html}</div>\n{note}'
