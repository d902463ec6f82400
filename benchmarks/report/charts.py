"""Build the plots of a run: one panel each, narrow enough for a phone."""

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, NamedTuple, TypeAlias

import altair as alt

from benchmarks.report.style import DIM, INK, SIZE_STYLES, STYLES
from benchmarks.report.table import factor, whole
from benchmarks.run import Cells, Run
from benchmarks.scenarios.operations import OPERATIONS
from benchmarks.scenarios.sessions import RECENT, UNIFORM
from benchmarks.stores.subjects import INDEXED, REFERENCE, SCAN_STORE

Rows: TypeAlias = list[dict[str, Any]]
Bars: TypeAlias = Sequence[tuple[str, str, float]]
"""The label, the store and the value of each bar."""
_WIDTH = 310
_NARROW_RANGE = 30  # below this ratio, powers of ten alone are too few ticks
_TITLE_CHARACTERS = 40  # that fit into the width in any font


class Plot(NamedTuple):
    """A plot, the part of the report that it belongs to, a file name, and its title."""

    part: str
    name: str
    title: str
    chart: alt.TopLevelMixin


def plots(run: Run) -> Iterator[Plot]:
    """Yield the plots of all parts that were run, the main one first."""
    cells = Cells(run.lookups)
    yield speed_up(cells, _WIDTH)
    for operation in OPERATIONS:
        rows = [
            {"x": size, "series": name, "y": median}
            for name in (INDEXED, SCAN_STORE, REFERENCE)
            for size in cells.sizes
            if (median := cells.median(size, operation, name)) is not None
        ]
        yield Plot("lookups", f"cost-{operation.replace(' + ', '-')}", operation, _lines(operation, rows, cells.sizes))
    yield from footprint_plots(run, _WIDTH)
    rates = [
        (f"{each.subject}, {each.conversations:,}", each.subject, each.turns / each.seconds) for each in run.replays
    ]
    yield _bars(
        "replay", "replay", "Turns per second, by store and number of conversations", "turns/s", rates, width=_WIDTH
    )
    if run.peers:
        peers = Cells(run.peers.cells)
        for keys in (UNIFORM, RECENT):
            rows = [
                {"label": cell.operation, "series": cell.subject, "x": cell.summary.median}
                for cell in run.peers.cells
                if cell.keys == keys
            ]
            title = f"Peers at {peers.sizes[-1]:,} sessions, {keys} keys (left is faster)"
            chart = _dots(title, rows, _store_styles(rows), "median µs per call", width=_WIDTH)
            yield Plot("peers", f"peers-{keys.split()[0]}", title, chart)
    if run.mixes:
        rows = [
            {"label": f"{mix.name}: {mix.title}", "series": mix.subject, "x": mix.calls_per_second} for mix in run.mixes
        ]
        title = f"Mixes at {run.mixes[0].sessions:,} sessions (right is faster)"
        yield Plot("mixes", "mixes", title, _dots(title, rows, _store_styles(rows), "calls per second", width=_WIDTH))


def speed_up(cells: Cells, width: int) -> Plot:
    """Plot how many times faster the indexed store is than the reference scan, at each size."""
    sizes = {f"{size:,}": style for size, style in zip(cells.sizes, SIZE_STYLES, strict=False)}
    rows = [
        {"label": operation, "series": f"{size:,}", "x": ratio}
        for operation in OPERATIONS
        for size in cells.sizes
        if (ratio := cells.factor(size, operation, REFERENCE)) is not None
    ]
    title = "Times as fast as the scan at each size; left of the line, the scan is faster"
    return Plot(
        "lookups", "lookup", title, _dots(title, rows, sizes, "reference scan µs / indexed µs", width=width, rule=1)
    )


def footprint_plots(run: Run, width: int) -> Iterator[Plot]:
    """Plot memory, collections and pauses while loading, of each store at the largest size."""
    largest = max(each.sessions for each in run.footprints)
    stores = [each for each in run.footprints if each.sessions == largest]
    at = f"at {largest:,} sessions"
    weights = [(each.variant, each.variant, each.bytes_per_session) for each in stores if each.bytes_per_session]
    if weights:
        yield _bars("memory", "memory", f"Bytes per session {at}", "bytes", weights, width=width)
    collections = [(each.variant, each.variant, each.collection) for each in stores]
    yield _bars("memory", "collection", f"Full garbage collection {at}", "ms", collections, width=width)
    loading = [(each.variant, each.variant, each.loading_pauses.longest) for each in stores]
    yield _bars("memory", "loading", f"Longest pause while loading {largest:,} sessions", "ms", loading, width=width)


def _store_styles(rows: Rows) -> dict[str, tuple[str, str]]:
    return {name: STYLES[name][:2] for name in dict.fromkeys(row["series"] for row in rows)}


