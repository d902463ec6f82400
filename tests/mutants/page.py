"""The page of the documentation that lists all mutants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.mutants.catalogue import AREAS, Mutant

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"

_HEAD = """\
# Mutants

A test that cannot fail shows nothing. So here are {count} mistakes of the kind that people make: each a small patch of
the source, with what it breaks and the test that fails because of it. They are kept in `tests/mutants/`, as TOML.

```sh
nox -s mutants
```

applies each of them to a copy of the project, one at a time, and runs the test that is named here. If that passes, so
that this page is wrong, the rest of the suite is run, but for long searches. A mutant that passes all of it has
survived: then a test is missing. Either way the command fails. Before the first mutant, the same tests have to pass on
the copy as it is, and with a patch that changes nothing but words.

It takes about {minutes} minutes; `-- --only NAME` tries one, and `-- --page` writes this page.
"""


def page_of(mutants: Sequence[Mutant], minutes: int = 6) -> str:
    """Return the page."""
    parts = [_HEAD.format(count=len(mutants), minutes=minutes)]
    for area, title in AREAS.items():
        rows = [_row(mutant) for mutant in mutants if mutant.area == area]
        parts.append(
            "\n".join([f"## {title}", "", "| mistake | in | breaks | found by |", "|---|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def _row(mutant: Mutant) -> str:
    return f"| {mutant.name} | `{mutant.file.removeprefix('src/sessiondex/')}` | {mutant.breaks} | `{mutant.killer}` |"
