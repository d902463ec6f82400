"""The docs name files and tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sessiondex"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
        assert (ROOT / path).is_file(), f"{page.name} names {path}"
        if name:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{page.name} names {path}::{name}"


def test_the_promises_name_the_tests_that_show_them() -> None:
    assert len(re.findall(r"`tests/[\w/]+\.py", (ROOT / "docs" / "promises.md").read_text())) > 25


def test_the_reading_order_names_each_file_after_those_that_it_imports() -> None:
    """Packages such as `testing/` have one line."""
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    order = re.findall(r"^\| `([\w/]+\.py|[\w/]+/)` \|", page, re.MULTILINE)
    packages = tuple(entry for entry in order if entry.endswith("/"))
    files = [str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]
    listed = [entry for entry in order if entry.endswith(".py")]
    assert sorted(file for file in files if not file.startswith(packages)) == sorted(listed)

    for position, file in enumerate(listed):
        for node in ast.walk(ast.parse((SOURCE / file).read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sessiondex"):
                modules = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
                imported = {"/".join(module.split(".")[1:]) + ".py" for module in modules}
                assert not imported & set(listed[position:]), file
