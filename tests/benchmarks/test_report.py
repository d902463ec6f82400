"""The report: a page and plots that stand alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.small_run import small_run

pytest.importorskip("altair", reason="the bench group is not installed; `nox -s page` has it")
pytest.importorskip("vl_convert", reason="the bench group is not installed; `nox -s page` has it")


def test_report(tmp_path: Path) -> None:
    """The page shows every part, fetches nothing and escapes what it shows; each plot is also a picture of its own."""
    from benchmarks.report import write_report  # noqa: PLC0415  # needs altair

    report, *pictures = write_report(small_run(), tmp_path)
    page = report.read_text(encoding="utf-8")
    svgs = {picture.stem: picture.read_text(encoding="utf-8") for picture in pictures}

    assert report.name == "report.html"
    assert list(svgs) == ["lookup", "growth", "memory", "gaps", "peers", "mixes"]
    for part in (
        "2025-06-02",
        "Headline figures: ",
        "What services ask",
        "list_by_agent, 20 from half-way",
        "Stalls of the event loop",
        "Among its peers",
        "Mixes of operations",
        "Conversations replayed",
        "Ids that collide",
        "Over Redis and Valkey",
        "get, no tenant given",
        "python -m benchmarks &lt;&amp;&gt;",
    ):
        assert part in page
    assert not re.search(r"<(script|link)[^>]*(src|href)\s*=\s*[\"'](?!data:)", page)
    assert "count_by_agent" not in svgs["lookup"]
    for operation in ("get_by_channel", "find_sessions_by_step_hash", "save"):
        assert operation in svgs["lookup"]
        assert operation in svgs["peers"]
    for variant in ("indexed", "indexed, none hot", "reference scan"):
        assert variant in svgs["memory"]
        assert variant in svgs["gaps"]
