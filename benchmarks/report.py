"""The report: one HTML page that needs no network, and the plot as SVG for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from benchmarks.charts import lookup_chart
from benchmarks.contestants import INDEXED, STORES
from benchmarks.figures import REACHED, Figure, speed_up
from benchmarks.operations import OPERATIONS
from benchmarks.replay import OPERATIONS as REPLAYED_OPERATIONS
from benchmarks.results import Replayed
from benchmarks.run import Run
from benchmarks.sessions import DISTRIBUTIONS
from benchmarks.terminal import duration, marked, times, verdict

_PAGE = Path(__file__).with_name("page.html")


def write_report(run: Run, directory: Path) -> list[Path]:
    """Write `report.html` and `lookup.svg`; return their paths."""
    chart = lookup_chart(run.cells)
    svg, page = directory / "lookup.svg", directory / "report.html"
    chart.save(svg)
    plot = chart.to_html(inline=True, fullhtml=False, output_div="lookup", embed_options={"actions": False})
    page.write_text(_page(run, plot), encoding="utf-8")
    return [page, svg]


def _page(run: Run, plot: str) -> str:
    machine = run.machine
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['os']}"
    reached = sum(figure.state == REACHED for figure in run.figures)
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        machine=escape(where),
        versions=escape(
            ", ".join(f"{name} {version}".removeprefix("python ") for name, version in run.versions.items())
        ),
        date=escape(run.date),
        seconds=f"{run.seconds:.0f}",
        seed=run.seed,
        reached=f"{reached} of {sum(figure.value is not None for figure in run.figures)}",
        figures="\n".join(map(_card, run.figures)),
        plot=plot,
        replay=_replay_table(run.replay),
        medians="\n".join(_medians_table(run, distribution) for distribution in DISTRIBUTIONS),
        growths=_growths_table(run),
        timer=duration(run.timer_overhead),
        command=escape(run.command),
    )


def _card(figure: Figure) -> str:
    value = "-" if figure.value is None else f"{times(figure.value)} {figure.unit}"
    target = escape(figure.target).replace(" ", "&nbsp;")
    return (
        f'<li class="{figure.state.replace(" ", "-")}"><b>{escape(value)}</b> <span>{escape(figure.name)}</span> '
        f"<small><em>{figure.state}</em>: target {target}</small></li>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _replay_table(replays: Sequence[Replayed]) -> str:
    head = ["", *[f"{replayed.contestant}, {replayed.conversations:,} conversations" for replayed in replays]]
    rows = [["turns a second", *[f"{replayed.turns_per_second:,.0f}" for replayed in replays]]]
    for operation in REPLAYED_OPERATIONS:
        summaries = [replayed.operations.get(operation) for replayed in replays]
        rows.append([operation, *[f"{duration(s.median)} / {duration(s.p99)} µs" if s else "-" for s in summaries]])
    rows.append(["turns", *[f"{replayed.turns:,}" for replayed in replays]])
    rows.append(["sessions at a step, in the end", *[f"{sum(r.sessions_by_step.values()):,}" for r in replays]])
    rows.append(["steps they stand at", *[f"{len(replayed.sessions_by_step):,}" for replayed in replays]])
    return _table(head, rows)


def _medians_table(run: Run, distribution: str) -> str:
    rows = []
    for operation in OPERATIONS:
        for size in run.cells.sizes:
            summaries = {name: run.cells.summary(size, operation, distribution, name) for name in STORES}
            indexed = summaries[INDEXED]
            costs = [f"{marked(s, indexed)} / {duration(s.p99)}" if s else "-" for s in summaries.values()]
            rows.append([operation, f"{size:,}", *costs, verdict(speed_up(run.cells, size, operation, distribution))])
    head = ["operation", "sessions", *STORES, "faster, by"]
    return f"<h3>Keys: {escape(distribution)}</h3>\n" + _table(head, rows)


def _growths_table(run: Run) -> str:
    if not run.growths:
        return "<p>One size only.</p>"
    rows = [
        [growth.operation, times(growth.indexed), times(growth.indexed_per_session), times(growth.reference)]
        for growth in run.growths
    ]
    title = f"{run.growths[0].largest:,} sessions ÷ {run.growths[0].smallest:,} sessions"
    return _table([title, "indexed", "for each session of the result", "reference scan"], rows)
