"""Build the plots of a run: one panel each, narrow enough for a phone."""

from collections.abc import Iterator, Sequence
from math import exp, log
from statistics import fmean
from textwrap import wrap
from typing import Any, NamedTuple, TypeAlias

import altair as alt

from benchmarks.report.answer import SHORT_NAMES
from benchmarks.report.style import INK, LINE_STYLES, STYLES
from benchmarks.report.table import factor, whole
from benchmarks.run import Cells, Run
from benchmarks.scenarios.operations import OPERATIONS
from benchmarks.scenarios.sessions import RECENT, UNIFORM
from benchmarks.stores.subjects import REFERENCE

Rows: TypeAlias = list[dict[str, Any]]
Bars: TypeAlias = Sequence[tuple[str, str, float]]
"""The label, the store and the value of each bar."""
_WIDTH = 310
_LINES_WIDTH, _LINES_HEIGHT, _LABEL_PIXELS = 190, 300, 14
_SPEED_UP = "times as fast as the linear scan"
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
    yield from main_plots(run)
    if run.peers:
        peers = Cells(run.peers.cells)
        for keys in (UNIFORM, RECENT):
            rows = [
                {"label": cell.operation, "series": cell.subject, "x": cell.summary.median}
                for cell in run.peers.cells
                if cell.keys == keys
            ]
            title = f"Peers at {peers.sizes[-1]:,} sessions, {keys} keys (left is faster)"
            yield Plot("peers", f"peers-{keys.split()[0]}", title, _dots(title, rows, "median µs per call"))
    if run.mixes:
        rows = [
            {"label": f"{mix.name}: {mix.title}", "series": mix.subject, "x": mix.calls_per_second} for mix in run.mixes
        ]
        title = f"Mixes at {run.mixes[0].sessions:,} sessions (right is faster)"
        yield Plot("mixes", "mixes", title, _dots(title, rows, "calls per second"))


def main_plots(run: Run) -> Iterator[Plot]:
    """Yield the plots that README and docs show too: the speed-up, and memory and pauses."""
    if run.lookups:
        yield _speed_up(Cells(run.lookups))
    if run.footprints:
        yield from _footprint_plots(run)


def _speed_up(cells: Cells) -> Plot:
    """Plot how many times as fast as the scan each operation is, with its name at the end of its line."""
    names = {name: SHORT_NAMES.get(name, name) for name in OPERATIONS}
    rows: Rows = [
        {"x": size, "series": names[operation], "y": ratio}
        for operation in OPERATIONS
        for size in cells.sizes
        if (ratio := cells.factor(size, operation, REFERENCE)) is not None
    ]
    low, high = min(1, *(row["y"] for row in rows)) / 2, max(1, *(row["y"] for row in rows)) * 2
    named: Rows = [row for row in rows if row["x"] == cells.sizes[-1]]
    named.append({"x": cells.sizes[-1], "series": "1x: equal", "y": 1})
    named.sort(key=lambda row: float(row["y"]))
    distance = log(high / low) * _LABEL_PIXELS / _LINES_HEIGHT
    places = spread([log(row["y"]) for row in named], distance)
    labels = [{**row, "y": exp(place)} for row, place in zip(named, places, strict=True)]
    powers = [10.0**power for power in range(-4, 8) if low <= 10.0**power <= high]
    x_scale = alt.Scale(type="log", domain=[cells.sizes[0] / 1.3, cells.sizes[-1] * 1.3], nice=False)
    y_scale = alt.Scale(type="log", domain=[low, high], nice=False)
    y_labels = "format(datum.value, datum.value < 1 ? '~g' : ',.0f') + 'x'"
    x = alt.X("x:Q", title="sessions", scale=x_scale, axis=alt.Axis(values=cells.sizes, format="~s", grid=False))
    y = alt.Y("y:Q", title=_SPEED_UP, scale=y_scale, axis=alt.Axis(values=powers, labelExpr=y_labels))
    styles = [LINE_STYLES[min(number, len(LINE_STYLES) - 1)] for number, _ in enumerate(names)]
    colours, shapes, dashes = (
        alt.Scale(domain=list(names.values()), range=[style[place] for style in styles]) for place in range(3)
    )
    lines = alt.Chart(alt.InlineData(values=rows)).encode(
        x=x, y=y, color=alt.Color("series:N", scale=colours, legend=None)
    )
    layers = [
        alt.Chart(alt.InlineData(values=[{"y": 1}])).mark_rule(color=INK).encode(y=y),
        lines.mark_line(strokeWidth=2).encode(strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=None)),
        lines.mark_point(size=45, filled=True, opacity=1).encode(
            shape=alt.Shape("series:N", scale=shapes, legend=None)
        ),
        alt.Chart(alt.InlineData(values=labels))
        .mark_text(align="left", dx=8, color=INK)
        .encode(x=x, y=y, text="series:N"),
    ]
    title = f"{_SPEED_UP.capitalize()}; below 1x, the scan is faster"
    chart = alt.layer(*layers).properties(width=_LINES_WIDTH, height=_LINES_HEIGHT, title=_title(title))
    return Plot("speedups", "lookup", title, chart)


