"""Declare the stores that are compared: the indexed store, the scans, and its peers."""

import platform
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol
from uuid import UUID

from benchmarks.measure.clock import SteppedClock
from benchmarks.stores.deepcopy import DeepCopyingDict
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.sqlite import SQLiteStore
from sessiondex import Channel, InMemorySessionStore, ScanSessionStore, Session, SessionStatus

INDEXED = "indexed"
SCAN_STORE = "scan store"
REFERENCE = "reference scan"
DEEP_COPY = "deep-copying dict"
SQLITE = "SQLite in memory"
LITTLETABLE = "littletable"

COPIES = "copies"
LIVE = "live objects"
"""A caller that changes one has changed what is stored, before any save."""


class Store(Protocol):
    """The part of the contract that every subject has. Subjects other than the library's check no arguments."""

    async def get(self, session_id: UUID) -> Session | None: ...

    async def save(self, session: Session) -> UUID: ...

    async def delete(self, session_id: UUID) -> bool: ...

    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> Session | None: ...

    async def list_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[Session]: ...

    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100
    ) -> list[Session]: ...

    async def find_sessions_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> list[Session]: ...


@dataclass(frozen=True)
class Kind:
    """A kind of store: how it is used, whether it hands out copies, and how to make one."""

    remark: str
    hands_out: str
    make: Callable[[SteppedClock], Store]


@dataclass(frozen=True)
class Subject:
    """A store that is measured, its name, and the clock that it uses."""

    name: str
    store: Store
    clock: SteppedClock


def _make_littletable(clock: SteppedClock) -> Store:
    from benchmarks.stores.littletable import LittletableStore  # noqa: PLC0415  # it may not be installed

    return LittletableStore(clock)


KINDS: dict[str, Kind] = {
    INDEXED: Kind("an index for each query", COPIES, lambda clock: InMemorySessionStore(clock=clock)),
    SCAN_STORE: Kind("the same contract without an index", COPIES, lambda clock: ScanSessionStore(clock=clock)),
    REFERENCE: Kind("a dict and a loop over all sessions", LIVE, ReferenceScan),
    DEEP_COPY: Kind("the same, with model_copy(deep=True) on the way in and out", COPIES, DeepCopyingDict),
    SQLITE: Kind("sessions as JSON, an index for each query", COPIES, SQLiteStore),
    LITTLETABLE: Kind("an index for each query, without order: lists are sorted whole", LIVE, _make_littletable),
}


def installed_version(name: str) -> str | None:
    """Return the version of what a store is made of, or `None` if it is not installed."""
    if name == SQLITE:
        return f"SQLite {sqlite3.sqlite_version}"
    if name in {REFERENCE, DEEP_COPY}:
        return f"Python {platform.python_version()}"
    package = LITTLETABLE if name == LITTLETABLE else "sessiondex"
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None


def make_subjects(names: Iterable[str], clock: SteppedClock) -> dict[str, Subject]:
    """Return new, empty stores by name, which all use the same clock."""
    return {name: Subject(name, KINDS[name].make(clock), clock) for name in names}
