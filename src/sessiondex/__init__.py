"""Keep conversation sessions in memory and find them fast.

The public names are those listed here.
"""

__version__ = "0.1.0"  # the build reads it from here

from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from sessiondex.changes import Change, ChangeKind, EvictionReason
from sessiondex.contract import ReindexProgress, SessionStore
from sessiondex.errors import (
    ChangesLostError,
    ConflictError,
    ForkedStoreError,
    InvalidArgumentError,
    InvalidJournalError,
    InvalidLineError,
    InvalidSessionError,
    InvariantError,
    JournalInUseError,
    ReentryError,
    SessiondexError,
    SessionNotFoundError,
    StoreClosedError,
    StoreNotOpenError,
    StoreUnavailableError,
    TenantMismatchError,
    TurnTimeoutError,
    UnreadableSessionError,
    WrongLoopError,
)
from sessiondex.indexed import Indexed
from sessiondex.jsonl import LinesProgress, export_jsonl, import_jsonl
from sessiondex.models import Channel, PendingMigration, ScopeFilter, Session, SessionStatus, StepVisit
from sessiondex.reading import S, SessionReader
from sessiondex.stores.memory import InMemorySessionStore
from sessiondex.stores.scan import ScanSessionStore
from sessiondex.stores.stats import IndexStats, JournalStats, RedisStoreStats, StoreStats
from sessiondex.transfer import CopyProgress, copy_sessions
from sessiondex.urls import open_store

if TYPE_CHECKING:
    from sessiondex.stores.redis import RedisSessionStore
    from sessiondex.stores.sqlite import LoadProgress, SQLiteJournal

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
    "Indexed",
    "InvalidArgumentError",
    "InvalidJournalError",
    "InvalidLineError",
    "InvalidSessionError",
    "InvariantError",
    "JournalInUseError",
    "JournalStats",
    "LinesProgress",
    "LoadProgress",
    "PendingMigration",
    "RedisSessionStore",
    "RedisStoreStats",
    "ReentryError",
    "ReindexProgress",
    "SQLiteJournal",
    "ScanSessionStore",
    "ScopeFilter",
    "Session",
    "SessionNotFoundError",
    "SessionReader",
    "SessionStatus",
    "SessionStore",
    "SessiondexError",
    "StepVisit",
    "StoreClosedError",
    "StoreNotOpenError",
    "StoreStats",
    "StoreUnavailableError",
    "TenantMismatchError",
    "TurnTimeoutError",
    "UnreadableSessionError",
    "WrongLoopError",
    "copy_sessions",
    "export_jsonl",
    "import_jsonl",
    "open_store",
]


if not TYPE_CHECKING:  # type checkers see the real class, and no other name

    def __getattr__(name: str) -> Any:
        """Import on first use what needs more than pydantic: redis-py, or Python's `sqlite3`, which some lack."""
        if name in ("LoadProgress", "SQLiteJournal"):
            return globals().setdefault(name, getattr(import_module("sessiondex.stores.sqlite"), name))
        if name != "RedisSessionStore":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            found = import_module("sessiondex.stores.redis").RedisSessionStore
        except ModuleNotFoundError as error:
            if error.name != "redis":
                raise
            found = _missing_store(str(error))
        return globals().setdefault(name, found)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    def _missing_store(hint: str) -> type[SessionStore[Any]]:
        """Return a class that can be imported, subclassed and compared with; only making a store raises the hint."""

        class RedisSessionStore(SessionStore[S], Generic[S]):
            __doc__ = hint

            def __new__(cls, *_: object, **__: object) -> NoReturn:
                raise ModuleNotFoundError(hint, name="redis")

        return RedisSessionStore
