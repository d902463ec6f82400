"""The plots of the peers: a dot for each, an operation or a mix a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from benchmarks.charts import house
from benchmarks.contest import KEYS, Contest
from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.mixes import Mix
from benchmarks.operations import OPERATIONS
from benchmarks.peers.all import DEEP_COPY, DUCKS, LITTLETABLE, SQLITE
from benchmarks.peers.peer import COPIES, LIVE
from benchmarks.results import Cells
from benchmarks.sessions import UNIFORM
from benchmarks.words import times

_MARKS = {
    INDEXED: (house.BLUE, "circle"),
    REFERENCE: (house.VERMILION, "triangle-up"),
    DEEP_COPY: (house.ORANGE, "square"),
    SQLITE: (house.GREEN, "diamond"),
    DUCKS: (house.PURPLE, "triangle-down"),
    LITTLETABLE: (house.SKY, "cross"),
}
"""Colour and shape of each peer."""


def peers_chart(contest: Contest) -> alt.TopLevelMixin:
    """Return the medians of every operation, a panel for each way to draw keys."""
    rows = [
        {"panel": f"{cell.keys} keys", "row": cell.operation, "peer": cell.contestant, "value": cell.summary.median}
        for cell in contest.cells
    ]
    names = [peer.name for peer in contest.peers if peer.version is not None]
    panels = _dots(rows, names, OPERATIONS, "µs per call, median", width=345, step=34)
    return house.in_house_style(
        panels.facet(
            facet=alt.Facet("panel:N", sort=[f"{keys} keys" for keys in KEYS], title=None, header=house.header()),
            columns=2,
            spacing=14,
            title=house.title(contest_seen(contest), _contest_known(contest)),
        )
    )


def mixes_chart(mixes: Sequence[Mix]) -> alt.TopLevelMixin:
    """Return the calls a second in every mix."""
    rows = [{"row": _label(mix), "peer": mix.contestant, "value": mix.calls_per_second} for mix in mixes]
    names, labels = list(dict.fromkeys(mix.contestant for mix in mixes)), list(dict.fromkeys(map(_label, mixes)))
    chart = _dots(rows, names, labels, "calls a second", width=690, step=30)
    known = (
        "A closed loop, one call at a time. A to F as in YCSB, with sessions as records and the newest sessions of an "
        "agent as short ranges; skewed keys, 0.99, in D those of the latest."
    )
    return house.in_house_style(chart.properties(title=house.title(mixes_seen(mixes), [known])))


def _dots(
    rows: list[dict[str, Any]], names: Sequence[str], order: Sequence[str], what: str, *, width: int, step: int
) -> Any:  # altair's types are not sure whether layers may be faceted
    marks = {name: _MARKS[name] for name in names}
    colours = alt.Scale(domain=list(marks), range=[colour for colour, _ in marks.values()])
    shapes = alt.Scale(domain=list(marks), range=[shape for _, shape in marks.values()])
    ours = f"datum.peer == '{INDEXED}'"
    base = alt.Chart().encode(
        x=alt.X("value:Q", title=what, scale=alt.Scale(type="log"), axis=house.power_ticks([r["value"] for r in rows])),
        y=alt.Y("row:N", sort=list(order), title=None, axis=alt.Axis(labelFontSize=12, labelLimit=260, grid=False)),
    )
    spans = base.mark_rule(color=house.FAINT, strokeWidth=7).encode(x="min(value):Q", x2="max(value):Q")
    dots = base.mark_point(filled=True, opacity=1).encode(
        color=alt.Color("peer:N", scale=colours, legend=house.legend(symbolStrokeWidth=0)),
        shape=alt.Shape("peer:N", scale=shapes, legend=house.legend(symbolStrokeWidth=0)),
        size=alt.condition(ours, alt.value(190), alt.value(75)),
        order=alt.condition(ours, alt.value(1), alt.value(0)),
        tooltip=["peer:N", "row:N", alt.Tooltip("value:Q", format=",.2f", title=what)],
    )
    return alt.layer(spans, dots, data=alt.InlineData(values=rows)).properties(width=width, height=alt.Step(step))


def contest_seen(contest: Contest) -> str:
    """Return in a sentence in how many operations the indexed store is ahead of those that also hand out copies."""
    cells = Cells(contest.cells)
    copying = {peer.name for peer in contest.peers if peer.hands_out == COPIES} - {INDEXED}
    ahead, factors = 0, []
    for operation in OPERATIONS:
        ours = cells.median(contest.sessions, operation, UNIFORM, INDEXED)
        theirs = [cells.median(contest.sessions, operation, UNIFORM, peer) for peer in copying]
        known = [median for median in theirs if median is not None]
        if ours is not None and known:
            ahead += ours < min(known)
            factors.append(min(known) / ours)
    if not factors:
        return f"At {contest.sessions:,} sessions nobody else hands out copies"
    return (
        f"At {contest.sessions:,} sessions the indexed store is ahead in {ahead} of {len(factors)} operations of all "
        f"that hand out copies: the best of these takes {times(min(factors))} to {times(max(factors))} times as long"
    )


def _contest_known(contest: Contest) -> list[str]:
    live = [peer.name for peer in contest.peers if peer.hands_out == LIVE and peer.version is not None]
    absent = [peer.name for peer in contest.peers if peer.version is None]
    known = [f"Hand out the very objects that they hold, uncopied and unchecked: {', '.join(live)}."]
    return [*known, f"Not installed, so not here: {', '.join(absent)}."] if absent else known


def mixes_seen(mixes: Sequence[Mix]) -> str:
    """Return in a sentence how much the indexed store does in the time of the next best."""
    rates: dict[str, dict[str, float]] = {}
    for mix in mixes:
        rates.setdefault(mix.name, {})[mix.contestant] = mix.calls_per_second
    factors = {name: of.pop(INDEXED) / max(of.values()) for name, of in rates.items() if INDEXED in of and len(of) > 1}
    if not factors:
        return "Mixes of operations, as services have them"
    least, most = min(factors, key=lambda name: factors[name]), max(factors, key=lambda name: factors[name])
    return (
        f"In mixes of operations the indexed store makes {times(factors[least])} (in {least}) to "
        f"{times(factors[most])} times (in {most}) the calls a second of the next best"
    )


def _label(mix: Mix) -> str:
    return f"{mix.name}: {mix.title}"
