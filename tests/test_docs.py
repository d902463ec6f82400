"""The docs name files, tests and laws that exist, and stay short."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from sessiondex.testing import CASES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sessiondex"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


@pytest.fixture(scope="module")
def laws() -> ModuleType:
    """Return `docs/laws.py`, which writes the laws into their page."""
    spec = importlib.util.spec_from_file_location("laws", ROOT / "docs" / "laws.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_tests_that_a_page_names_is_there(page: Path) -> None:
    for path in re.findall(r"`(?:tests/)?((?:[\w-]+/)+[\w]+\.py)`", page.read_text()):
        places = (ROOT / "tests" / path, ROOT / "benchmarks" / path, SOURCE / path, ROOT / path)
        assert any(place.is_file() for place in places), f"{page.name} names {path}"


def test_the_page_has_the_laws_of_the_contract(laws: ModuleType) -> None:
    """If this fails, run `python docs/laws.py`."""
    written = laws.BETWEEN_MARKERS.search(laws.PAGE.read_text())
    assert written is not None

    assert written[0] == laws.section()


def test_each_law_has_cases_and_tests(laws: ModuleType) -> None:
    assert [number for number, _, _ in laws.laws()] == list(range(1, 19))
    for number, title, _ in laws.laws():
        assert any(case.law == number for case in CASES), title
        assert laws.test_files(number), title


def test_the_guide_to_the_source_lists_each_file_once() -> None:
    """Packages such as `testing/` have one line."""
    guide = (ROOT / "CONTRIBUTING.md").read_text().partition("## Read the source")[2].partition("## Tests")[0]
    _, _, listed = guide.partition("**Follow a `save`**")
    entries = re.findall(r"`([\w/]+(?:\.py|/))`", listed)
    packages = tuple(entry for entry in entries if entry.endswith("/") and "lua" not in entry)
    files = [path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]

    assert sorted(entry for entry in entries if entry.endswith(".py") and entry != "keys.py") == sorted(
        file for file in files if not file.startswith(packages)
    )


def test_a_newcomer_can_read_the_docs() -> None:
    """Whoever adds a page removes another."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    words = {page.name: len(page.read_text().split()) for page in pages}

    assert words["README.md"] <= 900
    assert sum(words.values()) <= 12_000
