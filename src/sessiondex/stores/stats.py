"""StoreStats: how much a store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class IndexStats:
    """The size of an index: how many sessions it files, and under how many keys."""

    entries: int
    keys: int


@dataclass(frozen=True)
class JournalStats:
    """How far the journal of a store is behind: what a crash would lose.

    `pending_commits` and `pending_bytes` are not on disk yet, about. `lag_seconds` is how long the oldest has waited.
    `is_stopped` says that an error ended it, so that nothing can be saved until the store is opened again.
    """

    pending_commits: int
    pending_bytes: int
    lag_seconds: float
    is_stopped: bool


@dataclass(frozen=True)
class RedisStoreStats:
    """What this process has counted of a store on a server. `skipped_reads` is as in `StoreStats`."""

    skipped_reads: int


@dataclass(frozen=True)
class StoreStats:
    """The size of a store at an instant.

    `sessions` counts all, `cached_sessions` those that are kept as live objects as well. `packed_bytes` is the length
    of all rows: packed sessions, each with its index keys. The indexes, and what Python adds, come on top. `indexes`
    has the size of each index, by its name. `skipped_reads` is how often a read went on without a session that it could
    not read, see `on_unreadable`. `clock_jumps` is how often the clock ran more than an hour ahead of the time that had
    passed. `journal` is `None` without one.
    """

    sessions: int
    cached_sessions: int
    packed_bytes: int
    indexes: Mapping[str, IndexStats]
    skipped_reads: int = 0
    clock_jumps: int = 0
    journal: JournalStats | None = None
