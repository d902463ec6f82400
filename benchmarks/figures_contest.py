"""The headline figures of the contest: where the indexed store is behind a peer."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from benchmarks.contest import KEYS, SIZE, Contest
from benchmarks.contestants import INDEXED
from benchmarks.figure import Figure
from benchmarks.operations import BY_AGENT, BY_AGENT_STATUS, BY_CHANNEL, BY_CUSTOMER, BY_STEP, GET, OPERATIONS
from benchmarks.peers.all import DEEP_COPY, SQLITE
from benchmarks.peers.peer import LIVE
from benchmarks.results import Cells
from benchmarks.sessions import RECENT

_LISTS = (BY_AGENT, BY_AGENT_STATUS, BY_CUSTOMER, BY_STEP)
_SINGLE_READS = (GET, BY_CHANNEL)


def contest_figures(contest: Contest) -> Iterator[Figure]:
    """Give the figures of the contest; they have no value if it was held at another size, or without the peer."""
    cells = Cells(contest.cells if contest.sessions == SIZE else [])
    live = {peer.name for peer in contest.peers if peer.hands_out == LIVE}
    at = f"at {SIZE:,}"
    for name in (SQLITE, DEEP_COPY):
        behind = _behind(cells, {name}, OPERATIONS)
        yield Figure(f"cells behind {name}, any operation and keys, {at}", behind, "cells", 0, at_most=True)
    behind = _behind(cells, live, _LISTS)
    yield Figure(f"cells behind {LIVE}, lists, any keys, {at}", behind, "cells", 0, at_most=True)
    later = _furthest_behind(cells, live)
    yield Figure(f"single read - that of {LIVE}, {RECENT}, {at}", later, "µs", 3, at_most=True)


def _behind(cells: Cells, peers: Collection[str], operations: Collection[str]) -> int | None:
    """Count the cells of the peers that are faster than ours, keys drawn in either way."""
    behinds = [
        behind
        for operation in operations
        for keys in KEYS
        for peer in peers
        if (behind := _by_how_much(cells, operation, keys, peer)) is not None
    ]
    return sum(behind > 0 for behind in behinds) if behinds else None


def _furthest_behind(cells: Cells, peers: Collection[str]) -> float | None:
    """Return the most microseconds by which a single read is behind that of a peer."""
    behinds = [_by_how_much(cells, operation, RECENT, peer) for operation in _SINGLE_READS for peer in peers]
    return max((behind for behind in behinds if behind is not None), default=None)


def _by_how_much(cells: Cells, operation: str, keys: str, peer: str) -> float | None:
    ours, theirs = (cells.median(SIZE, operation, keys, name) for name in (INDEXED, peer))
    return None if ours is None or theirs is None else ours - theirs
