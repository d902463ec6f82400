"""Print the tables of a run as Markdown: `python -m benchmarks.report.markdown bench-results/results.json`.

Names of parts after the file, such as `lookups memory`, print only the tables of these parts. `answer` prints the
answer, and `readme` the table of the README.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmarks.report.answer import answer, readme
from benchmarks.report.table import Table
from benchmarks.report.tables import PARTS, tables
from benchmarks.run import Run

_CODE = re.compile(r"\b(\w+_\w+(?:\(\))?|get|save|delete|update)\b(?!:)")
_TEXTS = {"answer": answer, "readme": readme}


def to_markdown(table: Table) -> str:
    """Return the title and the table; names of methods are code, and marked cells are bold."""
    lines = [table.head, ["---", *["---" if table.is_prose else "---:"] * (len(table.head) - 1)]]
    for number, row in enumerate(table.rows):
        cells = [f"**{cell}**" if (number, place) in table.marks else cell for place, cell in enumerate(row)]
        lines.append([_CODE.sub(r"`\1`", cells[0]), *cells[1:]])
    body = "\n".join(f"|{'|'.join(line)}|" for line in lines)
    return f"{table.title}:\n\n{body}\n"


def main(arguments: Sequence[str]) -> None:
    """Print the parts in the order in which they are asked for; without any, the answer and all tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report.markdown", description="Print the tables of a run as Markdown."
    )
    parser.add_argument("run", type=run_file, metavar="FILE", help="results.json of a run")
    parser.add_argument(
        "parts", type=_part, nargs="*", metavar="PART", help=f"what to print: {', '.join([*_TEXTS, *PARTS])}"
    )
    given = parser.parse_args(arguments)
    found = tables(given.run)
    for part in given.parts or ["answer", *PARTS]:
        if part in _TEXTS:
            print(_TEXTS[part](given.run), end="\n\n")
        for table in found:
            if table.part == part:
                print(to_markdown(table))


def run_file(name: str) -> Run:
    """Return the run in the file with this name, an argument of a command."""
    try:
        return Run.read(Path(name))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: cannot be read ({error.strerror})") from None
    except ValidationError:
        raise argparse.ArgumentTypeError(f"{name}: not the results of a run") from None


def _part(name: str) -> str:
    if name not in {*_TEXTS, *PARTS}:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join([*_TEXTS, *PARTS])}")
    return name


if __name__ == "__main__":
    main(sys.argv[1:])
