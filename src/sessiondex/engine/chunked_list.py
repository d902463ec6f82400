"""A long sorted list of fixed-width items that stays fast at any length.

Rules:

- The list is divided into chunks. Each chunk has a *bound*: none of its items is less, and all items before it are.
- The first bound is empty, and thus below every item. So each item has a chunk, and a bound never has to be lowered.
- A bound need not be an item. It stays when the item that gave rise to it is removed.

Theory of operation: a sorted list of bounds finds the chunk of an item, and a plain dict maps each bound to its chunk.
A change replaces one or two chunks in the dict. It touches the sorted list only if a chunk is split, joined or removed,
which happens at about every thirtieth insertion. The bound of the last chunk is remembered: most changes concern the
newest items, and without a search these take about half the time.

Why not a plain list of chunks? It is faster at random places of up to about 100,000 items, but each split moves the
references to all chunks that follow. Why not a sorted list of all items? It is as fast, but a million references take
the garbage collector 15 ms more each time.

A chunk is joined only with the one that follows. If items are removed in ascending order, and one per chunk remains,
these chunks are not joined.
"""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedList

from sessiondex.engine.chunks import inserted, moved, position, removed
from sessiondex.engine.invariants import check_same


class ChunkedList:
    """Keep unique items of one width sorted. No chunk is longer than `chunk_size`, in bytes.

    The caller adds no item twice.

    >>> letters = ChunkedList(width=1, chunk_size=2)
    >>> for letter in (b"d", b"a", b"c", b"b"):
    ...     letters.add(letter)
    >>> letters.move(b"a", b"e")
    >>> letters.joined(), letters.newest(limit=2), len(letters)
    (b'bcde', b'de', 4)
    """

    __slots__ = ("_bounds", "_chunk_size", "_chunks", "_last", "_length", "_width")

    def __init__(self, width: int, chunk_size: int, chunk: bytes = b"") -> None:
        """Start with the items of one chunk. `chunk_size` is a multiple of `width`, at least twice as large."""
        self._width = width
        self._chunk_size = chunk_size
        self._bounds: SortedList[bytes] = SortedList([b""])
        self._chunks: dict[bytes, bytes] = {b"": chunk}
        self._last = b""
        self._length = len(chunk) // width

    def __len__(self) -> int:
        return self._length

    def add(self, item: bytes) -> None:
        """Insert the item. Runtime: O(log n)."""
        bounds, bound = self._bounds, self._last
        if item < bound:
            bound = bounds[bounds.bisect_right(item) - 1]  # `irange` is one call, but makes two generators: slower
        longer = inserted(self._chunks[bound], item, self._width)
        if len(longer) <= self._chunk_size:
            self._chunks[bound] = longer
        elif bound == self._last and longer.endswith(item):
            # Not in halves: if each new item is the newest, these would stay half empty.
            self._add_chunk(item, item)
        else:
            middle = len(longer) // self._width // 2 * self._width
            self._chunks[bound] = longer[:middle]
            self._add_chunk(longer[middle : middle + self._width], longer[middle:])
        self._length += 1

    def remove(self, item: bytes) -> int:
        """Remove the item, and return how many are left. Runtime: O(log n).

        Raises:
            KeyError: the list does not contain the item. Nothing has changed.
        """
        bounds, bound = self._bounds, self._last
        if item < bound:
            bound = bounds[bounds.bisect_right(item) - 1]
        chunk, width = self._chunks[bound], self._width
        at = chunk.find(item)
        # The common case, without a call; `removed` raises if the item is not there.
        shorter = chunk[:at] + chunk[at + width :] if at >= 0 and at % width == 0 else removed(chunk, item, width)
        self._chunks[bound] = shorter
        self._length -= 1
        if len(shorter) * 4 <= self._chunk_size:  # else each removal would look up the following chunk
            self._shrink(bound, shorter)
        return self._length

    def move(self, item: bytes, new_item: bytes) -> None:
        """Replace the item by another one, at the position of that one. Runtime: O(log n).

        Raises:
            KeyError: the list does not contain the item. Nothing has changed.
        """
        last = self._last
        if item >= last and new_item >= last:
            # The newest items move most often: in one step, and without a call if the item becomes the greatest.
            chunk, width = self._chunks[last], self._width
            at = chunk.find(item)
            if at >= 0 and at % width == 0 and chunk[-width:] < new_item:
                self._chunks[last] = chunk[:at] + chunk[at + width :] + new_item
            else:
                self._chunks[last] = moved(chunk, item, new_item, width)
        else:
            self.remove(item)
            self.add(new_item)

    def first(self) -> bytes:
        """Return the least item, or empty bytes if there is none. Runtime: O(1)."""
        return self._chunks[b""][: self._width]

    def last(self) -> bytes:
        """Return the greatest item, or empty bytes if there is none. Runtime: O(1)."""
        return self._chunks[self._last][-self._width :]

    def joined(self) -> bytes:
        """Return all items, in order. Runtime: O(n)."""
        return b"".join(map(self._chunks.__getitem__, self._bounds))

    def newest(self, limit: int, before: bytes | None = None, cutoff: bytes | None = None) -> bytes:
        """Return the greatest items, at most `limit`, in ascending order, joined.

        All are less than `before`, and none is less than `cutoff`. Runtime: O(log n + limit).
        """
        missing = limit * self._width
        found: list[bytes] = []
        for chunk in self.newest_chunks(before, cutoff):
            if len(chunk) >= missing:
                found.append(chunk[len(chunk) - missing :])
                break
            found.append(chunk)
            missing -= len(chunk)
        found.reverse()
        return b"".join(found)

    def newest_chunks(self, before: bytes | None = None, cutoff: bytes | None = None) -> Iterator[bytes]:
        """Yield the items as chunks, the greatest chunk first. Each is ascending, none is empty.

        All items are less than `before`, and none is less than `cutoff`. Do not change the list between two chunks.
        Runtime: O(log n) for the first chunk, then O(1) each.
        """
        if not self._length:
            return
        if before is None and (cutoff is None or self._chunks[self._last] >= cutoff):
            yield self._chunks[self._last]  # a short page ends here, without an iterator over the bounds
            bounds = reversed(self._bounds)
            next(bounds)
        else:
            bounds = self._bounds.irange(maximum=before, reverse=True)
        for bound in bounds:
            chunk = self._chunks[bound]
            if before is not None:
                chunk = chunk[: position(chunk, before, self._width)]
                before = None  # all further chunks lie below it
            if cutoff is not None and chunk and chunk < cutoff:
                chunk = chunk[position(chunk, cutoff, self._width) :]
                if chunk:
                    yield chunk
                return
            if chunk:
                yield chunk

    def between(self, low: bytes, high: bytes) -> bytes:
        """Return the items from `low` up to, but without, `high`, in ascending order, joined.

        Runtime: O(log n + result).
        """
        found: list[bytes] = []
        for bound in self._bounds.islice(self._bounds.bisect_right(low) - 1):
            if bound >= high:
                break
            chunk = self._chunks[bound]
            if chunk < low:
                chunk = chunk[position(chunk, low, self._width) :]
            if chunk[-self._width :] >= high:
                chunk = chunk[: position(chunk, high, self._width)]
            found.append(chunk)
        return b"".join(found)

    def has_prefix(self, prefix: bytes) -> bool:
        """Return whether any item begins with the prefix. Runtime: O(log n)."""
        for bound in self._bounds.islice(self._bounds.bisect_right(prefix) - 1):
            chunk = self._chunks[bound]
            if chunk[-self._width :] >= prefix:
                return chunk.startswith(prefix, position(chunk, prefix, self._width))
        return False

    def _add_chunk(self, bound: bytes, chunk: bytes) -> None:
        self._chunks[bound] = chunk
        self._bounds.add(bound)
        self._last = max(self._last, bound)

    def _remove_bound(self, bound: bytes) -> None:
        del self._chunks[bound]
        self._bounds.remove(bound)
        if bound == self._last:
            self._last = self._bounds[-1]

    def _shrink(self, bound: bytes, chunk: bytes) -> None:
        """Join a chunk that became short with the following one, or remove it if it is empty."""
        if bound != self._last:
            following_bound = self._bounds[self._bounds.bisect_right(bound)]
            following = self._chunks[following_bound]
            # Join only up to half full, so that the next insertions do not split it again.
            if not chunk or (len(chunk) + len(following)) * 2 <= self._chunk_size:
                self._chunks[bound] = chunk + following
                self._remove_bound(following_bound)
        elif bound and not chunk:
            self._remove_bound(bound)

    def check(self) -> None:
        """Raise `DivergenceError` unless chunks and bounds are in order and the length is right."""
        width, bounds = self._width, list(self._bounds)
        check_same("bounds in order, the first one empty", bounds, sorted({b"", *bounds}))
        check_same("bounds of chunks", sorted(self._chunks), bounds)
        check_same("remembered last bound", self._last, bounds[-1])
        items: list[bytes] = []
        for bound, end in zip(bounds, [*bounds[1:], b"\xff" * (width + 1)], strict=True):
            chunk = self._chunks[bound]
            items += [chunk[at : at + width] for at in range(0, len(chunk), width)]
            check_same(f"whether the chunk of {bound!r} is too long", len(chunk) > self._chunk_size, False)
            check_same(f"whether the chunk of {bound!r} is empty", not chunk, not chunk and len(bounds) == 1)
            check_same(
                f"whether the chunk of {bound!r} lies within its bounds", bound <= chunk and chunk[-width:] < end, True
            )
        check_same("order of items", items, sorted(set(items)))
        check_same("width of items", {len(item) for item in items} - {width}, set())
        check_same("count of items", self._length, len(items))
