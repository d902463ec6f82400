"""The plot: cost against number of sessions, a panel for each operation, a line for each store."""

from __future__ import annotations

from typing import Any

import altair as alt

from benchmarks.charts import house
from benchmarks.contestants import INDEXED, REFERENCE, SCAN_STORE
from benchmarks.figures import speed_up
from benchmarks.operations import BY_AGENT, OPERATIONS, QUERIES
from benchmarks.results import Cells
from benchmarks.sessions import UNIFORM
from benchmarks.words import times

_STORES = (INDEXED, SCAN_STORE, REFERENCE)
_COLUMNS = 4


def lookup_chart(cells: Cells) -> alt.TopLevelMixin:
    """Return the plot of the medians, uniform keys, both axes logarithmic."""
    rows = _rows(cells)
    legend = house.legend(symbolStrokeWidth=0)
    sizes = cells.sizes
    # A little room at both ends, so that the points of the smallest and the largest size stand clear of the frame.
    wide = alt.Scale(type="log", domain=[sizes[0] / 1.4, sizes[-1] * 1.4], nice=False)
    costs = house.power_ticks([row["median"] for row in rows])
    base = alt.Chart().encode(
        x=alt.X("sessions:Q", title="sessions", scale=wide, axis=alt.Axis(values=sizes, format="~s", grid=False)),
        y=alt.Y(
            "median:Q",
            title="µs per call",
            scale=alt.Scale(type="log"),
            axis=costs,
        ),
        color=alt.Color("store:N", scale=house.colours(_STORES), legend=legend),
        tooltip=[
            "store:N",
            "operation:N",
            alt.Tooltip("sessions:Q", format=","),
            alt.Tooltip("median:Q", format=",.2f", title="median µs"),
            alt.Tooltip("p99:Q", format=",.2f", title="p99 µs"),
            alt.Tooltip("calls:Q", format=","),
        ],
    )
    lines = base.mark_line(strokeWidth=2.2).encode(
        strokeDash=alt.StrokeDash("store:N", scale=house.dashes(_STORES), legend=legend)
    )
    points = base.mark_point(size=55, filled=True, opacity=1).encode(
        shape=alt.Shape("store:N", scale=house.shapes(_STORES), legend=legend)
    )
    panels = alt.layer(lines, points, data=alt.InlineData(values=rows)).properties(width=196, height=150)
    return house.in_house_style(
        panels.facet(
            facet=alt.Facet("operation:N", sort=list(OPERATIONS), title=None, header=house.header()),
            columns=_COLUMNS,
            spacing={"row": 18, "column": 14},
            title=house.title(seen(cells), also_seen(cells)),
        )
    )


def seen(cells: Cells) -> str:
    """Return in a sentence what the plot shows of the queries, whatever that is."""
    size = cells.sizes[-1]
    factors = [factor for query in QUERIES if (factor := speed_up(cells, size, query)) is not None]
    return (
        f"At {size:,} sessions the index answers queries {times(min(factors))} to {times(max(factors))} times "
        "as fast as a scan of live objects"
    )


def also_seen(cells: Cells) -> list[str]:
    """Return, line by line, what is to be known to read the plot, and where the scan is ahead."""
    size = cells.sizes[-1]
    lost = [operation for operation in OPERATIONS if (speed_up(cells, size, operation) or 1) < 1]
    ahead = f", and is ahead on {', '.join(lost)}" if lost else ""
    agents = [summary for size in cells.sizes if (summary := cells.summary(size, BY_AGENT, UNIFORM, INDEXED))]
    lengths = ", ".join(f"{summary.results:.0f}" for summary in agents)
    return [
        f"Median µs per call, uniform keys, both axes logarithmic. Sessions that {BY_AGENT} returns: {lengths}.",
        f"The reference scan walks over live objects and hands out these: it copies and checks nothing{ahead}.",
    ]


def _rows(cells: Cells) -> list[dict[str, Any]]:
    return [
        {
            "store": cell.contestant,
            "operation": cell.operation,
            "sessions": cell.sessions,
            "median": cell.summary.median,
            "p99": cell.summary.p99,
            "calls": cell.summary.calls,
        }
        for cell in cells.all()
        if cell.keys == UNIFORM and cell.contestant in _STORES and cell.operation in OPERATIONS
    ]
