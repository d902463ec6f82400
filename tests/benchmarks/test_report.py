"""The report: one static page, and plots that stand alone."""

import re
from html import unescape
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.report.answer import answer
from benchmarks.report.tables import PARTS, tables
from tests.benchmarks.small_run import small_run

pytest.importorskip("altair", reason="the bench group is not installed; `nox -s page` has it")
pytest.importorskip("vl_convert", reason="the bench group is not installed; `nox -s page` has it")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from benchmarks.report.page import write_report  # noqa: PLC0415  # needs altair

    return write_report(small_run(), tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def page(directory: Path) -> str:
    return (directory / "report.html").read_text(encoding="utf-8")


def test_page_has_every_table(page: str) -> None:
    """The page shows the cells of the terminal's tables, in the same order, and the answer first."""
    page = page.replace("<wbr>", "")
    text = unescape(re.sub(r"<[^>]+>", "\n", page[page.index("<main>") :]))
    lines = [line for line in text.splitlines() if line.strip()]
    tables_of_page = re.findall(r"<table.*?</table>", page, re.DOTALL)

    assert lines[1] == answer(small_run())
    by_head = {tuple(re.findall(r'<th scope="col">(.*?)</th>', table)): table for table in tables_of_page}
    for table in tables(small_run()):
        assert table.title in text
        cells = [unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", by_head[tuple(table.head)])]
        if sum(other.head == table.head for other in tables(small_run())) == 1:
            marked = {row * len(table.head) + column for row, column in table.marks}
            shown = [cell for row in table.rows for cell in row]
            assert [cell + "*" * (place in marked) for place, cell in enumerate(shown)] == cells


def test_page_order(page: str) -> None:
    """The speed-up with its plot comes first, then where the scan is faster, memory, the other parts; details last."""
    shown = [table.part for table in tables(small_run()) if table.part != "details"]
    sections = re.findall(r'<section id="(\w+)">', page)

    assert sections == [*sorted(set(shown), key=list(PARTS).index), "run", "details"]
    assert page.index('id="speedups"') < page.index('id="plot-lookup"') < page.index('id="lookups"')
    assert page.index('id="details"') < page.index("<details>")


def test_page_is_static(page: str) -> None:
    """No script, no event handler, no style attribute, and nothing that is fetched."""
    assert not re.search(r"<script|javascript:|\son\w+=|\sstyle=", page)
    assert set(re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)) == {"data:,"}
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "url(" not in page.replace("url(#", "")
    assert "default-src 'none'; style-src 'sha256-" in page
    assert "nox -s bench &lt;&amp;&gt;" in page  # escaped


def test_ids_are_unique(page: str) -> None:
    """Inline plots would otherwise refer to each other's parts."""
    ids = re.findall(r'\sid="([^"]*)"', page)

    assert len(ids) == len(set(ids))


def test_plots_are_files_too(directory: Path) -> None:
    """Each is valid XML, has a background, recolours itself in dark mode, and names stores and units."""
    svgs = {path.stem: path.read_text(encoding="utf-8") for path in directory.glob("*.svg")}

    assert {"lookup", "collection", "loading"} == svgs.keys()  # too few sessions to weigh
    for svg in svgs.values():
        ET.fromstring(svg)  # noqa: S314  # made just now
        assert "prefers-color-scheme: dark" in svg
        assert '<rect width="100%" height="100%"' in svg
        assert 'role="img" aria-label="' in svg
    for text in ("by channel", "by step", "delete", "1x: equal", "sessions", "times as fast as the linear scan"):
        assert f">{text}</text>" in svgs["lookup"]
    assert "reference scan: " in svgs["loading"]
    assert ">ms</text>" in svgs["loading"]


def test_plots_of_stored_results(tmp_path: Path) -> None:
    """The plots of README and docs are written again from stored results, those that are named or all."""
    from benchmarks.report.page import main  # noqa: PLC0415  # needs altair

    results = Path(__file__).parents[2] / "benchmarks" / "results"
    main([str(results / "million.json"), str(tmp_path / "some"), "memory"])
    main([str(results / "default.json"), str(tmp_path / "all")])

    assert [path.name for path in (tmp_path / "some").iterdir()] == ["memory.svg"]
    assert {path.stem for path in (tmp_path / "all").iterdir()} == {
        "report",
        "lookup",
        "memory",
        "collection",
        "loading",
    }


def test_sharding_plot() -> None:
    """The fullest shard is never below the mean, and splitting large tenants helps."""
    from benchmarks import sharding  # noqa: PLC0415  # needs altair

    rows = sharding.simulate(tenants=[50], draws=2)
    whole, split = ([row["fullest"] for row in rows if row["way"] == way] for way in sharding.WAYS)

    assert len(rows) == 2 * len(sharding.SHARDS)
    assert all(float(fullest) >= 1 for fullest in whole + split)
    assert float(split[-1]) < float(whole[-1]) / 2
