"""Write the generated parts of README and docs: `python docs/fill.py`, where the packages of the tests are installed.

A part stands between `<!-- fill: NAME -->` and `<!-- end -->`. Its sources are the docstring of the
contract and the raw results of the benchmark. `tests/test_docs.py` fails if a page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from laws import laws_with_tests  # noqa: E402

from benchmarks.features.markdown import to_markdown as features  # noqa: E402
from benchmarks.features.matrix import read as read_features  # noqa: E402
from benchmarks.report.answer import answer, measured, readme  # noqa: E402
from benchmarks.report.markdown import to_markdown  # noqa: E402
from benchmarks.report.tables import PARTS, tables  # noqa: E402
from benchmarks.run import Run  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PART = re.compile(r"<!-- fill: ([^\n]+?) -->\n.*?<!-- end -->", re.DOTALL)


def parts() -> Mapping[str, Callable[[], str]]:
    """Return what makes each part, by name."""
    made: dict[str, Callable[[], str]] = {
        "laws": laws_with_tests,
        "features": lambda: features(read_features(RESULTS / "features.json")),
    }
    for file in ("default", "million"):
        run = Run.read(RESULTS / f"{file}.json")
        made[f"{file} answer"] = lambda run=run: answer(run)
        made[f"{file} measured"] = lambda run=run: measured(run)
        made[f"{file} readme"] = lambda run=run: readme(run)
        for part in PARTS:
            made[f"{file} {part}"] = lambda run=run, part=part: "\n".join(
                to_markdown(table) for table in tables(run) if table.part == part
            )
    return made


def filled(page: str) -> str:
    """Return the page with each of its parts made anew.

    Raises:
        KeyError: there is no such part.
    """
    made = parts()
    return PART.sub(lambda part: f"<!-- fill: {part[1]} -->\n\n{made[part[1]]().strip()}\n\n<!-- end -->", page)


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
