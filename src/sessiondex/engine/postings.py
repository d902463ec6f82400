"""Posting lists: under each key, the rows that are filed there, in the order of a number.

Rules:

- A *posting* is eight bytes that sort like a number, followed by the key of the row.
- A list is sorted by its postings. Two rows with the same number are in the order of their keys.
- A list that becomes empty is removed with its key. Reading a key that is not present creates nothing.

Theory of operation: a short list is one chunk, a bytes object in a sharded dict. There may be millions of short lists,
and the garbage collector skips both. A list that outgrows a chunk becomes a `ChunkedList`, so that a change copies one
or two chunks, whatever the length. It becomes short again when it is down to half a chunk, so that a list of about one
chunk does not change its form all the time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct

from sessiondex.engine.chunked_list import ChunkedList
from sessiondex.engine.chunks import inserted, moved, position, removed
from sessiondex.engine.invariants import check_same
from sessiondex.engine.sharded_dict import ShardedDict

ROW_KEY_SIZE = 16
"""Bytes in the key of a row."""
POSTINGS_PER_CHUNK = 32
"""A change copies one or two chunks. With 64 or 128 a save takes as long, and 64 take 1 % more memory."""
SORTABLE_SIZE = 8
"""Bytes in an encoded number."""
SORTABLE_OFFSET = 2**63
"""Added to a number before it is encoded, so that no number is negative."""

_LEAST, _GREATEST = -SORTABLE_OFFSET, SORTABLE_OFFSET - 1


def encode_sortable(number: int) -> bytes:
    """Return eight bytes that sort like the number, which is from -2**63 to 2**63 - 1.

    >>> encode_sortable(-1) < encode_sortable(0) < encode_sortable(1)
    True

    Raises:
        OverflowError: the number has more than 64 bits.
    """
    return (number + SORTABLE_OFFSET).to_bytes(SORTABLE_SIZE, "big")


def decode_sortable(posting: bytes) -> int:
    """Return the number at the beginning of the posting.

    >>> decode_sortable(encode_sortable(-7) + b"row")
    -7
    """
    return int.from_bytes(posting[:SORTABLE_SIZE], "big") - SORTABLE_OFFSET


class Postings:
    """Keep a posting list for each key.

    Every list is sorted, and none is empty. The caller adds a posting to a list at most once. It removes and moves only
    postings that are in the list: others are a `KeyError`, and nothing has changed.

    >>> postings = Postings(row_key_size=1)
    >>> for stamp, row_key in ((3, b"c"), (1, b"a"), (2, b"b")):
    ...     postings.add(b"key", encode_sortable(stamp) + row_key)
    >>> postings.newest(b"key", 2)
    [b'c', b'b']
    """

    __slots__ = (
        "_beyond",
        "_chunk_size",
        "_long",
        "_mask",
        "_posting_count",
        "_shards",
        "_short",
        "_unpack_postings",
        "_unpack_row_keys",
        "_width",
    )

    def __init__(self, row_key_size: int = ROW_KEY_SIZE, postings_per_chunk: int = POSTINGS_PER_CHUNK) -> None:
        """`postings_per_chunk` is at least 2."""
        self._short: ShardedDict[bytes] = ShardedDict()
        self._shards, self._mask = self._short.shards, self._short.mask
        self._long: dict[bytes, ChunkedList] = {}
        self._posting_count = 0
        self._width = SORTABLE_SIZE + row_key_size
        self._chunk_size = postings_per_chunk * self._width
        self._unpack_row_keys = Struct(f"{SORTABLE_SIZE}x{row_key_size}s").iter_unpack
        self._unpack_postings = Struct(f"{self._width}s").iter_unpack
        self._beyond = b"\xff" * (row_key_size + 1)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._short) + len(self._long)

    def __contains__(self, key: bytes) -> bool:
        return key in self._long or key in self._shards[hash(key) & self._mask]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._short
        yield from self._long

    @property
    def posting_count(self) -> int:
        """The number of postings under all keys. Runtime: O(1)."""
        return self._posting_count

    def add(self, key: bytes, posting: bytes) -> None:
        """Add the posting to the list of the key. Runtime: O(log n)."""
        long = self._long.get(key)
        if long is not None:
            long.add(posting)
        else:
            shard = self._shards[hash(key) & self._mask]
            chunk = shard.get(key)
            if chunk is None:
                shard[key] = posting
            elif len(chunk) < self._chunk_size:
                shard[key] = inserted(chunk, posting, self._width)
            else:
                long = ChunkedList(self._width, self._chunk_size, chunk)
                long.add(posting)
                self._long[key] = long
                del shard[key]
        self._posting_count += 1

    def remove(self, key: bytes, posting: bytes) -> None:
        """Remove the posting from the list of the key. Runtime: O(log n)."""
        long = self._long.get(key)
        if long is not None:
            if long.remove(posting) * self._width * 2 <= self._chunk_size:
                self._short.shard(key)[key] = long.joined()
                del self._long[key]
        else:
            shard = self._shards[hash(key) & self._mask]
            chunk = shard[key]
            if chunk == posting:
                del shard[key]
            else:
                shard[key] = removed(chunk, posting, self._width)
        self._posting_count -= 1

    def move(self, key: bytes, posting: bytes, new_posting: bytes) -> None:
        """Replace the posting in the list of the key by the new one, at its position. Runtime: O(log n)."""
        long = self._long.get(key)
        if long is not None:
            long.move(posting, new_posting)
        else:
            shard = self._shards[hash(key) & self._mask]
            chunk = shard[key]
            if chunk == posting:
                shard[key] = new_posting
                return
            width = self._width
            at = chunk.find(posting)
            if at >= 0 and at % width == 0 and chunk[-width:] < new_posting:  # as in a `ChunkedList`
                shard[key] = chunk[:at] + chunk[at + width :] + new_posting
            else:
                shard[key] = moved(chunk, posting, new_posting, width)

    def clear(self) -> None:
        """Remove all lists. Runtime: O(n)."""
        self._short.clear()
        self._long.clear()
        self._posting_count = 0

    def latest(self, key: bytes) -> bytes | None:
        """Return the newest posting under the key, or `None`. Runtime: O(1).

        >>> Postings().latest(b"nothing here") is None
        True
        """
        chunk = self._shards[hash(key) & self._mask].get(key)
        if chunk is not None:
            return chunk[-self._width :]
        long = self._long.get(key)
        return None if long is None else long.last()

    def oldest(self, key: bytes) -> bytes | None:
        """Return the oldest posting under the key, or `None`. Runtime: O(1)."""
        long = self._long.get(key)
        if long is not None:
            return long.first()
        chunk = self._short.get(key)
        return None if chunk is None else chunk[: self._width]

    def count(self, key: bytes) -> int:
        """Return the number of postings under the key. Runtime: O(1)."""
        long = self._long.get(key)
        return len(self._short.get(key) or b"") // self._width if long is None else len(long)

    def has_number(self, key: bytes, number: int) -> bool:
        """Return whether any posting under the key has the number. Runtime: O(log n).

        >>> postings = Postings(row_key_size=1)
        >>> postings.add(b"key", encode_sortable(7) + b"a")
        >>> postings.has_number(b"key", 7), postings.has_number(b"key", 8)
        (True, False)
        """
        prefix = encode_sortable(number)
        long = self._long.get(key)
        if long is not None:
            return long.has_prefix(prefix)
        chunk = self._short.get(key) or b""
        return chunk.startswith(prefix, position(chunk, prefix, self._width))

    def newest(self, key: bytes, limit: int, before: bytes | None = None, cutoff: bytes | None = None) -> list[bytes]:
        """Return the row keys of up to `limit` postings under the key, newest first.

        `before` and `cutoff` are encoded numbers or postings. Only postings less than `before` are returned, and none
        that is less than `cutoff`. Runtime: O(log n + limit).
        """
        long = self._long.get(key)
        if long is not None:
            postings = long.newest(limit, before, cutoff)
        else:
            postings = self._short_between(key, cutoff, before)
            postings = postings[max(len(postings) - limit * self._width, 0) :]
        return [row_key for (row_key,) in self._unpack_row_keys(postings)][::-1]

    def newest_of(
        self, keys: Sequence[bytes], limit: int, before: bytes | None = None, cutoff: bytes | None = None
    ) -> list[bytes]:
        """Return the row keys of up to `limit` postings under all of the keys together, newest first.

        `before` and `cutoff` are those of `newest`. The keys differ, and so do the rows under them.
        Runtime: O(k * log n + (k + limit) * log limit) for k keys.

        >>> postings = Postings(row_key_size=1)
        >>> for stamp, row_key in enumerate((b"a", b"b", b"c", b"d")):
        ...     postings.add(b"even" if stamp % 2 == 0 else b"odd", encode_sortable(stamp) + row_key)
        >>> postings.newest_of((b"even", b"odd"), 3)
        [b'd', b'c', b'b']
        """
        if len(keys) == 1:
            return self.newest(keys[0], limit, before, cutoff)
        if limit <= 0 or not keys:
            return []
        # Each round takes older postings from every list that may still have one of the newest. Merging the lists
        # posting by posting, as `heapq.merge` does, is slower.
        width, size = self._width, limit * self._width
        share = size // len(keys)
        sources = [self._newest_chunks(key, before, cutoff) for key in keys]
        found: list[bytes] = []
        while sources:
            chunks: list[bytes] = []
            unfinished: list[tuple[bytes, Iterator[bytes]]] = []
            for source in sources:
                taken = 0
                for chunk in source:
                    chunks.append(chunk[-size:])
                    taken += len(chunk)
                    if taken >= share:
                        unfinished.append((chunks[-1][:width], source))
                        break
            found += [posting for (posting,) in self._unpack_postings(b"".join(chunks))]
            found.sort(reverse=True)
            del found[limit:]
            # The rest of a list is older than all that was taken from it.
            sources = [source for oldest, source in unfinished if len(found) < limit or oldest > found[-1]]
        return [posting[SORTABLE_SIZE:] for posting in found]

    def between(self, key: bytes, low: int | None, high: int | None) -> list[bytes]:
        """Return the row keys of the postings with a number from `low` to `high`, both included, lowest first.

        `None` is no bound. Runtime: O(log n + result).

        >>> postings = Postings(row_key_size=1)
        >>> for number, row_key in ((10, b"a"), (20, b"b"), (30, b"c")):
        ...     postings.add(b"key", encode_sortable(number) + row_key)
        >>> postings.between(b"key", 11, None)
        [b'b', b'c']
        """
        if (low is not None and low > _GREATEST) or (high is not None and high < _LEAST):
            return []
        first = encode_sortable(_LEAST if low is None else max(low, _LEAST))
        end = encode_sortable(_GREATEST if high is None else min(high, _GREATEST)) + self._beyond
        long = self._long.get(key)
        postings = self._short_between(key, first, end) if long is None else long.between(first, end)
        return [row_key for (row_key,) in self._unpack_row_keys(postings)]

    def _short_between(self, key: bytes, low: bytes | None, high: bytes | None) -> bytes:
        """Return the postings of a short list from `low` up to, but without, `high`, joined; `None` is no bound."""
        chunk = self._shards[hash(key) & self._mask].get(key) or b""
        if high is not None:
            chunk = chunk[: position(chunk, high, self._width)]
        return chunk if low is None else chunk[position(chunk, low, self._width) :]

    def _newest_chunks(self, key: bytes, before: bytes | None, cutoff: bytes | None) -> Iterator[bytes]:
        long = self._long.get(key)
        if long is not None:
            return long.newest_chunks(before, cutoff)
        chunk = self._short_between(key, cutoff, before)
        return iter((chunk,) if chunk else ())

    def check(self, expected: Iterable[tuple[bytes, bytes]]) -> None:
        """Raise `DivergenceError` unless exactly these postings are under these keys, in order."""
        expected_lists: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for key, posting in expected:
            expected_lists[key].append(posting)
        check_same("keys", set(self), set(expected_lists))
        check_same("number of keys, none both short and long", len(self), len(expected_lists))
        check_same("count of postings", self._posting_count, sum(map(len, expected_lists.values())))
        for key, postings in expected_lists.items():
            long = self._long.get(key)
            joined = self._short_between(key, None, None) if long is None else long.joined()
            check_same(f"postings of {key!r}", joined, b"".join(sorted(postings)))
            if long is None:
                check_same(f"whether the short list of {key!r} is too long", len(joined) > self._chunk_size, False)
            else:
                check_same(f"whether the long list of {key!r} is short", len(joined) * 2 <= self._chunk_size, False)
                long.check()
