"""Keep conversation sessions in memory and find them fast.

The public names are those listed here.
"""

__version__ = "0.1.0"  # the build reads it from here

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
    StoreUnavailableError,
    TenantMismatchError,
    TurnTimeoutError,
    WrongLoopError,
)
from sessiondex.models import Channel, PendingMigration, ScopeFilter, Session, SessionStatus, StepVisit
from sessiondex.stores.memory import InMemorySessionStore
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.stores.stats import IndexStats, StoreStats
from sessiondex.transfer import CopyProgress, copy_sessions
from sessiondex.urls import open_store

__all__ = [
    "Change",
    "ChangeKind",
    "ChangesLostError",
    "Channel",
    "ConflictError",
    "CopyProgress",
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
    "StoreUnavailableError",
    "TenantMismatchError",
    "TurnTimeoutError",
    "WrongLoopError",
    "copy_sessions",
    "open_store",
]
