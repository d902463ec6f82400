"""The report: a page and a plot that stand alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import lookup, replay
from benchmarks.machine import machine, versions
from benchmarks.measure import Budget
from benchmarks.progress import QuietProgress
from benchmarks.run import Run
from benchmarks.traces import generate

pytest.importorskip("altair", reason="the bench group is not installed")
pytest.importorskip("vl_convert", reason="the bench group is not installed")


async def _run() -> Run:
    cells = await lookup.run([30, 60], 1, Budget(seconds=1, most_calls=2, least_calls=1), QuietProgress())
    replays = await replay.run(generate(3, 1), 3, 1, QuietProgress())
    return Run("2025-06-01", "python -m benchmarks <&>", 1, 2.0, machine(), versions(), 0.1, cells, replays)


async def test_report(tmp_path: Path) -> None:
    """The page shows every part, fetches nothing and escapes what it shows; the plot has a panel for each operation."""
    from benchmarks.report import write_report  # noqa: PLC0415  # needs altair

    run = replace(await _run(), date="2025-06-02")
    paths = write_report(run, tmp_path)
    page, svg = (path.read_text(encoding="utf-8") for path in paths)

    assert [path.name for path in paths] == ["report.html", "lookup.svg"]
    for part in (
        "2025-06-02",
        "Headline figures: ",
        "Conversations replayed",
        "python -m benchmarks &lt;&amp;&gt;",
    ):
        assert part in page
    assert not re.search(r"<(script|link)[^>]*(src|href)\s*=", page)
    for operation in ("get_by_channel", "find_sessions_by_step_hash", "save"):
        assert operation in svg
