"""What several files say about the package is the same in each."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import sessiondex

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PYTHONS = [name for line in PROJECT["classifiers"] for name in re.findall(r"^Programming.* (3\.\d+)$", line)]


def only(pattern: str, file: str) -> str:
    """Return what the pattern's group matches in the file, which it does once."""
    [found] = re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE)
    return str(found)


def test_the_changelog_begins_with_the_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == sessiondex.__version__


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("version", sessiondex.__version__),
        ("title", PROJECT["name"]),
        ("abstract", f'"{PROJECT["description"]}"'),
        ("license", PROJECT["license"]),
        ("repository-code", PROJECT["urls"]["Source"]),
        ("url", PROJECT["urls"]["Documentation"]),
        ("  - name", PROJECT["authors"][0]["name"]),
    ],
)
def test_the_citation_agrees_with_the_package(key: str, expected: str) -> None:
    assert only(rf"^{key}: (.+)$", "CITATION.cff") == expected


def test_the_documentation_is_built_for_its_address() -> None:
    assert only(r"^site_url: (.+)$", "mkdocs.yml") == PROJECT["urls"]["Documentation"]
    assert only(r"^repo_url: (.+)$", "mkdocs.yml") == PROJECT["urls"]["Source"]
    assert only(r'^site_description: "(.+)"$', "mkdocs.yml") == PROJECT["description"]


def test_the_oldest_python_is_required() -> None:
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"


def test_the_workflow_tests_each_python() -> None:
    assert only(r"^ +python: \[(.+)\]$", ".github/workflows/tests.yml") == ", ".join(f'"{name}"' for name in PYTHONS)


def test_the_workflow_runs_each_check_of_a_change() -> None:
    commands = re.findall(r"nox -s ([^;\n}]+)", (ROOT / ".ci" / "run").read_text())
    expected = {check for line in commands for check in ([line] if "--" in line else line.split())}
    matrix = only(r"^ +session: \[(.+)\]$", ".github/workflows/tests.yml").split(", ")
    runs = re.findall(r'"(\w+)-\$\{\{ matrix\.python', (ROOT / ".github/workflows/tests.yml").read_text())
    assert {*matrix, *runs} == {check.strip() for check in expected}


@pytest.mark.parametrize("tool", ["ruff", "codespell"])
def test_the_hooks_are_of_the_versions_that_nox_runs(tool: str) -> None:
    pins = [pin for group in PYPROJECT["dependency-groups"].values() for pin in group if str(pin).startswith(tool)]
    hook = only(rf"repo: .*/{tool}\S*\n +rev: v(\S+)$", ".pre-commit-config.yaml")
    assert pins == [f"{tool}=={hook}"]
