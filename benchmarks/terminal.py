"""The tables at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import services
from benchmarks.alone import Footprint
from benchmarks.contest import KEYS, Contest
from benchmarks.contestants import INDEXED, REFERENCE, SCAN_STORE
from benchmarks.figure import MISSED, REACHED, Figure
from benchmarks.figures import Growth, speed_up
from benchmarks.flood import Flood
from benchmarks.measure import Summary
from benchmarks.mixes import Mix
from benchmarks.operations import OPERATIONS
from benchmarks.remote.tables import tables
from benchmarks.replay import OPERATIONS as REPLAYED_OPERATIONS
from benchmarks.results import Cells, Replayed
from benchmarks.run import Run
from benchmarks.sessions import UNIFORM, ZIPF
from benchmarks.traffic import SAVES
from benchmarks.words import Shown, duration, times

_WIDTH = 120
_COLOURS = {REACHED: "green", MISSED: "red"}


def console() -> Console:
    """Return the terminal; where there is none, one that is wide enough for the tables."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=_WIDTH)


def show(out: Console, run: Run) -> None:
    """Print everything that the run found, the headline last, where it stays in sight."""
    out.print(_lookup_table(run.cells))
    if run.growths:
        out.print(_growth_table(run.growths))
    out.print(_services_table(run.cells))
    out.print(_replay_table(run.replay))
    out.print(_footprints_table(run.scale.footprints))
    out.print(_peers_table(run.contest))
    out.print(_mixes_table(run.mixes))
    out.print(_floods_table(run.floods))
    for shown in tables(run.remote):
        out.print(plain_table(shown))
    out.print(_figures_table(run.figures))


def marked(summary: Summary | None, indexed: Summary | None) -> str:
    """Return the median as a duration, with an asterisk if it is less than that of the indexed store."""
    if summary is None:
        return "-"
    faster = indexed is not None and summary.median < indexed.median
    return duration(summary.median) + ("*" if faster else "")


def verdict(factor: float | None) -> str:
    """Return who is faster and how many times, given the cost of the reference scan over that of the indexed store.

    >>> verdict(20.0), verdict(0.25)
    ('index 20 x', 'scan 4.0 x')
    """
    if factor is None:
        return "-"
    return f"index {times(factor)} x" if factor >= 1 else f"scan {times(1 / factor)} x"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _lookup_table(cells: Cells) -> Table:
    table = _table(
        "Cost of a call: median µs, uniform keys unless it says zipf; * is faster than the index",
        "operation", "sessions", "indexed", "p99", "zipf", "scan store", "reference", "faster, by",
    )  # fmt: skip
    for operation in OPERATIONS:
        for size in cells.sizes:
            indexed, scan_store, reference = (
                cells.summary(size, operation, UNIFORM, name) for name in (INDEXED, SCAN_STORE, REFERENCE)
            )
            factor = speed_up(cells, size, operation)
            table.add_row(
                operation if size == cells.sizes[0] else "",
                f"{size:,}",
                marked(indexed, indexed),
                duration(indexed.p99 if indexed else None),
                duration(cells.median(size, operation, ZIPF, INDEXED)),
                marked(scan_store, indexed),
                marked(reference, indexed),
                Text(verdict(factor), "yellow" if factor is not None and factor < 1 else ""),
            )
        table.add_section()
    return table


def _growth_table(grown: Sequence[Growth]) -> Table:
    title = f"Cost at {grown[0].largest:,} sessions, as a multiple of the cost at {grown[0].smallest:,}"
    table = _table(title, "operation", "indexed", "for each session of the result", "reference")
    for growth in grown:
        multiples = (growth.indexed, growth.indexed_per_session, growth.reference)
        table.add_row(growth.operation, *[times(multiple) for multiple in multiples])
    return table


def _services_table(cells: Cells) -> Table:
    table = _table(
        "What services ask: median µs, uniform keys; * is faster than the index",
        "operation", "sessions", "indexed", "p99", "reference", "faster, by",
    )  # fmt: skip
    for operation in services.OPERATIONS:
        for size in cells.sizes:
            indexed, reference = (cells.summary(size, operation, UNIFORM, name) for name in services.STORES)
            factor = speed_up(cells, size, operation)
            table.add_row(
                operation if size == cells.sizes[0] else "",
                f"{size:,}",
                marked(indexed, indexed),
                duration(indexed.p99 if indexed else None),
                marked(reference, indexed),
                Text(verdict(factor), "yellow" if factor is not None and factor < 1 else ""),
            )
        table.add_section()
    return table


