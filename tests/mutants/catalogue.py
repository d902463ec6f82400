"""All mutants, as the TOML files of this folder have them: a file for each area of the source."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sessiondex import contract

AREAS = {
    "engine": "The engine",
    "schema": "Keys and stamps",
    "records": "What is kept of a session",
    "commits": "Writes, and what they lead to",
    "stores": "Operations",
    "server": "On a server",
}
"""The names of the files, and what they are about."""

_LAW = re.compile(r"^(\d+)\.\s+\*\*(.+?)\.?\*\*", re.MULTILINE)
LAWS = {int(number): title for number, title in _LAW.findall(contract.__doc__ or "")}
"""The titles of the contract's laws."""


@dataclass(frozen=True)
class Mutant:
    """A mistake, and the test that fails because of it.

    `old` occurs once in `file`, and `new` stands in its place. What that breaks is a law, or else another promise.
    """

    name: str
    file: str
    old: str
    new: str
    killer: str
    law: int | None = None
    promise: str = ""
    area: str = ""

    @property
    def breaks(self) -> str:
        """What it breaks, in words."""
        return self.promise if self.law is None else f"law {self.law}: {LAWS[self.law].replace('`', '')}"


def mutants_of(area: str) -> list[Mutant]:
    """Return the mutants of one of the files."""
    tables = tomllib.loads((Path(__file__).parent / f"{area}.toml").read_text(encoding="utf-8"))
    return [Mutant(**table, area=area) for table in tables["mutant"]]


MUTANTS = [mutant for area in AREAS for mutant in mutants_of(area)]
