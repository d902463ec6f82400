"""The laws of the contract as Markdown, each with the tests that show it; `fill.py` writes them into their page.

The texts come from the docstring of `sessiondex.contract`. A test file shows a law if the first line of its docstring
names it, as in "Law 3: isolation" or "Laws 15 and 16".
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from sessiondex import contract
from sessiondex.testing import CASES

ROOT = Path(__file__).parents[1]


def laws() -> list[tuple[int, str, str]]:
    """Return number, title and text of each law."""
    found = re.findall(
        r"^(\d+)\. +\*\*(.+?)\.\*\* (.+?)(?=^\d+\. |\Z)", contract.__doc__ or "", re.DOTALL | re.MULTILINE
    )
    return [(int(number), title, " ".join(text.split())) for number, title, text in found]


def test_files(law: int) -> list[str]:
    """Return the test files that name the law in the first line of their docstring."""
    return [
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.glob("tests/**/test_*.py"))
        if law in _named_laws((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0])
    ]


def _named_laws(line: str) -> set[int]:
    named = re.findall(r"\blaws? (\d+(?:(?:, | and )\d+)*)", line, re.IGNORECASE)
    return {int(number) for numbers in named for number in re.findall(r"\d+", numbers)}


def laws_with_tests() -> str:
    """Return the laws as Markdown."""
    cases = Counter(case.law for case in CASES)
    parts = []
    for number, title, text in laws():
        files = ", ".join(f"`{file.removeprefix('tests/')}`" for file in test_files(number))
        parts.append(f"### {number}. {title}\n\n{text}\n\n*Tests:* {cases[number]} cases of the kit, {files}.\n")
    return "\n".join(parts)