def _replay_table(replays: Sequence[Replayed]) -> Table:
    columns = [f"{replayed.contestant}, {replayed.conversations:,} conversations" for replayed in replays]
    table = _table("Conversations replayed: µs a call, median and p99", "", *columns)
    for operation in REPLAYED_OPERATIONS:
        summaries = [replayed.operations.get(operation) for replayed in replays]
        table.add_row(operation, *[f"{duration(s.median)}  {duration(s.p99):>6}" if s else "-" for s in summaries])
    table.add_section()
    table.add_row("turns", *[f"{replayed.turns:,}" for replayed in replays])
    table.add_row("turns a second", *[f"{replayed.turns_per_second:,.0f}" for replayed in replays])
    table.add_row("sessions at a step", *[f"{sum(replayed.sessions_by_step.values()):,}" for replayed in replays])
    table.add_row("steps they stand at", *[f"{len(replayed.sessions_by_step):,}" for replayed in replays])
    return table


def _footprints_table(footprints: Sequence[Footprint]) -> Table:
    table = _table(
        f"Alone in a process: memory, full collection, longest gaps of the loop while loading and at {SAVES:,} saves/s",
        "", "sessions", "B a session", "collection", "loaded/s", "loading", "saves/s", "p99.9", "longest",
    )  # fmt: skip
    for footprint in footprints:
        traffic = footprint.traffic
        table.add_row(
            footprint.variant,
            f"{footprint.sessions:,}",
            "-" if footprint.bytes_per_session is None else f"{footprint.bytes_per_session:,.0f}",
            f"{times(footprint.collection)} ms",
            f"{footprint.loaded_per_second:,.0f}",
            f"{times(footprint.loading.longest)} ms",
            f"{min(each.saves_done for each in traffic):,.0f}" if traffic else "-",
            f"{times(max(each.gaps.p999 for each in traffic))} ms" if traffic else "-",
            f"{times(max(each.gaps.longest for each in traffic))} ms" if traffic else "-",
        )
    return table


def _peers_table(contest: Contest) -> Table:
    cells, names = Cells(contest.cells), [peer.name for peer in contest.peers if peer.version is not None]
    title = f"Among its peers, {contest.sessions:,} sessions: median µs, uniform keys first; * is faster than the index"
    table = _table(title, "operation", *names)
    for operation in OPERATIONS:
        for place, keys in enumerate(KEYS):
            ours, *others = (cells.summary(contest.sessions, operation, keys, name) for name in names)
            costs = [marked(summary, ours) for summary in (ours, *others)]
            table.add_row(f"  {keys} keys" if place else operation, *costs)
    return table


def _mixes_table(mixes: Sequence[Mix]) -> Table:
    names = list(dict.fromkeys(mix.contestant for mix in mixes))
    rates: dict[str, dict[str, float]] = {}
    for mix in mixes:
        rates.setdefault(f"{mix.name}: {mix.title}", {})[mix.contestant] = mix.calls_per_second
    table = _table("Mixes of operations: calls a second", "", *names)
    for title, of in rates.items():
        table.add_row(title, *[f"{of[name]:,.0f}" if name in of else "-" for name in names])
    return table


def _floods_table(floods: Sequence[Flood]) -> Table:
    table = _table("Ids that collide: their cost as a multiple of that of random ids", "", "insert", "look up")
    for flood in floods:
        table.add_row(f"{flood.ids:,} {flood.kind} ids", times(flood.insert_ratio), times(flood.look_up_ratio))
    return table


def plain_table(shown: Shown) -> Table:
    """Return the table for the terminal."""
    table = _table(shown.title, *shown.head)
    for row in shown.rows:
        table.add_row(*row)
    return table


def _figures_table(figures: Sequence[Figure]) -> Table:
    table = _table("Headline figures", "figure", "value", "target", "")
    for figure in figures:
        value = "-" if figure.value is None else f"{times(figure.value)} {figure.unit}"
        table.add_row(figure.name, value, figure.target, Text(figure.state, _COLOURS.get(figure.state, "dim")))
    return table
