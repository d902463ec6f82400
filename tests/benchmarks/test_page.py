"""The report in a real browser: what a reader sees, without a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.benchmarks import browser
from tests.benchmarks.browser import Shown
from tests.benchmarks.small_run import small_run

pytest.importorskip("altair", reason="the bench group is not installed; `nox -s page` has it")
pytest.importorskip("vl_convert", reason="the bench group is not installed; `nox -s page` has it")
pytestmark = pytest.mark.skipif(browser.find() is None, reason=browser.INSTALL)

MARKS = {"lookup": 48, "growth": 40, "memory": 3, "gaps": 10, "peers": 48, "mixes": 21}
"""The least that each plot has to show of a run of every part: points, bars or lines."""

_SHAPES = {"path", "rect", "line"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from benchmarks.report import write_report  # noqa: PLC0415  # needs altair

    return write_report(small_run(), tmp_path_factory.mktemp("report"))[0]


@pytest.fixture(scope="module")
def shown(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return browser.show(report, tmp_path_factory.mktemp("profile"))


@dataclass
class Plot:
    marks: int = 0
    words: list[str] = field(default_factory=list)


class Plots(HTMLParser):
    """Counts what is drawn in each figure of a page, axes and frames left out."""

    def __init__(self, elements: str) -> None:
        super().__init__()
        self.plots: dict[str, Plot] = {}
        self._plot: Plot | None = None
        self._open: list[str] = []
        self.feed(elements)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if tag == "div" and of.get("id") in MARKS:
            self._plot = self.plots[str(of["id"])] = Plot()
        if tag == "g":
            self._open.append(of.get("class") or "")
        is_mark = bool(self._open) and re.search(r"mark-(symbol|rect|line|rule)\b.*role-mark\b", self._open[-1])
        if self._plot and tag in _SHAPES and is_mark:
            self._plot.marks += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "g":
            self._open.pop()
        if tag == "figure":
            self._plot = None

    def handle_data(self, data: str) -> None:
        if self._plot and data.strip():
            self._plot.words.append(data.strip())


def test_nothing_complains(shown: Shown) -> None:
    """Nothing is written to the console: no error, no warning, and nothing that the page's own policy had to stop."""
    assert shown.console == []


def test_every_plot_is_drawn(shown: Shown) -> None:
    """Every plot is there, with marks, a title, and no empty panel."""
    plots = Plots(shown.elements).plots

    assert plots.keys() == MARKS.keys()
    for name, plot in plots.items():
        assert plot.marks >= MARKS[name], name
        assert any(len(words) > 30 for words in plot.words), name
    assert {"get_by_channel", "list_by_customer", "delete"} <= set(plots["lookup"].words)
    assert {"indexed", "reference scan", "SQLite in memory"} <= set(plots["peers"].words)


@pytest.mark.parametrize(
    "reaches_out",
    [
        '<img src="https://example.com/pixel.png">',
        '<script src="https://example.com/library.js"></script>',
        '<link rel="stylesheet" href="https://fonts.googleapis.com/css">',
        '<script>fetch("https://example.com/data.json").catch(() => 0)</script>',
    ],
)
def test_nothing_could_leave(reaches_out: str, report: Path, tmp_path: Path) -> None:
    """What would reach out, if it came to stand in the page, is stopped by the page's policy, which says so."""
    page = tmp_path / "page.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", f"{reaches_out}</body>"), encoding="utf-8")

    assert "Content Security Policy" in " ".join(browser.show(page, tmp_path / "profile").console)


def test_a_broken_page_is_noticed(report: Path, tmp_path: Path) -> None:
    """An error in a script is in the console, and the plot that it was to draw is found to be empty."""
    page = tmp_path / "page.html"
    page.write_text(report.read_text(encoding="utf-8").replace('draw("gaps"', 'drawn("gaps"'), encoding="utf-8")
    broken = browser.show(page, tmp_path / "profile")

    assert "drawn is not defined" in " ".join(broken.console)
    assert Plots(broken.elements).plots["gaps"].marks == 0
