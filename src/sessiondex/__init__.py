"""Keep conversation sessions in memory and find them fast.

The public names are those listed here.
"""

from sessiondex.contract import SessionStore
from sessiondex.errors import (
    InvalidArgumentError,
    InvalidSessionError,
    SessiondexError,
    TenantMismatchError,
    WrongLoopError,
)
from sessiondex.models import Channel, PendingMigration, ScopeFilter, Session, SessionStatus, StepVisit
from sessiondex.stores.memory import InMemorySessionStore
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.stores.stats import IndexStats, StoreStats

__all__ = [
    "Channel",
    "InMemorySessionStore",
    "IndexStats",
    "InvalidArgumentError",
    "InvalidSessionError",
    "PendingMigration",
    "ScanSessionStore",
    "ScopeFilter",
    "Session",
    "SessionStatus",
    "SessionStore",
    "SessiondexError",
    "StepVisit",
    "StoreStats",
    "TenantMismatchError",
    "WrongLoopError",
]
