"""Print the matrix as the README shows it: `python -m benchmarks.features.markdown FILE`."""

import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.features.cells import BY_HAND, NO, YES, Cell
from benchmarks.features.checks import FEATURES
from benchmarks.features.matrix import IN_MEMORY, ON_SERVER, Matrix, read

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LEGEND = (
    'Each cell is the outcome of a check that runs. "9 lines": the check passes with 9 lines of your own code. "no": '
    "it fails, short of your own index. SQLite and Redis are hand-written stores, ADK is its `InMemorySessionService`, "
    "LangGraph its `InMemorySaver`."
)


def head(matrix: Matrix) -> list[str]:
    """Return the names of the columns. sessiondex has one, in memory and on a server."""
    return ["feature", "sessiondex", *[name for name in matrix.versions if name not in {IN_MEMORY, ON_SERVER}]]


def body(matrix: Matrix) -> tuple[list[list[str]], list[str]]:
    """Return the rows, with numbers of footnotes in the cells, and the footnotes."""
    notes: list[str] = []

    def text(cell: Cell) -> str:
        words = f"{cell.lines} lines" if cell.outcome == BY_HAND else cell.outcome
        if cell.note is None:
            return words
        if cell.note not in notes:
            notes.append(cell.note)
        return words + str(notes.index(cell.note) + 1).translate(_SUPERSCRIPTS)

    rows = []
    for feature, title in FEATURES.items():
        row = matrix.cells[feature]
        ours = [text(row[name]) for name in (IN_MEMORY, ON_SERVER) if name in row]
        if len(set(ours)) > 1:  # what both have must not depend on where it is stored, but for this
            assert (row[IN_MEMORY].outcome, row[ON_SERVER].outcome) == (NO, YES), feature
            ours = ["on a server"]
        rows.append([title, ours[0], *[text(row[name]) for name in head(matrix)[2:]]])
    return rows, [f"{str(number).translate(_SUPERSCRIPTS)} {note}" for number, note in enumerate(notes, 1)]


def to_markdown(matrix: Matrix) -> str:
    """Return the table, the legend, the footnotes and the versions."""
    rows, notes = body(matrix)
    lines = [f"|{'|'.join(row)}|" for row in (head(matrix), ["---"] * len(head(matrix)), *rows)]
    return "\n".join([*lines, "", f"{LEGEND} {' '.join(notes)} {versions(matrix)}"])


def versions(matrix: Matrix) -> str:
    """Return a sentence with everything that was checked."""
    names: dict[str, None] = {matrix.python: None}
    for text in matrix.versions.values():
        names.update(dict.fromkeys(text.split(", ")))
    return f"Checked by `nox -s features`, with {', '.join(names)}."


def show(matrix: Matrix, out: Console) -> None:
    """Print the matrix and the lists to a terminal."""
    rows, notes = body(matrix)
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)  # fits 80 columns
    for name in head(matrix):
        width = 15 if name == "feature" else max(len(name), len(BY_HAND))
        table.add_column(name, width=width)
    for row in rows:
        table.add_row(*row)
    out.print(table, LEGEND, *notes, versions(matrix), sep="\n")
    if matrix.lists:
        times = Table("list of a customer", "sessions", "subject", "results", "median ms", box=box.SIMPLE_HEAD)
        for each in matrix.lists:
            median = f"{each['milliseconds']:,.3f}"
            times.add_row(each["question"], f"{each['sessions']:,}", each["subject"], str(each["results"]), median)
        out.print(times)


if __name__ == "__main__":
    print(to_markdown(read(Path(sys.argv[1]))))
