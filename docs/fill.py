"""Write the generated parts of README and docs: `python docs/fill.py`, where the packages of the tests are installed.

A part stands between `<!-- fill: NAME -->` and `<!-- end -->`. Its sources are the docstring of the
contract and the raw results of the benchmark. `tests/test_docs.py` fails if a page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
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
        made[f"{file} answer"] = partial(answer, run)
        made[f"{file} measured"] = partial(measured, run)
        made[f"{file} readme"] = partial(readme, run)
        for part in PARTS:
            made[f"{file} {part}"] = partial(_tables_of, run, part)
    return made


def _tables_of(run: Run, part: str) -> str:
    return "\n".join(to_markdown(table) for table in tables(run) if table.part == part)


def filled(page: str) -> str:
    """Return the page with each of its parts filled; a part that the run lacks is empty.

    Raises:
        KeyError: there is no such part.
    """
    made = parts()

    def fill(part: re.Match[str]) -> str:
        text = made[part[1]]().strip()
        return "\n".join([f"<!-- fill: {part[1]} -->", *([f"\n{text}\n"] if text else []), "<!-- end -->"])

    return PART.sub(fill, page)


def main() -> None:
    """Rewrite the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
