"""Build every table of a run once, for the terminal, the page and Markdown."""

from collections.abc import Callable, Iterator, Sequence

from benchmarks.report.answer import speed_up_table
from benchmarks.report.journal import journal_tables
from benchmarks.report.table import Table, duration, factor, is_scan_faster, median_and_p99, medians, verdict, whole
from benchmarks.run import Cells, Run
from benchmarks.scenarios.controls import CONTROLS
from benchmarks.scenarios.footprint import MIN_WEIGHED, WITHOUT_CACHE, Footprint
from benchmarks.scenarios.indexes import BY_FIELD, GET_BY_FIELD, IndexResults
from benchmarks.scenarios.lookups import PeerResults
from benchmarks.scenarios.mixes import Mix
from benchmarks.scenarios.operations import BY_CUSTOMER, OPERATIONS, SAVE, SERVICES
from benchmarks.scenarios.own_fields import WITH_INDEXES, WITHOUT_INDEXES
from benchmarks.scenarios.replay import OPERATIONS as REPLAY_OPERATIONS
from benchmarks.scenarios.servers.scenario import ServerResults
from benchmarks.scenarios.sessions import RECENT, UNIFORM
from benchmarks.scenarios.traffic import SAVES_PER_SECOND
from benchmarks.stores.subjects import INDEXED, KINDS, REFERENCE, SCAN_STORE

PARTS = {
    "speedups": "The answer at each size",
    "lookups": "Each operation",
    "memory": "Memory and pauses",
    "replay": "Conversations replayed",
    "services": "Pages, counts and updates",
    "peers": "Peers",
    "mixes": "Mixes of operations",
    "floods": "Ids that collide",
    "indexes": "Indexes of own fields",
    "servers": "Redis store on a server",
    "journal": "Journal on disk",
    "details": "Details",
}
"""The headings of the parts, in the order of the report."""
_MARKED = "* marks what is faster than the indexed store."


def tables(run: Run) -> list[Table]:
    """Return the tables of all parts that were run, in the order of the report."""
    return list(_tables(run))


def _tables(run: Run) -> Iterator[Table]:
    cells = Cells(run.lookups)
    if run.lookups:
        yield speed_up_table(cells)
        yield _lookup_table(cells, OPERATIONS, "lookups", "Each operation")
    if run.footprints:
        yield _footprint_table(run.footprints)
    if run.replays:
        yield _replay_table(run)
    if any(cell.operation in SERVICES for cell in run.lookups):
        yield _lookup_table(cells, SERVICES, "services", "Pages, counts and updates")
    if run.peers:
        yield from (_peer_table(run.peers, keys) for keys in (UNIFORM, RECENT))
        yield _peers_described(run.peers)
    yield from _tables_of_options(run)
    if run.lookups:
        yield _detail_table(cells)
        yield _control_table(cells)


def _tables_of_options(run: Run) -> Iterator[Table]:
    if run.mixes:
        yield _mix_table(run.mixes)
    if run.floods:
        yield _flood_table(run)
    if run.indexes:
        yield _index_table(run.indexes)
    if run.servers:
        yield from _server_tables(run.servers)
    if run.journal:
        yield from journal_tables(run.journal)


def _lookup_table(cells: Cells, operations: Sequence[str], part: str, title: str) -> Table:
    sizes, rows, marks = cells.sizes, [], set()
    for number, operation in enumerate(operations):
        pairs = [[cells.summary(size, operation, name) for name in (INDEXED, REFERENCE)] for size in sizes]
        factors = [cells.factor(size, operation, REFERENCE) for size in sizes]
        rows.append([operation, verdict(factors[-1]), *[medians(*pair) for pair in pairs]])
        marks |= {(number, 2 + place) for place, ratio in enumerate(factors) if is_scan_faster(ratio)}
    return Table(
        part,
        f"{title}: median µs per call, indexed / linear scan",
        ["operation", f"faster at {sizes[-1]:,}", *[f"{size:,} sessions, µs" for size in sizes]],
        rows,
        note=f"Uniform keys. Scans that take long are called five times. {_MARKED}",
        marks=marks,
        optional=(*range(3, len(sizes) + 1), *([2] if len(sizes) > 1 else [])),
    )


