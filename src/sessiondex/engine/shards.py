"""A dict in parts, so that none takes long to grow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")

_SHARDS = 64


class ShardedDict(Generic[V]):
    """A dict from bytes, kept as many small ones.

    A dict that is full moves all that it holds, at once: at 700,000 keys that takes 50 ms, in which nothing else runs.
    A part of it takes less than one. Bytes have a salted hash, so nobody can choose keys that fall into the same part.

    Values should be bytes, numbers or strings: a dict of nothing but these is passed over by the garbage collector.

    >>> numbers = ShardedDict()
    >>> numbers.shard(b"one")[b"one"] = 1
    >>> numbers.get(b"one"), numbers.get(b"two"), len(numbers)
    (1, None, 1)
    """

    __slots__ = ("_last", "_shards")

    def __init__(self, shards: int = _SHARDS) -> None:
        """`shards` is a power of two."""
        self._shards: tuple[dict[bytes, V], ...] = tuple({} for _ in range(shards))
        self._last = shards - 1

    def shard(self, key: bytes) -> dict[bytes, V]:
        """Return the dict that holds the key, if any does. Runtime: O(1)."""
        return self._shards[hash(key) & self._last]

    def get(self, key: bytes) -> V | None:
        """Return the value of the key, if there is one. Runtime: O(1)."""
        return self._shards[hash(key) & self._last].get(key)

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def __contains__(self, key: bytes) -> bool:
        return key in self.shard(key)

    def __iter__(self) -> Iterator[bytes]:
        for shard in self._shards:
            yield from shard

    def some_after(self, key: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys, from the first one on or after that one, in an order that stays.

        The order is of this process alone. Runtime: O(n / shards * log n), for a sort of each part that is visited.

        >>> numbers, found = ShardedDict(), []
        >>> for key in (b"one", b"two", b"three"):
        ...     numbers.shard(key)[key] = 0
        >>> while some := numbers.some_after(found[-1] if found else None, 2):
        ...     found += some
        >>> sorted(found)
        [b'one', b'three', b'two']
        """
        found: list[bytes] = []
        first = 0 if key is None else hash(key) & self._last
        for place in range(first, len(self._shards)):
            shard = self._shards[place]
            keys = shard if key is None or place != first else [other for other in shard if other > key]
            found += sorted(keys)[: limit - len(found)]
            if len(found) == limit:
                break
        return found

    def items(self) -> Iterator[tuple[bytes, V]]:
        """Yield all keys with their values."""
        for shard in self._shards:
            yield from shard.items()
