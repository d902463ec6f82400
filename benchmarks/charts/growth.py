"""The plot of growth: what a query costs in larger populations, beside a plain dict read."""

from __future__ import annotations

from typing import Any

import altair as alt

from benchmarks.alone import NONE_HOT
from benchmarks.charts import house
from benchmarks.contestants import INDEXED
from benchmarks.controls import DICT_READ
from benchmarks.operations import GET
from benchmarks.scale import Scale
from benchmarks.sessions import UNIFORM, ZIPF
from benchmarks.words import times

_SETTINGS = {INDEXED: "default settings", NONE_HOT: "none hot: every read unpacks"}
_DICT = "dict read"
_LINES = {
    "get": house.BLUE,
    "get_by_channel": house.SKY,
    "list_by_agent": house.GREEN,
    "list_by_agent + status": "#8BC34A",
    "list_by_customer": house.PURPLE,
    "find_sessions_by_step_hash": house.ORANGE,
    _DICT: house.INK,
}


def growth_chart(scale: Scale) -> alt.TopLevelMixin:
    """Return the plot of costs as multiples of those in the smallest population."""
    sizes = scale.cells.sizes
    wide = alt.Scale(type="log", domain=[sizes[0] / 1.2, sizes[-1] * 1.2], nice=False)
    colours = alt.Scale(domain=list(_LINES), range=list(_LINES.values()))
    base = alt.Chart().encode(
        x=alt.X("sessions:Q", title="sessions", scale=wide, axis=alt.Axis(values=sizes, format="~s", grid=False)),
        y=alt.Y("multiple:Q", title=f"cost, as a multiple of that at {sizes[0]:,}", scale=alt.Scale(domainMin=0)),
        color=alt.Color("operation:N", scale=colours, legend=house.legend(columns=4, symbolType="stroke")),
        strokeDash=alt.condition(f"datum.operation == '{_DICT}'", alt.value([6, 3]), alt.value([1, 0])),
        strokeWidth=alt.condition(f"datum.operation == '{_DICT}'", alt.value(3.5), alt.value(2)),
        tooltip=["operation:N", alt.Tooltip("sessions:Q", format=","), alt.Tooltip("multiple:Q", format=".2f")],
    )
    panels = alt.layer(base.mark_line(point={"size": 40}), data=alt.InlineData(values=_rows(scale)))
    return house.in_house_style(
        panels.properties(width=206, height=230).facet(
            facet=alt.Facet("panel:N", sort=None, title=None, header=house.header()),
            columns=4,
            spacing=14,
            title=house.title(seen(scale), also_seen(scale)),
        )
    )


def seen(scale: Scale) -> str:
    """Return in a sentence how the worst query grows beside a dict read."""
    sizes = scale.cells.sizes
    if len(sizes) < 2:
        return f"Queries at {sizes[0]:,} sessions: one size shows no growth"
    worst = {name: scale.worst_growth(name) or 0 for name in _SETTINGS}
    return (
        f"From {sizes[0]:,} to {sizes[-1]:,} sessions no query grows more than {times(worst[INDEXED])} times as much "
        f"as a dict read, and {times(worst[NONE_HOT])} times with none hot"
    )


def also_seen(scale: Scale) -> list[str]:
    """Return what is to be known to read the plot."""
    dict_read = scale.growth(GET, DICT_READ)
    grown = "" if dict_read is None else f" A read of a plain dict grows {times(dict_read)} times, for uniform keys."
    return [
        f"Median cost for each session of the result, all sizes by turns in one process.{grown}",
        "By default the 10,000 sessions used last are kept hot, live; all others are unpacked when they are read.",
    ]


def _rows(scale: Scale) -> list[dict[str, Any]]:
    cells, rows = scale.cells, []
    for name, settings in _SETTINGS.items():
        for keys in (UNIFORM, ZIPF):
            for line in _LINES:
                operation, contestant = (GET, DICT_READ) if line == _DICT else (line, name)
                costs = {
                    size: summary.median / max(summary.results, 1)
                    for size in cells.sizes
                    if (summary := cells.summary(size, operation, keys, contestant))
                }
                rows += [
                    {
                        "panel": f"{settings.partition(':')[0]}, {keys} keys",
                        "operation": line,
                        "sessions": size,
                        "multiple": cost / costs[cells.sizes[0]],
                    }
                    for size, cost in costs.items()
                ]
    return rows