def _title(text: str, width: int = _WIDTH) -> alt.Title:
    return alt.Title(wrap(text, _TITLE_CHARACTERS * width // _WIDTH))


def _log_axis(values: Sequence[float], title: str) -> dict[str, Any]:
    low, high = min(values), max(values)
    steps = (1, 2, 5) if high / low < _NARROW_RANGE else (1,)
    powers = [step * 10.0**power for power in range(-3, 8) for step in steps]
    labels = "datum.value < 1000 ? format(datum.value, '~g') : format(datum.value, '~s')"
    return {
        "title": title,
        "scale": alt.Scale(type="log", domain=[low / 1.5, high * 1.5], nice=False),
        "axis": alt.Axis(values=[power for power in powers if low / 1.5 <= power <= high * 1.5], labelExpr=labels),
    }


def _dots(
    title: str, rows: Rows, styles: dict[str, tuple[str, str]], x_title: str, *, width: int, rule: float | None = None
) -> alt.TopLevelMixin:
    """Draw a row of dots for each label, with the label above it, so that it needs no margin."""
    names = list(styles)
    legend = alt.Legend(title=None, orient="bottom", columns=2 if len(names) > 3 and width <= _WIDTH else 6)
    labels = list(dict.fromkeys(row["label"] for row in rows))
    y = alt.Y("label:N", sort=labels, axis=None)
    values = [row["x"] for row in rows] + ([rule] if rule else [])
    color = alt.Color(
        "series:N", scale=alt.Scale(domain=names, range=[styles[name][0] for name in names]), legend=legend
    )
    shape = alt.Shape(
        "series:N", scale=alt.Scale(domain=names, range=[styles[name][1] for name in names]), legend=legend
    )
    points = (
        alt.Chart()
        .mark_point(size=65, filled=True, opacity=1, yOffset=8)
        .encode(x=alt.X("x:Q", **_log_axis(values, x_title)), y=y, color=color, shape=shape)
    )
    text = (
        alt.Chart(alt.InlineData(values=[{"label": label} for label in labels]))
        .mark_text(align="left", dy=-9, fontSize=11, color=INK)
        .encode(x=alt.value(0), y=y, text="label:N")
    )
    layers: list[Any] = [points, text]
    if rule:
        layers.insert(
            0, alt.Chart(alt.InlineData(values=[{"x": rule}])).mark_rule(color=DIM, strokeDash=[3, 3]).encode(x="x:Q")
        )
    return alt.layer(*layers, data=alt.InlineData(values=rows)).properties(
        width=width, height=38 * len(labels), title=_title(title, width)
    )


def _lines(title: str, rows: Rows, sizes: Sequence[int]) -> alt.TopLevelMixin:
    """Draw a line for each store, cost against number of sessions."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    colours, shapes, dashes = (
        alt.Scale(domain=names, range=[STYLES[name][place] for name in names]) for place in range(3)
    )
    legend = alt.Legend(title=None, orient="bottom")
    wide = alt.Scale(type="log", domain=[sizes[0] / 1.4, sizes[-1] * 1.4], nice=False)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("x:Q", title="sessions", scale=wide, axis=alt.Axis(values=list(sizes), format="~s", grid=False)),
        y=alt.Y("y:Q", **_log_axis([row["y"] for row in rows], "median µs per call")),
        color=alt.Color("series:N", scale=colours, legend=legend),
    )
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend))
    points = base.mark_point(size=50, filled=True, opacity=1).encode(
        shape=alt.Shape("series:N", scale=shapes, legend=legend)
    )
    return alt.layer(lines, points).properties(width=_WIDTH - 50, height=150, title=_title(title))


def _bars(part: str, name: str, title: str, x_title: str, bars: Bars, *, width: int) -> Plot:
    """Draw a bar for each store, with its name above and its value behind it."""
    text = factor if x_title == "ms" else whole
    rows: Rows = [
        {"label": label, "text": f"{label}: {text(value)} {x_title}", "series": series, "x": value}
        for label, series, value in bars
    ]
    series = list(dict.fromkeys(row["series"] for row in rows))
    colours = alt.Scale(domain=series, range=[STYLES[each][0] for each in series])
    y = alt.Y("label:N", sort=[row["label"] for row in rows], axis=None)
    base = alt.Chart(alt.InlineData(values=rows))
    drawn = base.mark_bar(height=12, yOffset=8).encode(
        x=alt.X("x:Q", title=x_title, axis=alt.Axis(tickCount=4, format="~s")),
        y=y,
        color=alt.Color("series:N", scale=colours, legend=None),
    )
    labels = base.mark_text(align="left", dy=-8, fontSize=11, color=INK).encode(x=alt.value(0), y=y, text="text:N")
    chart = (drawn + labels).properties(width=width, height=36 * len(rows), title=_title(title, width))
    return Plot(part, name, title, chart)
