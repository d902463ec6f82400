"""LRUCache: the values of the keys that were read most recently, and more than once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class LRUCache(Generic[V]):
    """A bounded dict that evicts the least recently read key.

    A key qualifies at its second read since it was last discarded. So one walk over many keys evicts none that is read
    all the time, and adds no objects for the garbage collector. The owner discards a key when its value changes.

    >>> cache = LRUCache(max_size=2)
    >>> cache.qualifies(b"a"), cache.qualifies(b"a")
    (False, True)
    >>> cache.put(b"a", 1)
    >>> cache.get(b"a"), cache.get(b"b")
    (1, None)
    """

    __slots__ = ("_max_size", "_older_keys", "_recent_keys", "_values")

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._values: OrderedDict[bytes, V] = OrderedDict()
        # Keys read once, in two generations of up to `max_size`: the older one is forgotten as a whole, in O(1).
        self._recent_keys: dict[bytes, None] = {}
        self._older_keys: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: bytes) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._values)

    @property
    def max_size(self) -> int:
        """How many values are kept at most."""
        return self._max_size

    def get(self, key: bytes) -> V | None:
        """Return the value of the key and make it the most recently read, or return `None`. Runtime: O(1)."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def peek(self, key: bytes) -> V | None:
        """Return the value of the key, or `None`; that does not count as a read. Runtime: O(1)."""
        return self._values.get(key)

    def qualifies(self, key: bytes) -> bool:
        """Record a read of a key without a value; return whether it is the second, so that `put` is due.

        Runtime: O(1).
        """
        if not self._max_size:
            return False
        if key in self._recent_keys or key in self._older_keys:
            return True
        if len(self._recent_keys) >= self._max_size:
            self._older_keys, self._recent_keys = self._recent_keys, {}
        self._recent_keys[key] = None
        return False

    def put(self, key: bytes, value: V) -> None:
        """Keep the value of a key that qualifies; evict the least recently read beyond `max_size`. Runtime: O(1)."""
        # First: an interruption in between, by Ctrl-C, leaves one value too few, not one too many.
        while self._values and len(self._values) >= self._max_size and key not in self._values:
            self._values.popitem(last=False)
        if self._max_size:
            self._values[key] = value
            self._values.move_to_end(key)

    def discard(self, key: bytes) -> None:
        """Remove the key, and its first read, if there are any. Runtime: O(1)."""
        self._values.pop(key, None)
        self._recent_keys.pop(key, None)
        self._older_keys.pop(key, None)

    def clear(self) -> None:
        """Remove all keys."""
        self._values.clear()
        self._recent_keys.clear()
        self._older_keys.clear()
