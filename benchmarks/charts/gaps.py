"""The plot of the loop's gaps: what share of them is longer than so many milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt

from benchmarks.alone import VARIANTS, Footprint
from benchmarks.charts import house
from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.delays import Delays
from benchmarks.scale import Scale
from benchmarks.traffic import LISTS, SAVES

_LONGEST = 50.0  # ms, marked
_IDLE = "an idle loop"
_LOADING = "while loading"


def gaps_chart(scale: Scale) -> alt.TopLevelMixin:
    """Return the shares, both axes logarithmic, at the largest size: loading, and traffic of either kind of keys."""
    rows = list(_rows(scale))
    names = [*VARIANTS, _IDLE]
    colours = alt.Scale(domain=names, range=[*[house.STYLES[name][0] for name in VARIANTS], "#999999"])
    dashes = alt.Scale(domain=names, range=[*[house.STYLES[name][2] for name in VARIANTS], [1, 3]])
    legend = house.legend(symbolType="stroke", symbolStrokeWidth=3, symbolSize=400)
    shares, gaps = [row["share"] for row in rows], [row["gap"] for row in rows]
    lines = (
        alt.Chart()
        .mark_line(strokeWidth=2.2, interpolate="step-before")
        .encode(
            x=alt.X(
                "gap:Q",
                title="gap, ms",
                scale=alt.Scale(type="log", domain=[min(gaps), max(*gaps, 2 * _LONGEST)], nice=False),
                axis=house.power_ticks(gaps),
            ),
            y=alt.Y(
                "share:Q",
                title="share of gaps that are longer",
                scale=alt.Scale(type="log", domain=[min(shares) / 1.5, 1], nice=False),
                axis=alt.Axis(values=[10.0**-power for power in range(7)], format="~%"),
            ),
            color=alt.Color("variant:N", scale=colours, legend=legend),
            strokeDash=alt.StrokeDash("variant:N", scale=dashes, legend=legend),
            tooltip=["variant:N", alt.Tooltip("gap:Q", format=",.3~f"), alt.Tooltip("share:Q", format=".3~%")],
        )
    )
    once_a_panel = alt.Chart().transform_aggregate(n="count()", groupby=["panel"])
    mark = once_a_panel.mark_rule(color=house.INK, strokeDash=[4, 3]).encode(x=alt.datum(_LONGEST))
    name = once_a_panel.mark_text(align="right", dx=-4, dy=9, color=house.INK, baseline="top", fontSize=11).encode(
        x=alt.datum(_LONGEST), y=alt.value(0), text=alt.value(f"{_LONGEST:.0f} ms")
    )
    panels = alt.layer(lines, mark, name, data=alt.InlineData(values=rows)).properties(width=282, height=250)
    return house.in_house_style(
        panels.facet(
            facet=alt.Facet("panel:N", sort=None, title=None, header=house.header()),
            columns=3,
            spacing=14,
            title=house.title(seen(scale), also_seen(scale)),
        )
    )


def seen(scale: Scale) -> str:
    """Return in a sentence how long the loop stood still at most."""
    size = scale.largest or 0
    ours, theirs = (_longest(scale.footprint(name, size)) for name in (INDEXED, REFERENCE))
    return (
        f"With {size:,} sessions the loop stands still for at most {ours[1]:,.0f} ms at {SAVES:,} saves a second, and "
        f"{ours[0]:,.0f} ms while loading; with live objects {theirs[1]:,.0f} and {theirs[0]:,.0f} ms"
    )


def also_seen(scale: Scale) -> list[str]:
    """Return what is to be known to read the plot, and who could not keep up."""
    known = (
        "By how much the loop was late with a task that sleeps for 1 ms. Requests come at fixed instants, however late "
        f"the last one is: {SAVES:,} sessions a second read, changed and saved, and {LISTS} lists of 10, of which the "
        "reference scan is spared: each would be a walk. The idle loop shows what the machine adds."
    )
    late = [
        f"{footprint.variant} with {traffic.keys} keys: {traffic.saves_done:,.0f} saves a second"
        for footprint in scale.footprints
        for traffic in footprint.traffic
        if not traffic.kept_up
    ]
    return [known, f"Could not keep up: {'; '.join(late)}."] if late else [known]


def _longest(footprint: Footprint | None) -> tuple[float, float]:
    if footprint is None:
        return 0, 0
    return footprint.loading.longest, max((each.gaps.longest for each in footprint.traffic), default=0)


def _rows(scale: Scale) -> Iterator[dict[str, Any]]:
    for footprint in scale.footprints:
        if footprint.sessions == scale.largest:
            found = {_LOADING: footprint.loading}
            found |= {f"{SAVES:,} saves a second, {each.keys} keys": each.gaps for each in footprint.traffic}
            for panel, gaps in found.items():
                yield from _line(panel, footprint.variant, gaps)
                if footprint.idle and footprint.variant == INDEXED:
                    yield from _line(panel, _IDLE, footprint.idle)


def _line(panel: str, variant: str, gaps: Delays) -> Iterator[dict[str, Any]]:
    for gap, share in [(0.1, 1.0), *gaps.longer()]:
        # The longest gap is where the line ends: no share is longer, and a logarithm of nothing cannot be drawn.
        end = {"gap": gap, "share": share} if share else {"gap": gaps.longest, "share": 1 / gaps.count}
        if end["gap"] >= 0.1:
            yield {"panel": panel, "variant": variant, **end}
