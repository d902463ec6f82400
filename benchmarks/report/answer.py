"""Say how many times as fast as a linear scan the index is: in sentences, a table of all sizes, and one for README."""

from collections.abc import Sequence

from benchmarks.report.table import Table, duration, factor, is_index_faster, is_scan_faster
from benchmarks.run import Cells, Run
from benchmarks.scenarios.operations import (
    BY_AGENT,
    BY_AGENT_STATUS,
    BY_CHANNEL,
    BY_CUSTOMER,
    BY_STEP,
    DELETE,
    GET,
    LIMIT,
    QUERIES,
    SAVE,
)
from benchmarks.stores.subjects import INDEXED, REFERENCE

SHORT_NAMES = {
    BY_CHANNEL: "by channel",
    BY_AGENT: "by agent",
    BY_AGENT_STATUS: "by agent + status",
    BY_CUSTOMER: "by customer",
    BY_STEP: "by step",
}
"""The lookups in heads of columns and in plots, where the names of methods do not fit."""
SCAN = "The linear scan, or reference scan, is a dict of live objects and a loop: no copies, no checks, no lock."
_BY_ID = (GET, SAVE, DELETE)
_README_ROWS = {
    BY_CHANNEL: "find a session by channel identity",
    BY_AGENT: f"list an agent's newest {LIMIT} sessions",
    BY_STEP: "list the sessions at a step",
}


def answer(run: Run) -> str:
    """Return in a few sentences how much faster the index is, and where the scan is faster."""
    cells = Cells(run.lookups)
    if not cells.sizes:
        return "This run timed no lookups."
    largest = f"{cells.sizes[-1]:,} sessions"
    ratios = [ratio for query in QUERIES if (ratio := cells.factor(cells.sizes[-1], query, REFERENCE))]
    sentences = [f"At {largest} the index answers lookups {_range(ratios)} times as fast as a linear scan."]
    if places := _places_without_gain(cells):
        sentences.append(f"The scan is as fast or faster in {_enumerate(places)}.")
    lost = {name: [is_scan_faster(cells.factor(size, name, REFERENCE)) for size in cells.sizes] for name in _BY_ID}
    if always := [name for name in _BY_ID if all(lost[name])]:
        times = [1 / ratio for name in always if (ratio := cells.factor(cells.sizes[-1], name, REFERENCE))]
        where = f"{_enumerate(always)}: {_range(times)} times as fast at {largest}"
        sentences.append(f"At every size the scan is faster at {where}.")
    if sometimes := [name for name in _BY_ID if any(lost[name]) and name not in always]:
        sentences.append(f"At some sizes the scan is faster at {_enumerate(sometimes)}.")
    return " ".join(sentences)


def _places_without_gain(cells: Cells) -> list[str]:
    """Return the sizes at which the index is not faster, each with the number of lookups."""
    slow = {
        size: sum(not is_index_faster(cells.factor(size, query, REFERENCE)) for query in QUERIES)
        for size in cells.sizes
    }
    return [f"{count} of {len(QUERIES)} lookups at {size:,} sessions" for size, count in slow.items() if count]


def speed_up_table(cells: Cells) -> Table:
    """Return how many times as fast as the scan each lookup is, a row for each number of sessions."""
    rows, marks = [], set()
    for number, size in enumerate(cells.sizes):
        ratios = [cells.factor(size, query, REFERENCE) for query in QUERIES]
        rows.append([f"{size:,}", *["-" if ratio is None else f"{factor(ratio)}x" for ratio in ratios]])
        marks |= {(number, 1 + place) for place, ratio in enumerate(ratios) if is_scan_faster(ratio)}
    return Table(
        "speedups",
        "Lookups: how many times as fast as the linear scan",
        ["sessions", *[SHORT_NAMES[query] for query in QUERIES]],
        rows,
        note=f"Medians; * marks where the scan is faster. {SCAN}",
        marks=marks,
    )


def readme(run: Run) -> str:
    """Return, as Markdown, the answer, three lookups at the largest size, where the scan is faster, and the machine."""
    cells = Cells(run.lookups)
    if not cells.sizes:
        return answer(run)
    largest = cells.sizes[-1]
    lines = [
        f"|at {largest:,} sessions, median per call|indexed|linear scan|times as fast|",
        "|---|---:|---:|---:|",
    ]
    for query, label in _README_ROWS.items():
        ours, scan = (f"{duration(cells.median(largest, query, name))} µs" for name in (INDEXED, REFERENCE))
        lines.append(f"|{label}|{ours}|{scan}|**{factor(cells.factor(largest, query, REFERENCE))}**|")
    faster = [
        f"`{name}` ({duration(cells.median(largest, name, REFERENCE))} µs against "
        f"{duration(cells.median(largest, name, INDEXED))} µs)"
        for name in _BY_ID
        if is_scan_faster(cells.factor(largest, name, REFERENCE))
    ]
    where = f"The scan is faster at {_enumerate(faster)}: it copies nothing.\n" if faster else ""
    return "\n".join([f"{_first_sentence(answer(run))}\n", *lines, "", where + measured(run)])


def measured(run: Run) -> str:
    """Return when and where the run was, and the command that repeats it, as Markdown."""
    machine = f"{run.machine['cpu']}, {run.machine['cores']} cores, {run.versions['python']}"
    return f"Measured on {run.date[:10]} with `{run.command}`: {machine}, pydantic {run.versions['pydantic']}."


def _first_sentence(text: str) -> str:
    return f"{text.partition('. ')[0].rstrip('.')}."


def setting(run: Run) -> str:
    """Return the machine and the versions in one line."""
    machine = f"{run.machine['cpu']}, {run.machine['cores']} cores, {run.machine['memory_gb']} GB, {run.machine['os']}"
    named = [version if name == "python" else f"{name} {version}" for name, version in run.versions.items()]
    return ", ".join([machine, *named])


def _range(ratios: Sequence[float]) -> str:
    """Return the smallest and the largest ratio, or one if both read the same."""
    return " to ".join(dict.fromkeys(factor(ratio) for ratio in (min(ratios), max(ratios))))


def _enumerate(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
