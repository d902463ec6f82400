"""A dict that is split into many small ones, so that no single insertion blocks for long.

A full dict moves all its keys to a larger table at once. With 700,000 keys that takes 50 ms, and the event loop waits.
One shard of the same dict grows in less than 1 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")

SHARD_COUNT = 64


class ShardedDict(Generic[V]):
    """Map bytes to values, in shards that grow one at a time.

    Values should be bytes, numbers or strings. Up to Python 3.13, the garbage collector skips a dict that holds nothing
    else.

    Writers change the shard of a key. Hot paths index `shards` with `hash(key) & mask`, which saves a call. Bytes have
    a salted hash, so nobody can choose keys that all fall into one shard.

    >>> numbers = ShardedDict()
    >>> numbers.shard(b"one")[b"one"] = 1
    >>> numbers.shards[hash(b"one") & numbers.mask]
    {b'one': 1}
    >>> numbers.get(b"one"), numbers.get(b"two"), len(numbers)
    (1, None, 1)
    """

    __slots__ = ("mask", "shards")

    def __init__(self, shard_count: int = SHARD_COUNT) -> None:
        """`shard_count` is a power of two."""
        self.shards: tuple[dict[bytes, V], ...] = tuple({} for _ in range(shard_count))
        self.mask: int = shard_count - 1

    def shard(self, key: bytes) -> dict[bytes, V]:
        """Return the dict that holds the key if it is present. Runtime: O(1)."""
        return self.shards[hash(key) & self.mask]

    def get(self, key: bytes) -> V | None:
        """Return the value of the key, or `None`. Runtime: O(1)."""
        return self.shards[hash(key) & self.mask].get(key)

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def __contains__(self, key: bytes) -> bool:
        return key in self.shards[hash(key) & self.mask]

    def __iter__(self) -> Iterator[bytes]:
        for shard in self.shards:
            yield from shard

    def items(self) -> Iterator[tuple[bytes, V]]:
        """Yield all keys with their values."""
        for shard in self.shards:
            yield from shard.items()

    def clear(self) -> None:
        """Remove all keys. The shards stay the same objects. Runtime: O(n)."""
        for shard in self.shards:
            shard.clear()

    def page(self, after: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys that follow `after`, or the first ones if it is `None`.

        `after` itself is left out, and need not be present. The order holds for the life of the process: a key keeps
        its position, whatever is added or removed. Runtime: O(n / shards * log n), to sort each shard that is visited.

        >>> numbers = ShardedDict()
        >>> for key in (b"one", b"two", b"three"):
        ...     numbers.shard(key)[key] = 0
        >>> first = numbers.page(None, 2)
        >>> rest = numbers.page(first[-1], 2)
        >>> len(first), sorted(first + rest)
        (2, [b'one', b'three', b'two'])
        """
        found: list[bytes] = []
        first = 0 if after is None else hash(after) & self.mask
        for position in range(first, len(self.shards)):
            keys = sorted(self.shards[position])
            if after is not None and position == first:
                keys = [key for key in keys if key > after]
            found += keys[: limit - len(found)]
            if len(found) == limit:
                break
        return found
