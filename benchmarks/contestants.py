"""Who takes part: the indexed store, the scan store and the reference scan, behind the same methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.clock import SteppedClock
from benchmarks.peers.peer import PeerStore
from benchmarks.reference import ReferenceScan
from sessiondex import InMemorySessionStore, ScanSessionStore, Session, SessionStore

INDEXED = "indexed"
SCAN_STORE = "scan store"
REFERENCE = "reference scan"

Store: TypeAlias = SessionStore[Session] | ReferenceScan | PeerStore

STORES: dict[str, Callable[[SteppedClock], Store]] = {
    INDEXED: lambda clock: InMemorySessionStore(clock=clock),
    SCAN_STORE: lambda clock: ScanSessionStore(clock=clock),
    REFERENCE: lambda clock: ReferenceScan(clock=clock),
}


@dataclass(frozen=True)
class Contestant:
    """A store, its name in the tables, and the clock that it was given."""

    name: str
    store: Store
    clock: SteppedClock


def contestants(names: Iterable[str], clock: SteppedClock) -> list[Contestant]:
    """Return new, empty stores, all told the time by the same clock."""
    return [Contestant(name, STORES[name](clock), clock) for name in names]