def _footprint_table(footprints: Sequence[Footprint]) -> Table:
    def traffic(value: Callable[[Footprint], list[float]], text: Callable[[float], str]) -> list[str]:
        return [" / ".join(map(text, value(each))) or "-" for each in footprints]

    smaller = [place for place, each in enumerate(footprints, 1) if each.sessions < footprints[-1].sessions]
    without_cache = [place for place, each in enumerate(footprints, 1) if each.variant == WITHOUT_CACHE]
    due = f"saves/s, of {SAVES_PER_SECOND:,} due"
    rows = [
        ["bytes per session", *[whole(each.bytes_per_session) for each in footprints]],
        ["cached sessions", *[whole(each.cached_sessions) for each in footprints]],
        ["full collection, ms", *[factor(each.collection) for each in footprints]],
        ["collection when empty, ms", *[factor(each.collection_before) for each in footprints]],
        ["loaded, sessions/s", *[whole(each.loaded_per_second) for each in footprints]],
        ["longest loading pause, ms", *[factor(each.loading_pauses.longest) for each in footprints]],
        [due, *traffic(lambda each: [sent.saves_done for sent in each.traffic], whole)],
        ["p99.9 pause, ms", *traffic(lambda each: [t.pauses.p999 for t in each.traffic], factor)],
        ["longest pause, ms", *traffic(lambda each: [t.pauses.longest for t in each.traffic], factor)],
    ]
    return Table(
        "memory",
        "Memory and pauses, each store alone in a process",
        ["", *[f"{each.variant}, {each.sessions:,}" for each in footprints]],
        rows,
        note="Bytes are growth of resident memory. A pause is time in which the event loop serves nobody; one in "
        "1,000 is longer than p99.9. The last "
        f"three rows: {SAVES_PER_SECOND:,} sessions per second read, changed and saved, keys uniform / skewed; and 100 "
        "short lists per second, except on the reference scan, where each would be a pause itself (see lookups) and "
        "where no full collection falls into these seconds, since nothing allocates objects.",
        optional=tuple(dict.fromkeys([*smaller, *without_cache])),
    )


def _replay_table(run: Run) -> Table:
    replays = run.replays
    rows = [[name, *[median_and_p99(each.operations.get(name)) for each in replays]] for name in REPLAY_OPERATIONS]
    rows += [
        ["turns", *[whole(each.turns) for each in replays]],
        ["turns/s", *[whole(each.turns / each.seconds) for each in replays]],
        ["steps at the end", *[whole(each.steps) for each in replays]],
    ]
    return Table(
        "replay",
        "Conversations replayed: µs per call, median / p99",
        ["", *[f"{each.subject}, {each.conversations:,}" for each in replays]],
        rows,
        note="Many users at a time, their turns mixed: find the session, change it, save it. Heads give the number of "
        "conversations. With a few hundred, the reference scan gets more turns done, since its saves cost nothing; its "
        "lookups grow with every conversation. The scan store is the library's own store without an index. The stores "
        "gave the same answers, and each session was at the step where its conversation ended.",
        optional=(2, len(replays), 3),
    )


def _peer_table(peers: PeerResults, keys: str) -> Table:
    cells = Cells(peers.cells)
    names = [name for name, version in peers.versions.items() if version is not None]
    rows, marks = [], set()
    for number, operation in enumerate(OPERATIONS):
        rows.append([operation, *[duration(cells.median(peers.sessions, operation, name, keys)) for name in names]])
        ratios = [cells.factor(peers.sessions, operation, name, keys) for name in names]
        marks |= {(number, 1 + place) for place, ratio in enumerate(ratios) if is_scan_faster(ratio)}
    title = f"Peers at {peers.sessions:,} sessions, {keys} keys: median µs per call"
    head = ["operation, µs", *names]
    return Table("peers", title, head, rows, note=_MARKED, marks=marks, optional=tuple(range(2, len(head))))


