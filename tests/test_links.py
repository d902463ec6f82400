"""Links by which the project points into itself lead somewhere, and the README stands alone."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
from readme_renderer import markdown

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/sessiondex/sessiondex"
FILES = rf"(?:{REPOSITORY}/(?:blob|tree|raw)|https://raw\.githubusercontent\.com/sessiondex/sessiondex)/main/"
DOCUMENTATION = "https://sessiondex.github.io/sessiondex/"
TEXTS = [
    path
    for pattern in ("*.md", "*.toml", "*.yml", "*.cff", "docs/**/*.md", ".github/**/*.*", "src/**/*.py")
    for path in ROOT.glob(pattern)
]


def links(start: str) -> list[tuple[str, str]]:
    """Return the file and the rest of each link that begins so."""
    return [
        (str(path.relative_to(ROOT)), rest)
        for path in TEXTS
        for rest in re.findall(rf"{start}([^\s)>\"'`\]]*)", path.read_text())
    ]


def anchors(page: Path) -> set[str]:
    """Return the anchors of its headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line) for line in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE))
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower())) for heading in headings}


def has_anchor(page: Path, anchor: str) -> bool:
    """Return whether the page has it; the API has one for each documented name."""
    if page == ROOT / "docs" / "api.md" and anchor.startswith("sessiondex."):
        return resolve_name(anchor) is not None
    return anchor in anchors(page)


def assert_leads_somewhere(path: Path, anchor: str, named: str) -> None:
    assert path.exists(), named
    assert not anchor or has_anchor(path, anchor), named


def test_links_to_files_lead_to_files() -> None:
    found = links(FILES)
    assert found
    for file, link in found:
        path, _, anchor = link.partition("#")
        assert_leads_somewhere(ROOT / path, anchor, f"{file} links to {link}")


def test_links_to_the_documentation_lead_to_its_pages() -> None:
    found = links(re.escape(DOCUMENTATION))
    assert found
    for file, link in found:
        page, _, anchor = link.partition("#")
        assert not page or page.endswith("/"), f"{file} links to {link}: a page's address ends with /"
        path = ROOT / "docs" / f"{page.rstrip('/') or 'index'}.md"
        assert_leads_somewhere(path, anchor, f"{file} links to {link}")


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_relative_links_lead_to_files(name: str) -> None:
    for link in re.findall(r"\]\((?!\w+:)([^)\s]*)\)", (ROOT / name).read_text()):
        path, _, anchor = link.partition("#")
        assert_leads_somewhere(ROOT / path if path else ROOT / name, anchor, f"{name} links to {link}")


def test_the_readme_has_no_link_that_breaks_on_pypi() -> None:
    page = markdown.render((ROOT / "README.md").read_text())
    assert page
    addresses = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert addresses
    assert not [address for address in addresses if not address.startswith(("https://", "#"))]
