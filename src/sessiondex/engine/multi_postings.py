"""MultiPostings: posting lists in which a row stands under any number of keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sessiondex.engine.postings import Postings


class MultiPostings:
    """Keep each row in the posting list of each of its keys. An index key is a tuple of keys that differ.

    >>> from sessiondex.engine.postings import encode_sortable
    >>> by_tag = MultiPostings(row_key_size=1)
    >>> by_tag.add((b"red", b"big"), encode_sortable(1) + b"a")
    >>> by_tag.add((b"red",), encode_sortable(2) + b"b")
    >>> by_tag.newest_of((b"red",), 10), by_tag.count(b"big")
    ([b'b', b'a'], 1)
    """

    __slots__ = ("_postings", "count", "latest", "newest_of")

    def __init__(self, **sizes: int) -> None:
        """`sizes` are the arguments of `Postings`."""
        self._postings = Postings(**sizes)
        self.newest_of: Callable[..., list[bytes]] = self._postings.newest_of
        self.count: Callable[[bytes], int] = self._postings.count
        self.latest: Callable[[bytes], bytes | None] = self._postings.latest

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._postings)

    @property
    def posting_count(self) -> int:
        """The number of postings under all keys: a row counts once for each of its keys. Runtime: O(1)."""
        return self._postings.posting_count

    def add(self, index_key: Sequence[bytes], posting: bytes) -> None:
        """Add the row of the posting under each of the keys. Runtime: O(keys * log n)."""
        for key in index_key:
            self._postings.add(key, posting)

    def remove(self, index_key: Sequence[bytes], posting: bytes) -> None:
        """Remove the row of the posting from under each of the keys. Runtime: O(keys * log n)."""
        for key in index_key:
            self._postings.remove(key, posting)

    def move(self, index_key: Sequence[bytes], posting: bytes, new_posting: bytes) -> None:
        """Replace the posting under each of the keys. Runtime: O(keys * log n)."""
        for key in index_key:
            self._postings.move(key, posting, new_posting)

    def clear(self) -> None:
        """Remove all rows. Runtime: O(n)."""
        self._postings.clear()

    def check(self, expected: Iterable[tuple[Sequence[bytes], bytes]]) -> None:
        """Raise `DivergenceError` unless exactly these rows are under these keys, in order."""
        self._postings.check((key, posting) for index_key, posting in expected for key in index_key)