def _peers_described(peers: PeerResults) -> Table:
    rows = [
        [name, version or "not installed", KINDS[name].hands_out, KINDS[name].remark]
        for name, version in peers.versions.items()
    ]
    head = ["", "version", "hands out", "how it is used"]
    return Table("peers", "What the peers are", head, rows, optional=(1,), is_prose=True)


def _mix_table(mixes: Sequence[Mix]) -> Table:
    names = list(dict.fromkeys(mix.subject for mix in mixes))
    rates: dict[str, dict[str, float]] = {}
    for mix in mixes:
        rates.setdefault(f"{mix.name}: {mix.title}", {})[mix.subject] = mix.calls_per_second
    rows = [[title, *[whole(rate.get(name)) for name in names]] for title, rate in rates.items()]
    title = f"Mixes of operations at {mixes[0].sessions:,} sessions: calls per second"
    note = "Most calls ask for the same few sessions (Zipf's law). A save follows a read that only F times."
    marks = {
        (number, 1 + place)
        for number, rate in enumerate(rates.values())
        for place, name in enumerate(names)
        if is_scan_faster(rate[INDEXED] / rate[name])
    }
    head = ["mix, calls/s", *names]
    note = f"{note} {_MARKED}"
    return Table("mixes", title, head, rows, note=note, marks=marks, optional=tuple(range(len(names), 1, -1)))


def _flood_table(run: Run) -> Table:
    rows = [
        [
            f"{flood.ids:,} {flood.kind} ids",
            f"{flood.insert_colliding:.2f} / {flood.insert_random:.2f}",
            f"{factor(flood.insert_colliding / flood.insert_random)}x",
            f"{flood.lookup_colliding:.2f} / {flood.lookup_random:.2f}",
            f"{factor(flood.lookup_colliding / flood.lookup_random)}x",
        ]
        for flood in run.floods
    ]
    head = ["", "save, s", "ratio", "look up, s", "ratio"]
    note = "A dict by UUID would compare each of the colliding ids with all before it."
    return Table("floods", "Ids that collide / random ids: seconds for all", head, rows, note=note)


def _index_table(indexes: IndexResults) -> Table:
    cells = Cells(indexes.cells)
    bytes_per_session = {(each.variant, each.sessions): each.bytes_per_session for each in indexes.footprints}
    timed = {
        "save without indexes": (SAVE, WITHOUT_INDEXES),
        "save with two": (SAVE, WITH_INDEXES),
        "list_by_customer": (BY_CUSTOMER, WITH_INDEXES),
        "list_by_field": (BY_FIELD, WITH_INDEXES),
        "list_by_field, scan store": (BY_FIELD, SCAN_STORE),
        "get_by_field": (GET_BY_FIELD, WITH_INDEXES),
    }
    weighed = {"bytes per session without": WITHOUT_INDEXES, "bytes per session with two": WITH_INDEXES}
    rows = [[label, *[duration(cells.median(size, *cell)) for size in cells.sizes]] for label, cell in timed.items()]
    rows += [
        [label, *[whole(bytes_per_session.get((name, size))) for size in cells.sizes]]
        for label, name in weighed.items()
    ]
    return Table(
        "indexes",
        "Indexes of two own fields: median µs per call, and bytes",
        ["sessions", *[f"{size:,}" for size in cells.sizes]],
        rows,
        note="Two classes with the same two fields, an e-mail and two order ids: one indexes both. A list by field has "
        "the same sessions as the list by customer: those with an order that all sessions of the customer have. "
        "Each e-mail is of one session. Bytes are growth of resident memory, each store alone in a process, from "
        f"{MIN_WEIGHED:,} sessions on.",
        optional=tuple(range(2, len(cells.sizes))),
    )


