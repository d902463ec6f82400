"""Headline figures, from results made by hand."""

from __future__ import annotations

import pytest

from benchmarks.alone import NONE_HOT, VARIANTS, Footprint
from benchmarks.collector import Pauses
from benchmarks.contest import Contest
from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.delays import delays
from benchmarks.figure import MISSED, NOT_RUN, REACHED, Figure
from benchmarks.figures import growths, lookup_figures
from benchmarks.figures_contest import contest_figures
from benchmarks.figures_scale import scale_figures
from benchmarks.measure import Summary
from benchmarks.paired import QUERIES, UNPACK
from benchmarks.peers.all import DEEP_COPY, SQLITE
from benchmarks.peers.peer import Description
from benchmarks.results import Cell, Cells
from benchmarks.scale import Scale
from benchmarks.traffic import Traffic

# Operation, contestant or control -> median in µs at 1,000 and at 100,000 sessions.
MEDIANS = {
    ("get", INDEXED): (3.0, 4.0),
    ("get", REFERENCE): (0.3, 0.4),
    ("get", "model_copy()"): (1.5, 2.0),
    ("get_by_channel", INDEXED): (4.0, 7.0),
    ("get_by_channel", "indexed get"): (3.5, 4.5),
    ("get_by_channel", REFERENCE): (40.0, 14_000.0),
    ("list_by_agent", INDEXED): (50.0, 300.0),
    ("list_by_agent", "model_copy() of each"): (20.0, 200.0),
    ("list_by_agent", REFERENCE): (75.0, 27_000.0),
    ("list_by_customer", INDEXED): (5.0, 20.0),
    ("list_by_customer", REFERENCE): (100.0, 10_000.0),
    ("save", INDEXED): (10.0, 12.0),
    ("save", "model_dump_json()"): (4.0, 6.0),
}
RESULTS = {"list_by_agent": (20.0, 100.0)}


def _cells(*sizes: int) -> Cells:
    return Cells(
        Cell(size, operation, keys, name, Summary(10, RESULTS.get(operation, (1, 1))[at], 1, median[at] * by, None, 99))
        for (operation, name), median in MEDIANS.items()
        for keys, by in (("uniform", 1), ("recently used", 2 if name == INDEXED else 1))
        for at, size in enumerate((1_000, 100_000))
        if size in sizes
    )


def test_values() -> None:
    """Each figure is the ratio or difference of medians that its name says."""
    values = {figure.name: (figure.value, figure.state) for figure in lookup_figures(_cells(1_000, 100_000))}

    assert values == {
        "get ÷ model_copy(), recently used, at 100,000": (4.0, MISSED),
        "get_by_channel - get, recently used, at 100,000": (9.5, MISSED),
        "list_by_agent of 100 ÷ 100 model_copy(), recently used, at 100,000": (3.0, MISSED),
        "save ÷ model_dump_json(), at 100,000": (2.0, REACHED),
        "save ÷ model_dump_json(), recently used, at 100,000": (4.0, MISSED),
        "list_by_agent: reference scan ÷ indexed, at 1,000": (1.5, REACHED),
        "list_by_agent: reference scan ÷ indexed, at 10,000": (None, NOT_RUN),
        "list_by_agent: reference scan ÷ indexed, at 100,000": (90.0, MISSED),
        "list_by_agent: reference scan ÷ indexed, at 1,000,000": (None, NOT_RUN),
        "get_by_channel: reference scan ÷ indexed, at 1,000": (10.0, MISSED),
        "get_by_channel: reference scan ÷ indexed, at 100,000": (2_000.0, REACHED),
    }


def test_other_sizes() -> None:
    """Figures of sizes that were not run have no value, and are neither reached nor missed."""
    states = {figure.state for figure in lookup_figures(_cells(1_000)) if not figure.name.endswith(" 1,000")}

    assert {NOT_RUN} == states


def test_growths() -> None:
    """An operation's growth is also given for each session of the result, since an agent's list grows longer."""
    grown = {growth.operation: growth for growth in growths(_cells(1_000, 100_000))}

    assert pytest.approx((6.0, 1.2, 360.0)) == (
        grown["list_by_agent"].indexed,
        grown["list_by_agent"].indexed_per_session,
        grown["list_by_agent"].reference,
    )
    assert growths(_cells(1_000)) == []


def _scale(sessions: int) -> Scale:
    """At that many, a query costs twice what it does at 1,000, and with none hot four times; a dict read, twice."""
    queries = [
        Cell(size, query, "uniform", name, Summary(10, 10.0, 1, cost * (grown if at else 1), None, 99))
        for at, size in enumerate((1_000, sessions))
        for query in QUERIES
        for name, cost, grown in ((INDEXED, 40.0, 2), (NONE_HOT, 80.0, 4))
    ]
    controls = (("100 dict reads", 10.0, 20.0), (UNPACK, 10.0, 10.0))
    queries += [
        Cell(size, "get", "uniform", name, Summary(10, 1.0, 1, costs[at], None, 99))
        for at, size in enumerate((1_000, sessions))
        for name, *costs in controls
    ]
    return Scale(queries, [_footprint(variant, sessions) for variant in VARIANTS])


