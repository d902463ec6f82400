"""The report in a real browser, without a network: what a reader sees on a desktop and on a phone."""

import json
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import browser
from tests.benchmarks.small_run import small_run

pytest.importorskip("altair", reason="the bench group is not installed; `nox -s page` has it")
pytest.importorskip("vl_convert", reason="the bench group is not installed; `nox -s page` has it")
pytestmark = pytest.mark.skipif(browser.find() is None, reason=browser.INSTALL)

SCHEMES = '<meta name="color-scheme" content="light dark">'
DARK_MODE = "--blink-settings=preferredColorScheme=0"
MEASURE = """
<script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const box = (element) => element.getBoundingClientRect();
  const plot = (svg) => ({
    left: box(svg).left, right: box(svg).right, width: box(svg).width, height: box(svg).height,
    room: box(svg.parentElement).width,
  });
  document.querySelector("output").textContent = JSON.stringify({
    width: page.documentElement.clientWidth,
    scroll: page.documentElement.scrollWidth,
    plots: [...page.querySelectorAll("figure svg")].map(plot),
    table: box(page.querySelector("#speedups table")).right,
    answer: box(page.querySelector(".answer")).bottom,
    details: [...page.querySelectorAll("details")].map((each) => box(each).height),
    background: getComputedStyle(page.body).backgroundColor,
    marks: [...page.querySelectorAll("svg path, svg rect")].filter((mark) => box(mark).width > 0).length,
  });
});
</script>
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from benchmarks.report.page import write_report  # noqa: PLC0415  # needs altair

    return write_report(small_run(), tmp_path_factory.mktemp("report"))


def _measured(report: Path, width: int, tmp_path: Path, *options: str) -> Any:
    """Show the page in a frame of this width, and return its measurements."""
    frame = f'<iframe width="{width}" height="900" srcdoc="{escape(report.read_text(encoding="utf-8"))}"></iframe>'
    page = tmp_path / "frame.html"
    page.write_text(
        f'<!DOCTYPE html><meta charset="utf-8">{SCHEMES}{frame}<output></output>{MEASURE}', encoding="utf-8"
    )
    elements = browser.show(page, tmp_path / "profile", *options).elements
    return json.loads(unescape(elements.rpartition("<output>")[2].partition("</output>")[0]))


def test_nothing_complains(report: Path, tmp_path: Path) -> None:
    """Nothing is written to the console: no error, and nothing that the page's own policy had to stop."""
    shown = browser.show(report, tmp_path)

    assert shown.console == []
    assert "<svg" in shown.elements


@pytest.mark.parametrize("width", [390, 1280])
def test_layout(width: int, report: Path, tmp_path: Path) -> None:
    """The body has no horizontal overflow; the answer is in sight, its table fits, and every plot within its panel."""
    found = _measured(report, width, tmp_path)

    assert found["scroll"] <= found["width"] <= width
    assert found["answer"] < 500
    assert found["table"] <= width
    assert len(found["plots"]) == 6
    for plot in found["plots"]:
        assert plot["width"] > 250
        assert plot["height"] > 40
        assert plot["left"] >= 0
        assert plot["right"] <= found["width"]
        assert plot["width"] <= plot["room"] + 1
    assert found["marks"] > 100
    assert found["background"] == "rgb(255, 255, 255)"


def test_dark_mode(report: Path, tmp_path: Path) -> None:
    """The page is dark where the reader prefers it."""
    assert _measured(report, 390, tmp_path, DARK_MODE)["background"] == "rgb(13, 17, 23)"


def test_print(report: Path, tmp_path: Path) -> None:
    """On paper, where nobody can open them, the details are open."""
    page = report.read_text(encoding="utf-8")
    policy = '<meta http-equiv="Content-Security-Policy"'  # it refuses a style that has changed
    assert policy in page
    printed = tmp_path / "printed.html"
    printed.write_text(page.replace(policy, "<meta").replace("@media print", "@media all"), encoding="utf-8")
    closed = _measured(report, 1280, tmp_path)["details"]
    opened = _measured(printed, 1280, tmp_path)["details"]

    assert len(opened) == 2
    assert all(on_paper > 2 * on_screen for on_paper, on_screen in zip(opened, closed, strict=True))


@pytest.mark.parametrize(
    "reaches_out",
    [
        '<img src="https://example.com/pixel.png">',
        '<script>fetch("https://example.com/data.json").catch(() => 0)</script>',
        '<link rel="stylesheet" href="https://fonts.googleapis.com/css">',
    ],
)
def test_policy(reaches_out: str, report: Path, tmp_path: Path) -> None:
    """The page's policy stops whatever would run or fetch something, and the browser says so."""
    page = tmp_path / "page.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", f"{reaches_out}</body>"), encoding="utf-8")

    assert "Content Security Policy" in " ".join(browser.show(page, tmp_path / "profile").console)