def _detail_table(cells: Cells) -> Table:
    operations = [
        name for name in (*OPERATIONS, *SERVICES) if any(cells.summary(size, name, INDEXED) for size in cells.sizes)
    ]
    rows = []
    for operation in operations:
        for size in cells.sizes:
            indexed = cells.summary(size, operation, INDEXED)
            rows.append(
                [
                    operation,
                    f"{size:,}",
                    median_and_p99(indexed),
                    median_and_p99(cells.summary(size, operation, INDEXED, RECENT)),
                    median_and_p99(cells.summary(size, operation, SCAN_STORE)),
                    median_and_p99(cells.summary(size, operation, REFERENCE)),
                    f"{indexed.results:,.1f}" if indexed else "-",
                ]
            )
    return Table(
        "details",
        "Every operation: µs per call, median / p99",
        ["operation", "sessions", "indexed", "recently used", "scan store", "reference scan", "results"],
        rows,
        note="Recently used: the indexed store with the same four sessions again and again. The scan store is "
        "ScanSessionStore: the same contract as the indexed store, without an index. p99 needs 100 calls.",
        optional=(6, 4, 3),
    )


def _control_table(cells: Cells) -> Table:
    rows = []
    for operation, control in CONTROLS.items():
        for size in cells.sizes:
            ours, other = (cells.summary(size, operation, name, RECENT) for name in (INDEXED, control))
            if ours and other:
                ratio = (ours.median / max(ours.results, 1)) / (other.median / max(other.results, 1))
                label = f"{operation} / {control}"
                rows.append([label, f"{size:,}", duration(ours.median), duration(other.median), f"{factor(ratio)}x"])
    return Table(
        "details",
        "Beside pydantic's own copy and dump: median µs, recently used sessions",
        ["", "sessions", "store, µs", "pydantic, µs", "ratio"],
        rows,
        note="Ratios are per session of the result. model_copy() is shallow.",
    )


def _server_tables(servers: ServerResults) -> Iterator[Table]:
    """Yield the tables of rates, latencies, round trips, workers and bytes."""
    versions = ", ".join(f"{name} {version}" for name, version in servers.versions.items())
    yield Table(
        "servers",
        f"Redis store, {servers.tasks} tasks over loopback, {servers.sessions:,} sessions",
        ["call", "calls/s", "of the bare call", "client, µs/call", "server, µs/call", "one task, µs/call"],
        [
            [
                rate.call,
                whole(rate.per_second),
                "-" if rate.of_bare is None else f"{100 * rate.of_bare:.0f} %",
                duration(rate.client_cpu),
                duration(rate.server_cpu),
                duration(rate.one_task),
            ]
            for rate in servers.rates
        ],
        note=f"{versions}. The bare client reads and writes the same bytes with redis-py. Client and server: "
        "processor time. One task: the time of a call when a single task makes one after the other.",
        optional=(4, 3),
    )
    yield Table(
        "servers",
        "Redis store: round trips per call",
        ["operation", "waited for", "afterwards", "sent, B", "received, B"],
        [
            [trips.operation, f"{trips.waited:g}", f"{trips.afterwards:g}", whole(trips.sent), whole(trips.received)]
            for trips in servers.trips
        ],
        note="Counted by a relay between client and server.",
        optional=(3, 4),
    )
    yield Table(
        "servers",
        "Worker processes that share conversations through one server",
        ["workers", "conversations", "turns", "turns/s"],
        [
            [f"{each.workers}", whole(each.conversations), whole(each.turns), whole(each.per_second)]
            for each in servers.workers
        ],
        note="In the end each conversation had every turn exactly once. A session takes "
        f"{whole(servers.bytes_per_session)} bytes on the server, with its index entries.",
    )
