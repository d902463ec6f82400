"""The tables of the store over a server, for the terminal and for the report alike."""

from __future__ import annotations

from benchmarks.contestants import INDEXED
from benchmarks.remote.all import Remote
from benchmarks.remote.latencies import BARE, NAMES, REDIS
from benchmarks.results import Cells
from benchmarks.sessions import UNIFORM
from benchmarks.words import Shown, duration, times


def tables(remote: Remote) -> list[Shown]:
    """Return all of them."""
    return [
        trips_table(remote),
        rates_table(remote),
        latencies_table(remote),
        services_table(remote),
        weight_table(remote),
    ]


def trips_table(remote: Remote) -> Shown:
    """Return the round trips of each operation."""
    title = "Over Redis and Valkey, round trips a call: waited for, and made afterwards"
    rows = [
        [trips.operation, f"{trips.waited:g}", f"{trips.afterwards:g}", f"{trips.sent:,.0f}", f"{trips.received:,.0f}"]
        for trips in remote.trips
    ]
    return Shown(title, ["operation", "round trips", "afterwards", "B sent", "B received"], rows)


def rates_table(remote: Remote) -> Shown:
    """Return the rates, and what client and server compute for a call."""
    title = f"{remote.tasks} tasks over loopback, {remote.sessions:,} sessions: calls a second, and µs computed a call"
    rows = [
        [
            rate.call,
            f"{rate.per_second:,.0f}",
            "-" if rate.of_bare is None else f"{100 * rate.of_bare:.0f} %",
            duration(rate.client_cpu),
            duration(rate.server_cpu),
        ]
        for rate in remote.rates
    ]
    return Shown(title, ["call", "a second", "of the bare call", "client", "server"], rows)


def latencies_table(remote: Remote) -> Shown:
    """Return the latencies of one task, beside those in memory."""
    title = f"One task over loopback, {remote.sessions:,} sessions: µs a call, median and p99"
    cells = Cells(remote.latencies)
    rows = []
    for name in NAMES:
        summaries = [cells.summary(remote.sessions, name, UNIFORM, lane) for lane in (INDEXED, REDIS, BARE)]
        indexed, redis, _ = summaries
        later = "-" if indexed is None or redis is None else f"{times(redis.median / indexed.median)} x"
        costs = [f"{duration(each.median)} / {duration(each.p99)}" if each else "-" for each in summaries]
        rows.append([name, *costs, later])
    return Shown(title, ["operation", "in memory", "Redis store", "bare", "Redis ÷ memory"], rows)


def services_table(remote: Remote) -> Shown:
    """Return the rates of the services, by workers."""
    title = "Workers that share conversations through one server: in the end each has every turn exactly once"
    rows = [
        [f"{each.workers}", f"{each.conversations:,}", f"{each.turns:,}", f"{each.per_second:,.0f}"]
        for each in remote.services
    ]
    return Shown(title, ["workers", "conversations", "turns", "turns a second"], rows)


def weight_table(remote: Remote) -> Shown:
    """Return what a session takes on the server."""
    weight = remote.weight
    title = f"On the server, {weight.sessions:,} sessions: bytes each, indexes included"
    head = ["as JSON", *weight.keys, "all that the server took"]
    return Shown(title, head, [[f"{bytes_:,.0f}" for bytes_ in (weight.json, *weight.keys.values(), weight.used)]])
