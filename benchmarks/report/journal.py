"""Build the tables of a store with a journal."""

from collections.abc import Iterator, Sequence

from benchmarks.report.table import Table, duration, factor, whole
from benchmarks.run import Cells
from benchmarks.scenarios.journal.loads import Load
from benchmarks.scenarios.journal.pauses import SAVES_PER_SECOND, Pauses
from benchmarks.scenarios.journal.reads import NEVER_SAVED, OPERATIONS, RESTORED
from benchmarks.scenarios.journal.scenario import JournalResults
from benchmarks.scenarios.lookups import Cell


def journal_tables(results: JournalResults) -> Iterator[Table]:
    """Yield the tables of saves, reads, pauses and loading."""
    yield _save_table(results)
    yield _read_table(results.reads)
    yield _pause_table(results.pauses)
    if results.loads:
        yield _load_table(results.loads)


def _save_table(results: JournalResults) -> Table:
    rows = [
        [
            rate.subject,
            whole(rate.tasks),
            whole(rate.per_second),
            f"{factor(rate.of_direct)}x",
            factor(rate.saves_per_commit),
            duration(rate.p50),
            duration(rate.p99),
        ]
        for rate in results.rates
    ]
    return Table(
        "journal",
        f"Sessions got, changed and saved by tasks; a sync of the disk takes {duration(results.sync)} ms",
        ["", "tasks", "sessions/s", "SQLite FULL = 1", "saves per commit", "save, p50 ms", "save, p99 ms"],
        rows,
        note=f"{whole(results.sessions)} sessions. Medians of several rounds, in which all take turns; ratios are of "
        "the same round. The sync is fdatasync of 4 KB appended to a file, between the rounds. A turn ends when all of "
        "it is written. SQLite directly: one connection in one thread, a commit for each save, and no index but that "
        "of the id. After a power failure, journal full and SQLite FULL have every save that returned; journal batched "
        "and SQLite NORMAL lack the last ones.",
        optional=(4, 5),
    )


def _read_table(cells: Sequence[Cell]) -> Table:
    found, (size, *_) = Cells(cells), [cell.sessions for cell in cells]
    rows = []
    for operation in OPERATIONS:
        ours, theirs = (found.median(size, operation, name) for name in (RESTORED, NEVER_SAVED))
        ratio = None if ours is None or theirs is None else ours / theirs
        rows.append([operation, duration(theirs), duration(ours), f"{factor(ratio)}x"])
    return Table(
        "journal",
        f"Reads of {size:,} sessions: median µs per call",
        ["operation", f"{NEVER_SAVED}, µs", f"{RESTORED}, µs", "ratio"],
        rows,
        note="Both stores gave the same answers before. After loading, sessions were repacked.",
    )


def _pause_table(pauses: Sequence[Pauses]) -> Table:
    rows = [
        [
            each.subject,
            whole(each.saves_per_second),
            factor(each.p99),
            factor(each.p999),
            factor(each.longest),
            factor(each.longest_of_all),
        ]
        for each in pauses
    ]
    return Table(
        "journal",
        f"Pauses of the event loop at {SAVES_PER_SECOND:,} saves/s",
        ["", "saves/s", "p99, ms", "p99.9, ms", "longest, ms", "longest of all rounds, ms"],
        rows,
        note="Medians of several rounds, in which the stores take turns. Each session is got, changed and saved by a "
        "task of its own, which starts when it is due.",
        optional=(2,),
    )


def _load_table(loads: Sequence[Load]) -> Table:
    rows = [
        ["loading, s", *[f"{each.seconds:.2f}" for each in loads]],
        ["loading, µs per session", *[duration(each.per_session) for each in loads]],
        ["longest pause while loading, ms", *[factor(each.longest_pause) for each in loads]],
        ["repacking, s", *[f"{each.repack_seconds:.2f}" for each in loads]],
        ["longest pause while repacking, ms", *[factor(each.longest_repack_pause) for each in loads]],
        ["file / sessions as JSON", *[f"{each.file_of_json:.2f}" for each in loads]],
        ["bytes per session, just loaded", *[whole(each.bytes_loaded) for each in loads]],
        ["bytes per session, repacked", *[whole(each.bytes_repacked) for each in loads]],
    ]
    return Table(
        "journal",
        "Opening a journal, each in a process of its own: seconds and bytes",
        ["sessions", *[f"{each.sessions:,}" for each in loads]],
        rows,
        note="The sessions that were loaded are those that were saved. The store can be used after loading; repacking "
        "goes on in the background. Bytes are growth of resident memory. The file was just written by another process, "
        "so it is in the memory of the system.",
        optional=tuple(range(1, len(loads))),
    )
