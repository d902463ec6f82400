"""Posting lists: under each key, the rows that are filed there, in order.

A row is filed as an *item*: eight bytes to order by, then the row's key. The eight are big-endian, so that bytes are in
the order of their numbers.

A posting list is its items, sorted and joined into one bytes object. Beyond a certain length it is a list of such
objects, its *chunks*: a change copies one or two chunks, whatever the length of the list. Bytes are small, eight a
number where an int takes forty; what was fetched with one item brings its neighbours along; and the garbage collector
does not visit them. A million ints in lists, or in a `SortedList`, it visits one by one, which takes tens of
milliseconds each time.

Chunks are joined with those that follow, not with those before. So a list of which one item in a chunk is left, and the
others went in the order of the list, stays in that many chunks.

A list that runs empty goes, and its key with it; reading a key that is not there creates nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from sessiondex.engine.invariants import check_same
from sessiondex.engine.shards import ShardedDict

KEY_SIZE, CHUNK_MAX = 16, 32
"""Bytes in the key of a row, and items in a chunk: what a change has to fetch from memory and copy."""

_ORDER_SIZE = 8
_OFFSET = 2**63


def order(number: int) -> bytes:
    """Return the eight bytes by which a number from -2**63 to 2**63 - 1 is ordered.

    >>> order(-1) < order(0) < order(1)
    True
    """
    return (number + _OFFSET).to_bytes(_ORDER_SIZE, "big")


def number(item: bytes) -> int:
    """Return the number that the item is ordered by.

    >>> number(order(-7) + b"row")
    -7
    """
    return int.from_bytes(item[:_ORDER_SIZE], "big") - _OFFSET


class Postings:
    """A posting list for each key.

    Keeps every list sorted and none empty. The caller files an item under a key at most once.

    >>> postings = Postings(key_size=1)
    >>> for stamp, row in ((3, b"c"), (1, b"a"), (2, b"b")):
    ...     postings.add(b"key", order(stamp) + row)
    >>> postings.newest(b"key", 2)
    [b'c', b'b']
    """

    __slots__ = ("_beyond", "_entries", "_items", "_long", "_max", "_row_key", "_short", "_width")

    def __init__(self, key_size: int = KEY_SIZE, chunk_max: int = CHUNK_MAX) -> None:
        """`chunk_max` is at least 2."""
        self._short: ShardedDict[bytes] = ShardedDict()
        self._long: dict[bytes, list[bytes]] = {}
        self._items: dict[bytes, int] = {}  # of each long list, how many
        self._entries = 0
        self._width = _ORDER_SIZE + key_size
        self._max = chunk_max * self._width
        self._row_key = Struct(f"{_ORDER_SIZE}x{key_size}s")
        self._beyond = b"\xff" * (self._width + 1)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._short) + len(self._long)

    def __contains__(self, key: bytes) -> bool:
        return key in self._short or key in self._long

    def __iter__(self) -> Iterator[bytes]:
        yield from self._short
        yield from self._long

    @property
    def entries(self) -> int:
        """How many items are filed, under all keys. Runtime: O(1)."""
        return self._entries

    def add(self, key: bytes, item: bytes) -> None:
        """File the item under the key. Runtime: O(log n)."""
        shard = self._short.shard(key)
        chunk = shard.get(key)
        if chunk is not None:
            longer = self._with(chunk, item)
            if len(longer) <= self._max:
                shard[key] = longer
            else:
                self._long[key] = self._halves(longer)
                self._items[key] = len(longer) // self._width
                del shard[key]
        elif (chunks := self._long.get(key)) is not None:
            self._insert(chunks, item)
            self._items[key] += 1
        else:
            shard[key] = item
        self._entries += 1

    def remove(self, key: bytes, item: bytes) -> None:
        """Take the item from under the key, where it must be. Runtime: O(log n)."""
        shard = self._short.shard(key)
        chunk = shard.get(key)
        if chunk is None:
            chunks = self._long[key]
            self._delete(chunks, item)
            self._items[key] -= 1
            if len(chunks) == 1 and len(chunks[0]) * 2 <= self._max:
                shard[key] = chunks[0]
                del self._long[key], self._items[key]
        elif chunk == item:
            del shard[key]
        else:
            shard[key] = self._without(chunk, item)
        self._entries -= 1

    def move(self, key: bytes, item: bytes, new_item: bytes) -> None:
        """File `new_item` under the key in place of `item`, which must be there. Runtime: O(log n)."""
        shard = self._short.shard(key)
        chunk = shard.get(key)
        if chunk is None:
            chunks = self._long[key]
            self._delete(chunks, item)
            self._insert(chunks, new_item)
        elif chunk == item:
            shard[key] = new_item
        else:
            shard[key] = self._with(self._without(chunk, item), new_item)

    def latest(self, key: bytes) -> bytes | None:
        """Return the newest item under the key, if there is one. Runtime: O(1).

        >>> Postings().latest(b"nothing here") is None
        True
        """
        chunks = self._chunks(key)
        return chunks[-1][-self._width :] if chunks else None

    def oldest(self, key: bytes) -> bytes | None:
        """Return the oldest item under the key, if there is one. Runtime: O(1)."""
        chunks = self._chunks(key)
        return chunks[0][: self._width] if chunks else None

    def count(self, key: bytes) -> int:
        """Return how many rows are filed under the key. Runtime: O(1)."""
        chunk = self._short.get(key)
        return self._items.get(key, 0) if chunk is None else len(chunk) // self._width

    def newest(self, key: bytes, limit: int, before: bytes | None = None, since: bytes | None = None) -> list[bytes]:
        """Return the keys of up to `limit` rows from under the key, newest first.

        Only of those ordered before `before`, if it is given, and not before `since`. Runtime: O(log n + limit).
        """
        rows: list[bytes] = []
        chunks = self._chunks(key)
        end = len(chunks) if before is None else bisect_left(chunks, before)
        for at in range(end - 1, -1, -1):
            chunk = chunks[at]
            if before is not None and at == end - 1:
                chunk = chunk[: self._position(chunk, before)]
            if since is not None and chunk[:_ORDER_SIZE] < since:
                chunk = chunk[self._position(chunk, since) :]
                limit = min(limit, len(rows) + len(chunk) // self._width)  # what comes next is older still
            missing = (limit - len(rows)) * self._width
            if not missing:
                break
            rows += self._row_keys(chunk[-missing:])[::-1]
        return rows

    def between(self, key: bytes, low: int | None, high: int | None) -> list[bytes]:
        """Return the keys of the rows ordered from `low` to `high`, both included, lowest first; `None` is no bound.

        Runtime: O(log n + result).

        >>> postings = Postings(key_size=1)
        >>> for stamp, row in ((10, b"a"), (20, b"b"), (30, b"c")):
        ...     postings.add(b"key", order(stamp) + row)
        >>> postings.between(b"key", 11, None)
        [b'b', b'c']
        """
        if (low is not None and low >= _OFFSET) or (high is not None and high < -_OFFSET):
            return []
        first = b"" if low is None else order(max(low, -_OFFSET))
        last = self._beyond if high is None else order(min(high, _OFFSET - 1)) + self._beyond
        chunks = self._chunks(key)
        rows: list[bytes] = []
        for at in range(max(bisect_left(chunks, first) - 1, 0), len(chunks)):
            chunk = chunks[at]
            if chunk > last:
                break
            rows += self._row_keys(chunk[self._position(chunk, first) : self._position(chunk, last)])
        return rows

    # -- chunks --

    def _chunks(self, key: bytes) -> Sequence[bytes]:
        chunk = self._short.get(key)
        return self._long.get(key, ()) if chunk is None else (chunk,)

    def _row_keys(self, items: bytes) -> list[bytes]:
        return [row_key for (row_key,) in self._row_key.iter_unpack(items)]

    def _place(self, chunks: Sequence[bytes], item: bytes) -> int:
        """Return which chunk holds the item, or would."""
        return max(bisect_right(chunks, item + self._beyond) - 1, 0)

    def _insert(self, chunks: list[bytes], item: bytes) -> None:
        at = len(chunks) - 1 if chunks[-1] < item else self._place(chunks, item)  # most are the newest
        longer = self._with(chunks[at], item)
        if len(longer) <= self._max:
            chunks[at] = longer
        elif at == len(chunks) - 1 and longer.endswith(item):
            chunks.append(item)  # not halves: where each item is the newest, they would stay half full
        else:
            chunks[at : at + 1] = self._halves(longer)

    def _delete(self, chunks: list[bytes], item: bytes) -> None:
        at = self._place(chunks, item)
        shorter = self._without(chunks[at], item)
        following = chunks[at + 1] if at + 1 < len(chunks) else b""
        if (len(shorter) + len(following)) * 2 <= self._max:  # not to be split by the next item
            joined = shorter + following
            chunks[at : at + 2] = [joined] if joined else []
        elif shorter:
            chunks[at] = shorter
        else:
            del chunks[at]

    def _halves(self, chunk: bytes) -> list[bytes]:
        middle = len(chunk) // self._width // 2 * self._width
        return [chunk[:middle], chunk[middle:]]

    def _with(self, chunk: bytes, item: bytes) -> bytes:
        if chunk[-self._width :] < item:  # as most are: the newest
            return chunk + item
        at = self._position(chunk, item)
        return chunk[:at] + item + chunk[at:]

    def _without(self, chunk: bytes, item: bytes) -> bytes:
        at = chunk.find(item)
        while at % self._width:  # found across two items
            at = chunk.find(item, at + 1)
            if at < 0:
                raise KeyError(item)
        return chunk[:at] + chunk[at + self._width :]

    def _position(self, chunk: bytes, item: bytes) -> int:
        """Return where in the chunk the first item is that is not less, or where the chunk ends."""
        width = self._width
        low, high = 0, len(chunk) // width
        while low < high:
            middle = (low + high) // 2
            if chunk[middle * width : (middle + 1) * width] < item:
                low = middle + 1
            else:
                high = middle
        return low * width

    def _check(self, expected: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `DivergenceError` unless this holds exactly these items under these keys, in order."""
        should: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for key, item in expected:
            should[key].append(item)
        check_same("keys", set(self), set(should))
        check_same("how many keys, none kept twice", len(self), len(should))
        check_same("long keys that are counted", set(self._items), set(self._long))
        check_same("count of entries", self._entries, sum(map(len, should.values())))
        for key, items in should.items():
            chunks = self._chunks(key)
            check_same(f"empty chunks of {key!r}", [chunk for chunk in chunks if not chunk], [])
            check_same(
                f"chunks of {key!r} that are too long", [chunk for chunk in chunks if len(chunk) > self._max], []
            )
            check_same(f"items of {key!r}", b"".join(chunks), b"".join(sorted(items)))
            check_same(f"count of items of {key!r}", self.count(key), len(items))
