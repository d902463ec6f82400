"""The plot of imbalance: the fullest shard against the number of shards, a panel for each distribution of tenants."""

from __future__ import annotations

from typing import Any

import altair as alt

from benchmarks.charts import house
from benchmarks.sharding import EXPONENTS, PARTS, SHARDS, Sharding
from benchmarks.tenants import SPLIT_FROM
from benchmarks.words import times

_ALONE = "the largest tenant alone"
_STYLES = (
    (house.VERMILION, [1, 0]),
    (house.ORANGE, [8, 2]),
    (house.GREEN, [4, 3]),
    (house.BLUE, [2, 2]),
)
_SEEN_AT = (10_000, 1.0, 100)


def sharding_chart(found: Sharding) -> alt.TopLevelMixin:
    """Return the medians, both axes logarithmic, with a line for each way to split the large tenants."""
    rows = _rows(found)
    names = [_way(parts) for parts in PARTS]
    colours = alt.Scale(domain=[*names, _ALONE], range=[*[colour for colour, _ in _STYLES], "#999999"])
    dashes = alt.Scale(domain=[*names, _ALONE], range=[*[dash for _, dash in _STYLES], [1, 3]])
    legend = house.legend(symbolType="stroke", symbolStrokeWidth=3, symbolSize=400, columns=5)
    most = max(row["imbalance"] for row in rows)
    lines = (
        alt.Chart()
        .mark_line(strokeWidth=2.2)
        .encode(
            x=alt.X(
                "shards:Q",
                title="shards",
                scale=alt.Scale(type="log", domain=[SHARDS[0], SHARDS[-1]], nice=False),
                axis=alt.Axis(values=[3, 10, 30, 100, 300], grid=False),
            ),
            y=alt.Y(
                "imbalance:Q",
                title="fullest shard ÷ mean",
                scale=alt.Scale(type="log", domain=[1, most * 1.15], nice=False),
                axis=alt.Axis(values=[1, 2, 5, 10, 20, 50, 100], format="~g"),
            ),
            color=alt.Color("way:N", scale=colours, sort=[*names, _ALONE], legend=legend),
            strokeDash=alt.StrokeDash("way:N", scale=dashes, sort=[*names, _ALONE], legend=legend),
            tooltip=["way:N", "shards:Q", alt.Tooltip("imbalance:Q", format=".3~f"), "split:Q"],
        )
    )
    panels = alt.layer(lines, data=alt.InlineData(values=rows)).properties(width=300, height=150)
    return house.in_house_style(
        panels.facet(
            facet=alt.Facet("panel:N", sort=None, title=None, header=house.header()),
            columns=len(EXPONENTS),
            spacing={"row": 18, "column": 14},
            title=house.title(seen(found), also_seen(found)),
        )
    )


def seen(found: Sharding) -> str:
    """Return in a sentence what the plot shows."""
    tenants, exponent, shards = _SEEN_AT
    as_they_are, *_, split = (found.cell(tenants, exponent, shards, parts).imbalance for parts in PARTS)
    return (
        f"Large tenants unbalance a cluster: with {tenants:,} tenants (exponent {exponent:g}) on {shards} shards "
        f"the fullest has {times(as_they_are)} times the mean, "
        f"and {times(split)} times once they are split in {PARTS[-1]}"
    )


def also_seen(found: Sharding) -> list[str]:
    """Return what is to be known to read the plot."""
    simulated = (
        f"Simulated: {found.total:,} sessions, tenants of sizes after Zipf's law, in the slots that a cluster has for "
        f"their keys, equal ranges on each shard. Medians of {found.draws} draws of ids."
    )
    split = (
        f"Large is a tenant that has more than {SPLIT_FROM:g} of a mean shard. Grey, dotted: what the largest has of a "
        "mean shard, as it is; no cluster is more even than that."
    )
    return [simulated, split]


def _way(parts: int) -> str:
    return "tenants as they are" if parts == 1 else f"large ones split in {parts}"


def _rows(found: Sharding) -> list[dict[str, Any]]:
    rows = []
    for cell in found.cells:
        panel = f"{cell.tenants:,} tenants, exponent {cell.exponent:g}"
        rows.append(
            {
                "panel": panel,
                "way": _way(cell.parts),
                "shards": cell.shards,
                "imbalance": cell.imbalance,
                "split": cell.split,
            }
        )
        if cell.parts == 1 and cell.largest >= 1:
            rows.append({"panel": panel, "way": _ALONE, "shards": cell.shards, "imbalance": cell.largest, "split": 0})
    return rows
