"""The peers, declared once, in the order of the tables."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version

from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.peers.deepcopy import DeepCopyingDict
from benchmarks.peers.peer import COPIES, LIVE, Peer, PeerStore
from benchmarks.peers.sqlite import SQLiteStore
from benchmarks.reference import ReferenceScan
from sessiondex import InMemorySessionStore

DEEP_COPY = "deep-copying dict"
SQLITE = "SQLite in memory"
DUCKS = "ducks"
LITTLETABLE = "littletable"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _python() -> str:
    return f"Python {platform.python_version()}"


def _ducks(clock: SteppedClock) -> PeerStore:
    from benchmarks.peers.ducks import DucksStore  # noqa: PLC0415  # it may not be installed

    return DucksStore(clock=clock)


def _littletable(clock: SteppedClock) -> PeerStore:
    from benchmarks.peers.littletable import LittletableStore  # noqa: PLC0415  # it may not be installed

    return LittletableStore(clock=clock)


PEERS = (
    Peer(
        INDEXED,
        lambda: version("sessiondex"),
        COPIES,
        lambda clock: InMemorySessionStore(clock=clock),
    ),
    Peer(
        REFERENCE,
        _python,
        LIVE,
        lambda clock: ReferenceScan(clock=clock),
        "a dict and a loop over all sessions",
    ),
    Peer(
        DEEP_COPY,
        _python,
        COPIES,
        lambda clock: DeepCopyingDict(clock=clock),
        "a dict and a loop over all sessions; model_copy(deep=True) on the way in and out",
    ),
    Peer(
        SQLITE,
        lambda: sqlite3.sqlite_version,
        COPIES,
        lambda clock: SQLiteStore(clock=clock),
        "an index for each query; dumps JSON to save, parses it to read",
    ),
    Peer(
        DUCKS,
        lambda: _installed("ducks"),
        LIVE,
        _ducks,
        "an index for each query, none with an order: each list is sorted whole; a dict beside it finds by id",
    ),
    Peer(
        LITTLETABLE,
        lambda: _installed("littletable"),
        LIVE,
        _littletable,
        "an index for each query, none with an order; each answer is a new table, with all indexes; "
        "a removal walks over all rows",
    ),
)
