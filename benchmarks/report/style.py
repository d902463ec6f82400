"""Define the colours of plots and page, in light and in dark mode, and finish the plots as SVG."""

import re
from typing import Any

import altair as alt
import vl_convert

from benchmarks.scenarios.footprint import WITHOUT_CACHE
from benchmarks.stores.subjects import DEEP_COPY, INDEXED, LITTLETABLE, REFERENCE, SCAN_STORE, SQLITE

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

SIZE_STYLES = ((SKY, "triangle-up"), (ORANGE, "square"), (BLUE, "circle"), (VERMILION, "diamond"), (GREEN, "cross"))
"""The colour and shape of each size, smallest first."""


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
    """Return the SVG as a file of its own, with a background and the rules for dark mode."""
    start = svg.index(">") + 1
    background = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return f"{svg[:start]}<style>{dark_rules()}</style>{background}{svg[start:]}\n"


def _configured(chart: Any) -> alt.TopLevelMixin:
    styled: alt.TopLevelMixin = (
        chart.configure(background="transparent", padding=8, font="Helvetica, Arial, sans-serif")
        .configure_title(color=INK, subtitleColor=DIM, anchor="start", frame="bounds", fontSize=13, offset=10)
        .configure_axis(
            gridColor=GRID,
            domainColor=DIM,
            tickColor=DIM,
            labelColor=INK,
            titleColor=DIM,
            labelFontSize=11,
            titleFontSize=11,
            titleFontWeight="normal",
        )
        .configure_legend(labelColor=INK, labelFontSize=11, labelLimit=200, symbolSize=70, columnPadding=22)
        .configure_header(labelColor=INK, labelFontSize=12)
        .configure_view(stroke=None)
    )
    return styled
