"""Print the tables of a run as Markdown: `python -m benchmarks.report.markdown bench-results/results.json`.

Names of parts after the file, such as `lookups memory`, print only the tables of these parts.
"""

import re
import sys
from pathlib import Path

from benchmarks.report.table import Table
from benchmarks.report.tables import tables
from benchmarks.run import Run

_CODE = re.compile(r"\b(\w+_\w+(?:\(\))?|get|save|delete|update)\b(?!:)")


def to_markdown(table: Table) -> str:
    """Return the title and the table; names of methods are code, and marked cells are bold."""
    lines = [table.head, ["---"] * len(table.head)]
    for number, row in enumerate(table.rows):
        cells = [f"**{cell}**" if (number, place) in table.marks else cell for place, cell in enumerate(row)]
        lines.append([_CODE.sub(r"`\1`", cells[0]), *cells[1:]])
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table.title}:\n\n{body}\n"


if __name__ == "__main__":
    for shown in tables(Run.read(Path(sys.argv[1]))):
        if len(sys.argv) == 2 or shown.part in sys.argv[2:]:
            print(to_markdown(shown))
