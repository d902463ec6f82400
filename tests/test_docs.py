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


@pytest.fixture(scope="module", params=["laws", "fill"])
def script(request: pytest.FixtureRequest) -> ModuleType:
    """Return a script of `docs/`."""
    spec = importlib.util.spec_from_file_location(request.param, ROOT / "docs" / f"{request.param}.py")
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


@pytest.mark.parametrize("script", ["fill"], indirect=True)
def test_generated_parts_are_up_to_date(script: ModuleType) -> None:
    """If this fails, run `python docs/fill.py`."""
    assert sum(len(script.PART.findall(page.read_text())) for page in PAGES) >= 9
    for page in PAGES:
        assert page.read_text() == script.filled(page.read_text()), page.name


@pytest.mark.parametrize("script", ["fill"], indirect=True)
def test_a_part_that_was_not_run_is_empty(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "parts", lambda: {"lacking": str, "there": lambda: "text\n"})
    page = "<!-- fill: {} -->\n\nold\n\n<!-- end -->\n"

    assert script.filled(page.format("lacking")) == "<!-- fill: lacking -->\n<!-- end -->\n"
    assert script.filled(page.format("there")) == "<!-- fill: there -->\n\ntext\n\n<!-- end -->\n"


@pytest.mark.parametrize("script", ["laws"], indirect=True)
def test_each_law_has_cases_and_tests(script: ModuleType) -> None:
    assert [number for number, _, _ in script.laws()] == list(range(1, 20))
    for number, title, _ in script.laws():
        assert any(case.law == number for case in CASES), title
        assert script.test_files(number), title


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
    """A new page replaces text elsewhere."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    words = {page.name: len(page.read_text().split()) for page in pages}

    assert words["README.md"] <= 900
    # Own indexes, erasure, touch, polling and files need a place each: they added 1,200 words after all cuts. The
    # journal added 1,400: a page of 1,000, and what the API, "How it works", the guide to the source and the laws say.
    assert sum(words.values()) <= 15_850
