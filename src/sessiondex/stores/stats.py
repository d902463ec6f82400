"""What a store says of its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class IndexStats:
    """The size of an index: how many sessions are filed in it, and under how many keys."""

    entries: int
    keys: int


@dataclass(frozen=True)
class StoreStats:
    """The size of a store at an instant.

    `sessions` counts all, `hot_sessions` those that are kept live. `packed_bytes` is the length of all rows: packed
    sessions, with the index entries that each remembers; of a hot session that was saved since it was packed, the
    entries alone. What Python adds, and the indexes, come on top. `indexes` has the size of each index, by its name.
    """

    sessions: int
    hot_sessions: int
    packed_bytes: int
    indexes: Mapping[str, IndexStats]
