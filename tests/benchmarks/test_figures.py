"""Headline figures, from results made by hand."""

from __future__ import annotations

import pytest

from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.figures import MISSED, NOT_RUN, REACHED, Figure, figures, growths
from benchmarks.measure import Summary
from benchmarks.results import Cell, Cells

# Operation, contestant or control -> median in µs at 1,000 and at 100,000 sessions.
MEDIANS = {
    ("get", INDEXED): (3.0, 4.0),
    ("get", REFERENCE): (0.3, 0.4),
    ("get", "model_copy()"): (1.5, 2.0),
    ("get", "100 dict reads"): (10.0, 20.0),
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
    values = {figure.name: (figure.value, figure.state) for figure in figures(_cells(1_000, 100_000))}

    assert values == {
        "get ÷ model_copy(), recently used, at 100,000": (4.0, MISSED),
        "get_by_channel - get, recently used, at 100,000": (9.5, MISSED),
        "list_by_agent of 100 ÷ 100 model_copy(), recently used, at 100,000": (3.0, MISSED),
        "save ÷ model_dump_json(), at 100,000": (2.0, REACHED),
        "save ÷ model_dump_json(), recently used, at 100,000": (4.0, MISSED),
        "list_by_agent: reference scan ÷ indexed, at 1,000": (1.5, REACHED),
        "list_by_agent: reference scan ÷ indexed, at 10,000": (None, NOT_RUN),
        "list_by_agent: reference scan ÷ indexed, at 100,000": (90.0, MISSED),
        "get_by_channel: reference scan ÷ indexed, at 1,000": (10.0, MISSED),
        "get_by_channel: reference scan ÷ indexed, at 100,000": (2_000.0, REACHED),
        "growth of a query ÷ growth of a dict read": (2.0, MISSED),
    }


def test_other_sizes() -> None:
    """Figures of sizes that were not run have no value, and are neither reached nor missed."""
    states = {figure.state for figure in figures(_cells(1_000)) if "1,000" not in figure.name.split(" at ")[-1].split()}

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