def _footprint(variant: str, sessions: int) -> Footprint:
    short, long = delays([1.0] * 999 + [20.0]), delays([1.0] * 900 + [60.0] * 100)
    pauses = [Pauses(2, 1, 3.0, 3.0)]
    traffic = [
        Traffic(keys, 5_000, 500, 1.0, done, 500.0, done > 4_950, gaps, gaps, pauses)
        for keys, done, gaps in (("uniform", 5_000.0, short), ("zipf 0.99", 4_000.0, long))
    ]
    return Footprint(variant, sessions, 2_000.0, 10, 20, 80.0, 8.0, 1.0, 9.0, short, pauses, short, traffic)


def test_scale() -> None:
    """Of two kinds of traffic the worse one counts; growth is that of the cost for each session of the result."""
    values = {figure.name: (figure.value, figure.state) for figure in scale_figures(_scale(1_000_000))}

    assert values == {
        "memory a session, at 1,000,000": (2_000.0, REACHED),
        "forced full collection, at 1,000,000": (80.0, MISSED),
        "longest loop gap while loading 1,000,000": (20.0, REACHED),
        "saves a second, at 1,000,000": (4_000.0, MISSED),
        "loop gap p99.9 at 5,000 saves/s, at 1,000,000": (60.0, MISSED),
        "longest loop gap at 5,000 saves/s, at 1,000,000": (60.0, MISSED),
        "growth of a query ÷ growth of a dict read, default settings": (1.0, REACHED),
        "growth of a query ÷ growth of a dict read, none hot": (2.0, MISSED),
        "packed get ÷ model_validate_json() and model_copy(), at 100,000": (None, NOT_RUN),
    }


def test_scale_at_other_sizes() -> None:
    """What is said of a million sessions is not run with fewer."""
    values = {figure.name: figure.value for figure in scale_figures(_scale(100_000))}

    assert {value for name, value in values.items() if "1,000,000" in name} == {None}
    assert values["packed get ÷ model_validate_json() and model_copy(), at 100,000"] == 32


def _contest(size: int) -> Contest:
    """Ours takes 5 µs, a live peer 3 µs, SQLite and the deep-copying dict 9 µs."""
    peers = {INDEXED: ("copies", 5.0), REFERENCE: ("live references", 3.0), DEEP_COPY: ("copies", 9.0)}
    peers |= {SQLITE: ("copies", 9.0)}
    cells = [
        Cell(size, operation, keys, name, Summary(10, 1, 1, cost, None, 99))
        for name, (_, cost) in peers.items()
        for operation in ("get", "list_by_agent", "save")
        for keys in ("uniform", "recently used")
    ]
    return Contest(size, [Description(name, "1", out, "", {}) for name, (out, _) in peers.items()], cells)


def test_contest() -> None:
    """Cells are counted in which a peer is faster; single reads of recently used keys are compared in µs."""
    values = {figure.name: (figure.value, figure.state) for figure in contest_figures(_contest(100_000))}

    assert values == {
        "cells behind SQLite in memory, any operation and keys, at 100,000": (0, REACHED),
        "cells behind deep-copying dict, any operation and keys, at 100,000": (0, REACHED),
        "cells behind live references, lists, any keys, at 100,000": (2, MISSED),
        "single read - that of live references, recently used, at 100,000": (2.0, REACHED),
    }


def test_contest_of_another_size() -> None:
    """A contest with fewer sessions says nothing of the figures, which are of a hundred thousand."""
    assert {figure.value for figure in contest_figures(_contest(1_000))} == {None}


@pytest.mark.parametrize(
    ("figure", "state", "target"),
    [
        (Figure("a", 2.0, "x", 2.0, at_most=True), REACHED, "at most 2 x"),
        (Figure("a", 2.01, "µs", 2.0, at_most=True), MISSED, "at most 2 µs"),
        (Figure("a", 1000.0, "x", 1000, at_most=False), REACHED, "at least 1,000 x"),
        (Figure("a", 999.0, "x", 1000, at_most=False), MISSED, "at least 1,000 x"),
        (Figure("a", None, "x", 1000, at_most=False), NOT_RUN, "at least 1,000 x"),
    ],
)
def test_states(figure: Figure, state: str, target: str) -> None:
    """A bound is kept also by a value that is equal to it."""
    assert (state, target) == (figure.state, figure.target)
