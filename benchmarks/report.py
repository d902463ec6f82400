"""The report: one HTML page that needs no network, and the plots as SVG for README and docs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import altair as alt
import vl_convert

from benchmarks import services
from benchmarks.alone import Footprint
from benchmarks.charts.gaps import gaps_chart
from benchmarks.charts.growth import growth_chart
from benchmarks.charts.lookup import lookup_chart
from benchmarks.charts.memory import memory_chart
from benchmarks.charts.peers import mixes_chart, peers_chart
from benchmarks.contest import Contest
from benchmarks.contestants import INDEXED, STORES
from benchmarks.figure import NOT_RUN, REACHED, Figure
from benchmarks.figures import speed_up
from benchmarks.flood import Flood
from benchmarks.mixes import Latency, Mix
from benchmarks.operations import OPERATIONS
from benchmarks.remote.all import Remote
from benchmarks.remote.tables import tables
from benchmarks.replay import OPERATIONS as REPLAYED_OPERATIONS
from benchmarks.results import Replayed
from benchmarks.run import Run
from benchmarks.sessions import DISTRIBUTIONS, UNIFORM
from benchmarks.terminal import marked, verdict
from benchmarks.traffic import Traffic
from benchmarks.words import duration, times

_PAGE = Path(__file__).with_name("page.html")


def write_report(run: Run, directory: Path) -> list[Path]:
    """Write `report.html`, and a plot an SVG; return their paths."""
    charts = {
        "lookup": lookup_chart(run.cells),
        "growth": growth_chart(run.scale),
        "memory": memory_chart(run.scale),
        "gaps": gaps_chart(run.scale),
        "peers": peers_chart(run.contest),
        "mixes": mixes_chart(run.mixes),
    }
    pictures = [directory / f"{name}.svg" for name in charts]
    for picture, chart in zip(pictures, charts.values(), strict=True):
        chart.save(picture)
    page = directory / "report.html"
    page.write_text(_page(run, {name: _plot(name, chart) for name, chart in charts.items()}), encoding="utf-8")
    return [page, *pictures]


def _plot(name: str, chart: alt.TopLevelMixin) -> str:
    """Return the element that the plot is drawn in, and the call that draws it."""
    # In JSON in a script only this can end the script.
    specification = chart.to_json(indent=None).replace("</", "<\\/")
    return f'<div id="{name}"></div><script>draw("{name}", {specification})</script>'


def _page(run: Run, plots: dict[str, str]) -> str:
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
        figures="\n".join(_card(figure) for figure in run.figures if figure.state != NOT_RUN),
        not_run=_not_run([figure for figure in run.figures if figure.state == NOT_RUN]),
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"),
        **plots,
        services=_medians_of(run, services.OPERATIONS, services.STORES, UNIFORM),
        page_limit=services.LIMIT,
        footprints=_footprints_table(run.scale.footprints),
        peers_table=_peers_table(run.contest),
        mixes_table=_mixes_table(run.mixes),
        floods=_floods_table(run.floods),
        replay=_replay_table(run.replay),
        server=escape(", ".join(f"{name} {version}" for name, version in run.remote.versions.items())),
        remote=_remote_tables(run.remote),
        medians="\n".join(_medians_table(run, distribution) for distribution in DISTRIBUTIONS),
        growths=_growths_table(run),
        timer=duration(run.timer_overhead),
        command=escape(run.command),
    )


def _card(figure: Figure) -> str:
    assert figure.value is not None
    value = f"{times(figure.value)} {figure.unit}"
    return (
        f'<li class="{figure.state}"><b>{escape(value)}</b> <span>{escape(figure.name)}</span> '
        f"<small><em>{figure.state}</em>: target {escape(figure.target)}</small></li>"
    )


def _not_run(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    rows = [[figure.name, figure.target] for figure in figures]
    title = f"{len(figures)} not run: they are of sizes or of peers that this run did not have"
    return f"<details><summary>{title}</summary>\n{_table(['', 'target'], rows, 'words')}\n</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "numbers") -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><thead><tr>{titles}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'


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


def _footprints_table(footprints: Sequence[Footprint]) -> str:
    rows = [
        [
            footprint.variant,
            f"{footprint.sessions:,}",
            "-" if footprint.bytes_per_session is None else f"{footprint.bytes_per_session:,.0f}",
            f"{footprint.collection:,.1f}",
            f"{footprint.loaded_per_second:,.0f}",
            f"{footprint.loading.longest:,.1f}",
            *_traffic_cells(footprint.traffic),
        ]
        for footprint in footprints
    ]
    head = ["", "sessions", "B a session", "collection, ms", "loaded a second", "longest gap while loading, ms"]
    return _table([*head, "saves a second", "gap p99.9, ms", "longest gap, ms"], rows)


def _traffic_cells(traffic: Sequence[Traffic]) -> list[str]:
    """Return, for each kind of keys, the rate and the gaps."""
    if not traffic:
        return ["-"] * 3
    rates = " / ".join(f"{each.saves_done:,.0f}" for each in traffic)
    p999 = " / ".join(f"{each.gaps.p999:,.1f}" for each in traffic)
    return [rates, p999, " / ".join(f"{each.gaps.longest:,.1f}" for each in traffic)]


def _peers_table(contest: Contest) -> str:
    rows = [
        [
            peer.name,
            peer.version or "not installed",
            peer.hands_out,
            "; ".join([peer.remark, *[f"no {operation}: {reason}" for operation, reason in peer.cannot.items()]]),
        ]
        for peer in contest.peers
    ]
    return _table(["", "version", "hands out", "how it is used here"], rows, kind="words")


def _mixes_table(mixes: Sequence[Mix]) -> str:
    rows = [
        [
            f"{mix.name}: {mix.title}" if not place else "",
            mix.contestant if not place else "",
            f"{mix.calls_per_second:,.0f}" if not place else "",
            kind,
            *_latency_cells(latency),
        ]
        for mix in mixes
        for place, (kind, latency) in enumerate(mix.latencies.items())
    ]
    return _table(["", "", "calls a second", "call", "p50, µs", "p95", "p99", "calls"], rows)


def _latency_cells(latency: Latency) -> list[str]:
    return [duration(latency.p50), duration(latency.p95), duration(latency.p99), f"{latency.calls:,}"]


def _floods_table(floods: Sequence[Flood]) -> str:
    rows = [
        [
            f"{flood.ids:,} {flood.kind} ids",
            f"{flood.insert_crafted:.2f} / {flood.insert_random:.2f}",
            f"{times(flood.insert_ratio)} x",
            f"{flood.look_up_crafted:.2f} / {flood.look_up_random:.2f}",
            f"{times(flood.look_up_ratio)} x",
        ]
        for flood in floods
    ]
    return _table(["", "insert, s, colliding / random", "ratio", "look up, s, colliding / random", "ratio"], rows)


def _remote_tables(remote: Remote) -> str:
    return "\n".join(f"<h3>{escape(shown.title)}</h3>\n{_table(shown.head, shown.rows)}" for shown in tables(remote))


def _medians_table(run: Run, distribution: str) -> str:
    return f"<h3>Keys: {escape(distribution)}</h3>\n" + _medians_of(run, OPERATIONS, STORES, distribution)


def _medians_of(run: Run, operations: Collection[str], stores: Collection[str], distribution: str) -> str:
    rows = []
    for operation in operations:
        for size in run.cells.sizes:
            summaries = {name: run.cells.summary(size, operation, distribution, name) for name in stores}
            indexed = summaries[INDEXED]
            costs = [f"{marked(s, indexed)} / {duration(s.p99)}" if s else "-" for s in summaries.values()]
            rows.append([operation, f"{size:,}", *costs, verdict(speed_up(run.cells, size, operation, distribution))])
    return _table(["operation", "sessions", *stores, "faster, by"], rows)


def _growths_table(run: Run) -> str:
    if not run.growths:
        return "<p>One size only.</p>"
    rows = [
        [growth.operation, times(growth.indexed), times(growth.indexed_per_session), times(growth.reference)]
        for growth in run.growths
    ]
    title = f"{run.growths[0].largest:,} sessions ÷ {run.growths[0].smallest:,} sessions"
    return _table([title, "indexed", "for each session of the result", "reference scan"], rows)