def spread(values: Sequence[float], distance: float) -> list[float]:
    """Return the ascending values, moved up or down as little as puts `distance` between neighbours.

    >>> spread([1, 10, 10, 100], 2)
    [1.0, 9.0, 11.0, 100.0]
    """
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and fmean(groups[-1]) - fmean(groups[-2]) < distance * len(groups[-2] + groups[-1]) / 2:
            last = groups.pop()
            groups[-1] += last
    return [
        fmean(group) + distance * (number - (len(group) - 1) / 2) for group in groups for number, _ in enumerate(group)
    ]


def _footprint_plots(run: Run) -> Iterator[Plot]:
    """Plot memory, collections and pauses while loading, of each store at the largest size."""
    largest = max(each.sessions for each in run.footprints)
    stores = [each for each in run.footprints if each.sessions == largest]
    at = f"at {largest:,} sessions"
    weights = [(each.variant, each.variant, each.bytes_per_session) for each in stores if each.bytes_per_session]
    if weights:
        yield _bars("memory", "memory", f"Memory per session {at}", "bytes", weights)
    collections = [(each.variant, each.variant, each.collection) for each in stores]
    yield _bars("memory", "collection", f"Full garbage collection {at}", "ms", collections)
    loading = [(each.variant, each.variant, each.loading_pauses.longest) for each in stores]
    yield _bars("memory", "loading", f"Longest pause while loading {largest:,} sessions", "ms", loading)


def _title(text: str) -> alt.Title:
    return alt.Title(wrap(text, _TITLE_CHARACTERS))


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


def _dots(title: str, rows: Rows, x_title: str) -> alt.TopLevelMixin:
    """Draw a row of dots for each label, with the label above it, so that it needs no margin."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    legend = alt.Legend(title=None, orient="bottom", columns=2)
    labels = list(dict.fromkeys(row["label"] for row in rows))
    y = alt.Y("label:N", sort=labels, axis=None)
    colours, shapes = (alt.Scale(domain=names, range=[STYLES[name][place] for name in names]) for place in range(2))
    points = (
        alt.Chart()
        .mark_point(size=65, filled=True, opacity=1, yOffset=8)
        .encode(
            x=alt.X("x:Q", **_log_axis([row["x"] for row in rows], x_title)),
            y=y,
            color=alt.Color("series:N", scale=colours, legend=legend),
            shape=alt.Shape("series:N", scale=shapes, legend=legend),
        )
    )
    text = (
        alt.Chart(alt.InlineData(values=[{"label": label} for label in labels]))
        .mark_text(align="left", dy=-9, color=INK)
        .encode(x=alt.value(0), y=y, text="label:N")
    )
    return alt.layer(points, text, data=alt.InlineData(values=rows)).properties(
        width=_WIDTH, height=38 * len(labels), title=_title(title)
    )


def _bars(part: str, name: str, title: str, x_title: str, bars: Bars) -> Plot:
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
        x=alt.X("x:Q", title=x_title, axis=alt.Axis(tickCount=3, format=",~r")),
        y=y,
        color=alt.Color("series:N", scale=colours, legend=None),
    )
    labels = base.mark_text(align="left", dy=-8, color=INK).encode(x=alt.value(0), y=y, text="text:N")
    chart = (drawn + labels).properties(width=_WIDTH, height=36 * len(rows), title=_title(title))
    return Plot(part, name, title, chart)
