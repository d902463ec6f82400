"""Options that only some stores have. Each store takes those of the others and ignores them, so that moving is easy."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypedDict


class MemoryOptions(TypedDict, total=False):
    """Options of `InMemorySessionStore` alone."""

    cache_size: int
    debug: bool
    journal: Any


class ServerOptions(TypedDict, total=False):
    """Options of `RedisSessionStore` alone."""

    prefix: str
    turn_ttl: timedelta
    timeout: float
    max_connections: int


class JournalOptions(TypedDict, total=False):
    """Options of `SQLiteJournal`, which only `open_store` takes: for the scheme `sqlite`."""

    durability: str
    flush_interval: timedelta
    max_pending_bytes: int
    progress: Any


class OtherOptions(ServerOptions, total=False):
    """Options that `ScanSessionStore` does not have: all of these."""

    cache_size: int
    debug: bool
    journal: Any


def check_ignored(given: Iterable[str], known: Any) -> None:
    """Raise `TypeError` for the first option that no store has. `known` is a class of this file."""
    for name in given:
        if name not in known.__optional_keys__:
            raise TypeError(f"got an unexpected keyword argument {name!r}")
