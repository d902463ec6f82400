"""The page about the kit lists every case under its law."""

from __future__ import annotations

import re
from pathlib import Path

from sessiondex import contract
from sessiondex.testing import CASES

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
LAWS = {
    int(number): title
    for number, title in re.findall(r"^(\d+)\. +\*\*(.+?)\.?\*\*", contract.__doc__ or "", re.MULTILINE)
}


def make_table() -> str:
    """Return the table as the page must have it."""
    rows = ["| law | cases |", "|---|---|"]
    for law in (*LAWS, None):
        title = f"{law}. {LAWS[law]}" if law else "one operation"
        rows.append(f"| {title} | {', '.join(f'`{one.name}`' for one in CASES if one.law == law)} |")
    return "\n".join(rows)


def test_the_page_has_each_case_under_its_law() -> None:
    """A failed assertion shows the right table."""
    assert set(LAWS) == set(range(1, 19))
    heading = "## Laws and cases\n\n"

    assert PAGE.read_text().partition(heading)[2].strip() == make_table()
