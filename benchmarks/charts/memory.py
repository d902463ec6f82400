"""The plot of memory: bytes a session, and what a full collection takes, a bar for each variant."""

from __future__ import annotations

from typing import Any

import altair as alt

from benchmarks.alone import VARIANTS
from benchmarks.charts import house
from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.scale import Scale

_BYTES, _COLLECTION = "bytes a session, resident", "ms, forced full collection"


def memory_chart(scale: Scale) -> alt.TopLevelMixin:
    """Return the bars: a panel for each size and quantity."""
    rows = _rows(scale)
    sizes = sorted({row["size"] for row in rows}, key=lambda size: int(size.split()[0].replace(",", "")))
    panels = alt.vconcat(*[_row_of_panels([row for row in rows if row["size"] == size], size) for size in sizes])
    return house.in_house_style(panels.properties(title=house.title(seen(scale), also_seen())))


def _row_of_panels(rows: list[dict[str, Any]], size: str) -> alt.HConcatChart:
    quantities = [quantity for quantity in (_BYTES, _COLLECTION) if any(row["quantity"] == quantity for row in rows)]
    return alt.hconcat(
        *[
            _bars([row for row in rows if row["quantity"] == quantity], f"{quantity}, {size}", with_names=not place)
            for place, quantity in enumerate(quantities)
        ],
        spacing=24,
    )


def _bars(rows: list[dict[str, Any]], heading: str, *, with_names: bool) -> Any:
    names = list(VARIANTS)
    axis = alt.Axis(title=None, labels=with_names, ticks=False, domain=False, labelFontSize=13, labelLimit=200)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("variant:N", sort=names, axis=axis))
    room = alt.Scale(domainMax=max(row["value"] for row in rows) * 1.18, nice=False)
    bars = base.mark_bar(height=22).encode(
        x=alt.X("value:Q", scale=room, axis=alt.Axis(title=None, format=",d", tickCount=5)),
        color=alt.Color("variant:N", scale=house.colours(names), legend=None),
        tooltip=["variant:N", alt.Tooltip("value:Q", format=",.1f")],
    )
    labels = base.mark_text(align="left", dx=6, fontSize=13, color=house.INK).encode(x="value:Q", text="label:N")
    return alt.layer(bars, labels).properties(
        width=370, height=96, title=alt.Title(heading, fontSize=12, anchor="start", offset=6)
    )


def seen(scale: Scale) -> str:
    """Return in a sentence what sessions take, at the largest size that was weighed."""
    size = scale.largest or 0
    ours, theirs = scale.footprint(INDEXED, size), scale.footprint(REFERENCE, size)
    if not ours or not theirs:
        return "Nothing was weighed"
    collection = f"a full collection takes {ours.collection:,.0f} ms instead of {theirs.collection:,.0f}"
    if ours.bytes_per_session is None or theirs.bytes_per_session is None:
        return f"With {size:,} sessions {collection}"
    return (
        f"{size:,} sessions take {ours.bytes_per_session:,.0f} bytes each, indexes included, instead of "
        f"{theirs.bytes_per_session:,.0f} as live objects; {collection}"
    )


def also_seen() -> list[str]:
    """Return what is to be known to read the plot."""
    measured = (
        "Growth of the resident set in a fresh process, from before loading to after many reads of skewed keys; median "
        "of five collections."
    )
    variants = (
        "indexed: default settings, what was read twice is hot. none hot: all packed. reference scan: live objects."
    )
    return [measured, variants]


def _rows(scale: Scale) -> list[dict[str, Any]]:
    rows = []
    for footprint in scale.footprints:
        for quantity, value in ((_BYTES, footprint.bytes_per_session), (_COLLECTION, footprint.collection)):
            if value is not None:
                label = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
                rows.append(
                    {
                        "variant": footprint.variant,
                        "size": f"{footprint.sessions:,} sessions",
                        "quantity": quantity,
                        "value": value,
                        "label": label,
                    }
                )
    return rows
