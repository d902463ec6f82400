"""List the in-process stores that tests run on, and give tests the few internals of a store that they need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sessiondex import InMemorySessionStore, ScanSessionStore, Session, schema
from sessiondex.stores import table_indexes

STORES: dict[str, tuple[Any, dict[str, Any]]] = {
    "indexed": (InMemorySessionStore, {}),
    "packed": (InMemorySessionStore, {"cache_size": 0}),
    "scan": (ScanSessionStore, {}),
}

_codecs: dict[Any, Any] = {}


def check_indexes(store: Any) -> None:
    """Raise `InvariantError` unless all indexes of the store agree with a recomputation."""
    store._backend.check()


def made_and_checked(make: Callable[..., Any]) -> Iterator[Any]:
    stores = []

    def make_one(**options: Any) -> Any:
        store = make(**options)
        stores.append(store)
        return store

    yield make_one
    for store in stores:
        check_indexes(store)


# -- parts --


def backend_of(store: Any) -> Any:
    return store._backend


def writer_of(store: Any) -> Any:
    return store._writer


def lock_of(store: Any) -> asyncio.Lock:
    """Return the lock of all saves and deletions. Each event loop gets another one, at its first call."""
    lock: asyncio.Lock = store._lock
    return lock


def put_without_lock(store: Any, sessions: Sequence[Session]) -> None:
    """Save the sessions as a task that holds the lock does."""
    store._writer.put_many([store._codec.prepare(session) for session in sessions])


def session_locks_of(store: Any) -> Any:
    return store._session_locks


def feed_of(store: Any) -> Any:
    """Return the change feed, or `None` if nobody has asked for changes."""
    return store._feed


def sweeper_of(store: Any) -> Any:
    return store._sweeper


def options_of(store: InMemorySessionStore) -> dict[str, Any]:
    """Return some options that a store was made with."""
    policy = store._policy
    return {
        "cache_size": store._table._cache.max_size,
        "debug": store._writer._has_checks,
        "idle_ttl": policy.idle_ttl,
        "max_sessions": policy.max_sessions,
    }


def cached_snapshot(store: Any, session: Session) -> Any:
    """Return the live snapshot that the store has of the session, or `None`."""
    return store._backend._cache.peek(session.session_id.bytes)


def is_cached(store: Any, session: Session) -> bool:
    return cached_snapshot(store, session) is not None


def size_of_rows(store: Any) -> int:
    """Count the bytes of all rows, one row at a time."""
    return sum(map(len, store._backend._table.rows()))


def check_no_lock_is_held(store: Any, when: str = "at the end") -> None:
    assert not store._lock.locked(), f"{when}: the lock is held"
    assert not len(store._session_locks), f"{when}: the lock of a session is held"
    assert not len(store._creation_locks), f"{when}: the lock of a creation is held"


def share_codec(store: Any) -> Any:
    """Give a new store the codec of an earlier one of its kind, since compiling a class takes milliseconds."""
    kind = isinstance(store, InMemorySessionStore), store._has_evictions
    codec = _codecs.setdefault(kind, store._codec)
    store._codec = store._backend._codec = codec
    store._indexes = codec.indexes
    return store


def scan_snapshots(store: Any) -> dict[Any, Any]:
    """Return the snapshots of a scan store by id, for stores that break a law on purpose."""
    snapshots: dict[Any, Any] = store._backend._snapshots
    return snapshots


def storage_of(store: Any, declaration: schema.Declaration) -> Any:
    """Return the posting lists of one index, to plant a fault there."""
    return store._backend._table.storage(table_indexes.INDEXES[declaration])


def address_of(store: Any) -> Any:
    """Return the parsed address of a store on a server."""
    return store._address
