"""The report: a page and plots that stand alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks.small_run import small_run

pytest.importorskip("altair", reason="the bench group is not installed: `nox -s page` does that")
pytest.importorskip("vl_convert", reason="the bench group is not installed: `nox -s page` does that")

PLOTS = ["lookup", "growth", "memory", "gaps", "peers", "mixes"]


@pytest.fixture(scope="module")
async def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from benchmarks.report import write_report  # noqa: PLC0415  # needs altair

    return write_report(await small_run(), tmp_path_factory.mktemp("report"))
