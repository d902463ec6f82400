"""What belongs to a key: a small dict for each of many keys.

Kept as bytes, like everything in the engine that there may be a million of, unless it is large: then it is live. Few
keys can have a large one.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from sessiondex.engine.invariants import check_same
from sessiondex.engine.shards import ShardedDict

K = TypeVar("K")
V = TypeVar("V")

ROSTER_MAX = 32
"""Up to which size a roster is bytes. All of it is read, and written, for each change."""


class Rosters(Generic[K, V]):
    """A dict for each key, of what `marshal` knows. None is empty.

    >>> rosters = Rosters()
    >>> rosters.keep(b"key", {"a": None}, 1)
    >>> rosters.get(b"key"), rosters.get(b"another")
    ({'a': None}, {})
    """

    __slots__ = ("_large", "_max", "_small")

    def __init__(self, roster_max: int = ROSTER_MAX) -> None:
        self._small: ShardedDict[bytes] = ShardedDict()
        self._large: dict[bytes, dict[K, V]] = {}
        self._max = roster_max

    def __iter__(self) -> Iterator[bytes]:
        yield from self._small
        yield from self._large

    def get(self, key: bytes) -> dict[K, V]:
        """Return the roster of the key, to be given to `keep` once it is changed. Runtime: O(1)."""
        packed = self._small.get(key)
        if packed is None:
            return self._large.get(key) or {}
        roster: dict[K, V] = marshal.loads(packed)  # noqa: S302  # nobody else's bytes
        return roster

    def keep(self, key: bytes, roster: dict[K, V], size: int) -> None:
        """Make this the roster of the key. Empty, it goes. Runtime: O(1)."""
        if size > self._max or (key in self._large and size * 2 > self._max):  # not to be packed by the next removal
            self._large[key] = roster
            self._small.shard(key).pop(key, None)
        else:
            if size:
                self._small.shard(key)[key] = marshal.dumps(roster)
            else:
                self._small.shard(key).pop(key, None)
            self._large.pop(key, None)

    def _check(self, expected: Mapping[bytes, dict[K, V]], size_of: Callable[[dict[K, V]], int]) -> None:
        """Raise `DivergenceError` unless these are the rosters, each in the form of its size."""
        keys = set(self)
        check_same("keys of rosters", keys, set(expected))
        check_same("how many rosters, none kept twice", len(self._small) + len(self._large), len(keys))
        for key, roster in expected.items():
            check_same(f"roster of {key!r}", self.get(key), roster)
            size = size_of(roster)
            if size > self._max or size * 2 <= self._max:
                check_same(f"whether the roster of {key!r} is live", key in self._large, size > self._max)
