"""Define the colours of plots and page, in light and in dark mode, and finish the plots as SVG."""

import re
from typing import Any

import altair as alt
import vl_convert

from benchmarks.scenarios.footprint import WITHOUT_CACHE
from benchmarks.stores.subjects import DEEP_COPY, INDEXED, LITTLETABLE, REFERENCE, SCAN_STORE, SQLITE

_ENLARGED = 1.4
_FONT_SIZE = 12
INK, DIM, GRID, PAPER = "#1b1f24", "#57606a", "#d8dee4", "#ffffff"
BLUE, ORANGE, VERMILION, GREEN, PURPLE, SKY = "#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"
DARK = {
    INK: "#e6edf3",
    DIM: "#9da7b1",
    GRID: "#30363d",
    PAPER: "#0d1117",
    BLUE: "#4da3e0",
    VERMILION: "#ff8a4c",
    GREEN: "#2bc79a",
}
"""The colours that change in dark mode."""

# Okabe and Ito's colours, which colour-blind readers can distinguish. Shapes and dashes differ too, for print.
STYLES: dict[str, tuple[str, str, list[int]]] = {
    INDEXED: (BLUE, "circle", [1, 0]),
    WITHOUT_CACHE: (SKY, "diamond", [8, 2]),
    SCAN_STORE: (ORANGE, "square", [6, 3]),
    REFERENCE: (VERMILION, "triangle-up", [2, 2]),
    DEEP_COPY: (PURPLE, "cross", [8, 2, 2, 2]),
    SQLITE: (GREEN, "diamond", [4, 2]),
    LITTLETABLE: (ORANGE, "triangle-down", [1, 3]),
}
"""The colour, shape and dashes of each store, the same in every plot."""

LINE_STYLES: tuple[tuple[str, str, list[int]], ...] = (
    (BLUE, "circle", [1, 0]),
    (VERMILION, "triangle-up", [1, 0]),
    (GREEN, "square", [1, 0]),
    (PURPLE, "diamond", [1, 0]),
    (INK, "cross", [1, 0]),
    (DIM, "circle", [3, 3]),
)
"""The colour, shape and dashes of each lookup; the last ones are those of every other operation."""


def dark_rules() -> str:
    """Return the CSS that recolours plots in dark mode; programs that ignore it show the light colours."""
    rules = "".join(
        f'svg [fill="{light}"]{{fill:{dark}}}svg [stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items()
    )
    return f"@media screen and (prefers-color-scheme: dark){{{rules}}}"


def to_svg(chart: alt.TopLevelMixin, title: str) -> str:
    """Draw the plot as an SVG element, with the title for screen readers."""
    svg = vl_convert.vegalite_to_svg(_configured(chart).to_json())
    label = re.sub(r'[<>&"]', " ", title)
    svg = re.sub(r'\s(style|id)="[^"]*"', "", svg)  # the page's policy forbids style attributes, and ids would repeat
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def standalone(svg: str) -> str:
    """Return the SVG as a file of its own, enlarged, with a background and the rules for dark mode.

    It is drawn for the width of a phone. A page with more room shows it larger, with larger text; a phone shrinks it.
    """
    svg = re.sub(
        r'(width|height)="([\d.]+)"', lambda size: f'{size[1]}="{float(size[2]) * _ENLARGED:.0f}"', svg, count=2
    )
    start = svg.index(">") + 1
    background = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return f"{svg[:start]}<style>{dark_rules()}</style>{background}{svg[start:]}\n"


def _configured(chart: Any) -> alt.TopLevelMixin:
    styled: alt.TopLevelMixin = (
        chart.configure(background="transparent", padding=8, font="Helvetica, Arial, sans-serif")
        .configure_title(color=INK, subtitleColor=DIM, anchor="start", frame="bounds", fontSize=13, offset=10)
        .configure_text(fontSize=_FONT_SIZE)
        .configure_axis(
            gridColor=GRID,
            domainColor=DIM,
            tickColor=DIM,
            labelColor=INK,
            titleColor=DIM,
            labelFontSize=_FONT_SIZE,
            titleFontSize=_FONT_SIZE,
            titleFontWeight="normal",
        )
        .configure_legend(labelColor=INK, labelFontSize=_FONT_SIZE, labelLimit=200, symbolSize=70, columnPadding=22)
        .configure_header(labelColor=INK, labelFontSize=_FONT_SIZE)
        .configure_view(stroke=None)
    )
    return styled
