"""Keep conversation sessions in memory and find them fast.

The public names are those listed here.
"""

from sessiondex.contract import Change, ChangeKind, EvictionReason, SessionStore
from sessiondex.errors import (
    ChangesLostError,
    ConflictError,
    ForkedStoreError,
    InvalidArgumentError,
    InvalidSessionError,
    InvariantError,
    ReentryError,
    SessiondexError,
    SessionNotFoundError,
    StoreClosedError,
    TenantMismatchError,
    TurnTimeoutError,
    WrongLoopError,
)
from sessiondex.models import Channel, PendingMigration, ScopeFilter, Session, SessionStatus, StepVisit
from sessiondex.stores.memory import InMemorySessionStore
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.stores.stats import IndexStats, StoreStats

__all__ = [
    "Change",
    "ChangeKind",
    "ChangesLostError",
    "Channel",
    "ConflictError",
    "EvictionReason",
    "ForkedStoreError",
    "InMemorySessionStore",
    "IndexStats",
    "InvalidArgumentError",
    "InvalidSessionError",
    "InvariantError",
    "PendingMigration",
    "ReentryError",
    "ScanSessionStore",
    "ScopeFilter",
    "Session",
    "SessionNotFoundError",
    "SessionStatus",
    "SessionStore",
    "SessiondexError",
    "StepVisit",
    "StoreClosedError",
    "StoreStats",
    "TenantMismatchError",
    "TurnTimeoutError",
    "WrongLoopError",
]
