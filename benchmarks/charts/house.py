"""What all plots share: colours, shapes, fonts, and a title that says what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import altair as alt

from benchmarks.alone import NONE_HOT
from benchmarks.contestants import INDEXED, REFERENCE, SCAN_STORE

# Okabe and Ito's colours, told apart by colour-blind readers; shapes and dashes tell them apart in grey.
BLUE, ORANGE, VERMILION, GREEN, PURPLE, SKY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
_TITLE, _BELOW = 112, 172  # letters that a line of the page has room for
INK, DIM, FAINT = "#222222", "#555555", "#E4E4E4"

STYLES = {
    INDEXED: (BLUE, "circle", [1, 0]),
    NONE_HOT: (SKY, "diamond", [8, 2]),
    SCAN_STORE: (ORANGE, "square", [6, 3]),
    REFERENCE: (VERMILION, "triangle-up", [2, 2]),
}
"""Colour, shape and dashes of each store, the same in every plot."""


def title(seen: str, also: Sequence[str]) -> alt.Title:
    """Return a title: what is seen, and below it, in a line or more each, what is to be known to read the plot."""
    below = [line for paragraph in also for line in wrap(paragraph, _BELOW)]
    return alt.Title(wrap(seen, _TITLE), subtitle=below, fontSize=16, subtitleFontSize=12, anchor="start")


def header() -> alt.Header:
    """Return how the panels of a plot are headed."""
    return alt.Header(title=None, labelFontSize=12, labelFontWeight="bold", labelColor=INK, labelPadding=6)


def colours(names: Sequence[str]) -> alt.Scale:
    """Return the scale of the stores' colours."""
    return alt.Scale(domain=list(names), range=[STYLES[name][0] for name in names])


def shapes(names: Sequence[str]) -> alt.Scale:
    """Return the scale of the stores' shapes."""
    return alt.Scale(domain=list(names), range=[STYLES[name][1] for name in names])


def dashes(names: Sequence[str]) -> alt.Scale:
    """Return the scale of the stores' dashes."""
    return alt.Scale(domain=list(names), range=[STYLES[name][2] for name in names])


def legend(**more: Any) -> alt.Legend:
    """Return a legend above the plot, without a title."""
    return alt.Legend(title=None, orient="top", labelFontSize=13, labelLimit=300, **({"symbolSize": 90} | more))


def in_house_style(chart: Any) -> alt.TopLevelMixin:
    """Return the plot with the fonts, lines and margins that all have."""
    styled: alt.TopLevelMixin = (
        chart.configure(background="white", padding=14, font="Helvetica, Arial, DejaVu Sans, sans-serif")
        .configure_title(color=INK, subtitleColor=DIM, offset=12, subtitlePadding=6)
        .configure_axis(gridColor=FAINT, labelFontSize=11, titleFontSize=12, titleFontWeight="normal", labelColor=INK)
        .configure_view(stroke="#CCCCCC")
    )
    return styled


def power_ticks(values: Sequence[float]) -> alt.Axis:
    """Return an axis with ticks at powers of ten only, from 0.1 to 100k."""
    powers = [10.0**power for power in range(-4, 9) if min(values) / 10 <= 10.0**power <= max(values) * 10]
    in_words = "datum.value < 1000 ? format(datum.value, '~g') : format(datum.value, '~s')"
    return alt.Axis(values=powers, labelExpr=in_words)
