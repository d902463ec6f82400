"""Which sessions stay live: those used lately, and more than once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Hot(Generic[V]):
    """The most recently used values, at most `bound` of them.

    Keeps the longest unused first. The caller makes room before it puts a new key in.

    >>> hot = Hot(2)
    >>> hot.put(b"a", 1)
    >>> hot.put(b"b", 2)
    >>> hot.get(b"a"), hot.is_full, hot.longest_unused
    (1, True, (b'b', 2))
    """

    __slots__ = ("_values", "bound")

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: bytes) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._values)

    @property
    def is_full(self) -> bool:
        """Whether something has to go before a new key comes in."""
        return len(self._values) >= self.bound

    @property
    def longest_unused(self) -> tuple[bytes, V]:
        """The key and value that are to go first. There must be one."""
        key = next(iter(self._values))
        return key, self._values[key]

    def get(self, key: bytes) -> V | None:
        """Return the value of the key, if there is one, which counts as a use. Runtime: O(1)."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def peek(self, key: bytes) -> V | None:
        """Return the same, which does not count as a use. Runtime: O(1)."""
        return self._values.get(key)

    def put(self, key: bytes, value: V) -> None:
        """Keep the value under the key, as the most recently used. Runtime: O(1)."""
        self._values[key] = value
        self._values.move_to_end(key)

    def discard(self, key: bytes) -> None:
        """Forget the key, if it is there. Runtime: O(1)."""
        self._values.pop(key, None)


class Lately:
    """Tells whether a key comes for the second time in a while: among the `memory` to twice `memory` keys before it.

    A session becomes hot with its second use, not its first. So a walk over many that are used once does not drive out
    those that are used all the time, and leaves no new objects behind for the garbage collector.

    >>> lately = Lately(100)
    >>> lately.again(b"a"), lately.again(b"b"), lately.again(b"a")
    (False, False, True)
    """

    __slots__ = ("_before", "_memory", "_now")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        # Two generations, the older of which is forgotten as a whole.
        self._now: dict[bytes, None] = {}
        self._before: dict[bytes, None] = {}

    def again(self, key: bytes) -> bool:
        """Remember the key, and return whether it was remembered. Runtime: O(1)."""
        if key in self._now:
            return True
        if len(self._now) >= self._memory:
            self._before, self._now = self._now, {}
        is_known = key in self._before
        if self._memory:
            self._now[key] = None
        return is_known
