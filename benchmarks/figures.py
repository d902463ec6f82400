"""The headline figures: what was to be reached, and what was. Here those of the lookup; the others stand apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.controls import INDEXED_GET, MODEL_COPIES, MODEL_COPY, MODEL_DUMP_JSON
from benchmarks.figure import Figure
from benchmarks.operations import BY_AGENT, BY_CHANNEL, GET, OPERATIONS, SAVE
from benchmarks.results import Cells
from benchmarks.sessions import RECENT, UNIFORM

_AT = 100_000


@dataclass(frozen=True)
class Growth:
    """What an operation costs in the largest population, as a multiple of its cost in the smallest."""

    operation: str
    smallest: int
    largest: int
    indexed: float
    indexed_per_session: float
    """The same, for each session of the result: an agent has more of them in a larger population, up to the limit."""
    reference: float


def lookup_figures(cells: Cells) -> list[Figure]:
    """Return the headline figures of the lookup; those of sizes that were not run have no value."""
    at, recently = f"at {_AT:,}", f"{RECENT}, at {_AT:,}"
    return [
        Figure(f"get ÷ model_copy(), {recently}", _ratio(cells, GET, MODEL_COPY, RECENT), "x", 2.5, at_most=True),
        Figure(f"get_by_channel - get, {recently}", _channel_over_get(cells), "µs", 2, at_most=True),
        Figure(f"list_by_agent of 100 ÷ 100 model_copy(), {recently}", _list_of_100(cells), "x", 2, at_most=True),
        Figure(f"save ÷ model_dump_json(), {at}", _ratio(cells, SAVE, MODEL_DUMP_JSON, UNIFORM), "x", 3, at_most=True),
        Figure(
            f"save ÷ model_dump_json(), {recently}", _ratio(cells, SAVE, MODEL_DUMP_JSON, RECENT), "x", 3, at_most=True
        ),
        *_faster(cells, BY_AGENT, {1_000: 1, 10_000: 8, 100_000: 100, 1_000_000: 1_000}),
        *_faster(cells, BY_CHANNEL, {1_000: 20, 100_000: 1_000}),
    ]


def growths(cells: Cells) -> list[Growth]:
    """Return how the cost of each operation grows from the smallest population to the largest."""
    if len(cells.sizes) < 2:
        return []
    smallest, largest = cells.sizes[0], cells.sizes[-1]
    result = []
    for operation in OPERATIONS:
        small, large = (cells.summary(size, operation, UNIFORM, INDEXED) for size in (smallest, largest))
        reference = _growth(cells, operation, REFERENCE)
        if small is not None and large is not None and reference is not None:
            grown = large.median / small.median
            per_session = grown * max(small.results, 1) / max(large.results, 1)
            result.append(Growth(operation, smallest, largest, grown, per_session, reference))
    return result


def speed_up(cells: Cells, size: int, operation: str, keys: str = UNIFORM) -> float | None:
    """Return how many times faster the indexed store is than the reference scan."""
    reference, indexed = (cells.median(size, operation, keys, name) for name in (REFERENCE, INDEXED))
    return None if reference is None or indexed is None else reference / indexed


def _faster(cells: Cells, operation: str, bounds: dict[int, float]) -> Iterator[Figure]:
    for size, bound in bounds.items():
        name = f"{operation}: reference scan ÷ indexed, at {size:,}"
        yield Figure(name, speed_up(cells, size, operation), "x", bound, at_most=False)


def _ratio(cells: Cells, operation: str, control: str, keys: str) -> float | None:
    ours, theirs = (cells.median(_AT, operation, keys, name) for name in (INDEXED, control))
    return None if ours is None or theirs is None else ours / theirs


def _list_of_100(cells: Cells) -> float | None:
    """Per session, since the calls of the two lanes may have had results of different lengths."""
    ours, theirs = (cells.summary(_AT, BY_AGENT, RECENT, name) for name in (INDEXED, MODEL_COPIES))
    if ours is None or theirs is None:
        return None
    return (ours.median / ours.results) / (theirs.median / theirs.results)


def _channel_over_get(cells: Cells) -> float | None:
    by_channel, get = (cells.median(_AT, BY_CHANNEL, RECENT, name) for name in (INDEXED, INDEXED_GET))
    return None if by_channel is None or get is None else by_channel - get


def _growth(cells: Cells, operation: str, name: str) -> float | None:
    if len(cells.sizes) < 2:
        return None
    small, large = (cells.median(size, operation, UNIFORM, name) for size in (cells.sizes[0], cells.sizes[-1]))
    return None if small is None or large is None else large / small
