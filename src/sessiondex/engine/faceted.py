"""Posting lists that are split by two facets, so that a query reads only what it asks for.

Rules:

- A row is filed under a key, an outer and an inner facet, in the order of a rank. Either facet may be `None`.
- Keys that begin alike form a *group*. Rows can be counted by key, and for all keys of a group.
- Neither an empty list, nor a facet, key or group without rows is kept.

Theory of operation: each key and pair of facets has a posting list of its own, ordered by rank. Plain dicts map a key
to its outer facets, these to inner facets, and these to the key of the list. A query visits the facets that it wants,
and in each list the range of ranks that it wants. Dicts are affordable here: there may be millions of
rows, but only thousands of keys with their facets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sessiondex.engine.invariants import check_same
from sessiondex.engine.postings import (
    POSTINGS_PER_CHUNK,
    ROW_KEY_SIZE,
    SORTABLE_OFFSET,
    SORTABLE_SIZE,
    Postings,
    encode_sortable,
)

Facet: TypeAlias = str | None
FacetedKey: TypeAlias = tuple[bytes, Facet, Facet, int]
"""Key, outer facet, inner facet, rank."""


@dataclass(frozen=True)
class FacetFilter:
    """Choose values of a facet: those in `include` (`None`: all) that are not in `exclude`.

    >>> sorted(FacetFilter(include={"a", "b", "z"}, exclude={"b"}).matching({"a": 1, "b": 2, "c": 3}))
    ['a']
    """

    include: Collection[Facet] | None = None
    exclude: Collection[Facet] = ()

    def matching(self, present: Collection[Facet]) -> Iterator[Facet]:
        """Yield the chosen values among those present. Runtime: O(included), or O(present) if `include` is `None`."""
        if self.include is None:
            candidates: Iterable[Facet] = present
        else:
            candidates = (value for value in frozenset(self.include) if value in present)
        return (value for value in candidates if value not in self.exclude)


ANY_FACET = FacetFilter()


class FacetedPostings:
    """Keep rows by key and two facets, in the order of a rank.

    The caller adds a row at most once, and removes it by the index key that it was added with. Ranks are from -2**63 to
    2**63 - 1. Of a posting only the row key is used: the rank takes the place of its number.

    >>> postings = FacetedPostings(row_key_size=1)
    >>> postings.add((b"step", "sms", "pay", 7), encode_sortable(1) + b"a")
    >>> postings.add((b"step", "api", "pay", 9), encode_sortable(2) + b"b")
    >>> sorted(postings.select(b"step")), postings.select(b"step", outer=FacetFilter({"sms"}))
    ([b'a', b'b'], [b'a'])
    >>> postings.select(b"step", low=8)
    [b'b']
    >>> postings.count(b"step"), postings.counts(b"")
    (2, {b'step': 2})
    """

    __slots__ = ("_counts", "_group_size", "_groups", "_inner", "_outer", "_postings")

    def __init__(
        self,
        row_key_size: int = ROW_KEY_SIZE,
        postings_per_chunk: int = POSTINGS_PER_CHUNK,
        group_size: int = 0,
    ) -> None:
        """The first `group_size` bytes of a key are its group."""
        self._group_size = group_size
        self._groups: dict[bytes, set[bytes]] = {}
        self._counts: dict[bytes, int] = {}
        # Key -> outer facet -> key of both -> inner facet -> key of the list. Not one dict within another: a dict of
        # texts and bytes alone is invisible to the garbage collector, which would spend 5 µs on each step otherwise.
        self._outer: dict[bytes, dict[Facet, bytes]] = {}
        self._inner: dict[bytes, dict[Facet, bytes]] = {}
        self._postings = Postings(row_key_size, postings_per_chunk)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._counts)

    @property
    def posting_count(self) -> int:
        """The number of rows under all keys. Runtime: O(1)."""
        return self._postings.posting_count

    def add(self, index_key: FacetedKey, posting: bytes) -> None:
        """Add the row of the posting under the index key. Runtime: O(log n)."""
        key, outer, inner, rank = index_key
        try:
            list_key = self._inner[self._outer[key][outer]][inner]
        except KeyError:
            list_key = self._add_facets(key, outer, inner)
        self._postings.add(list_key, (rank + SORTABLE_OFFSET).to_bytes(SORTABLE_SIZE, "big") + posting[SORTABLE_SIZE:])
        self._counts[key] += 1

    def remove(self, index_key: FacetedKey, posting: bytes) -> None:
        """Remove the row of the posting from under the index key, where it must be. Runtime: O(log n)."""
        key, outer, inner, rank = index_key
        list_key = self._inner[self._outer[key][outer]][inner]
        ranked = (rank + SORTABLE_OFFSET).to_bytes(SORTABLE_SIZE, "big") + posting[SORTABLE_SIZE:]
        self._postings.remove(list_key, ranked)
        self._counts[key] -= 1
        if list_key not in self._postings:
            self._remove_facets(key, outer, inner)

    def move(self, index_key: FacetedKey, posting: bytes, new_posting: bytes) -> None:
        """Do nothing: row and rank stay the same."""

    def clear(self) -> None:
        """Remove all rows. Runtime: O(n)."""
        self._postings.clear()
        self._outer.clear()
        self._inner.clear()
        self._counts.clear()
        self._groups.clear()

    def select(
        self,
        key: bytes,
        *,
        outer: FacetFilter = ANY_FACET,
        inner: FacetFilter = ANY_FACET,
        low: int | None = None,
        high: int | None = None,
    ) -> list[bytes]:
        """Return the row keys with matching facets and a rank from `low` to `high`, both included, in no order.

        Runtime: O(matching pairs of facets * log n + result).
        """
        outer_facets = self._outer.get(key, {})
        return [
            row_key
            for outer_facet in outer.matching(outer_facets)
            for inner_facets in (self._inner[outer_facets[outer_facet]],)
            for inner_facet in inner.matching(inner_facets)
            for row_key in self._postings.between(inner_facets[inner_facet], low, high)
        ]

    def count(self, key: bytes) -> int:
        """Return the number of rows under the key, with any facets. Runtime: O(1)."""
        return self._counts.get(key, 0)

    def counts(self, group: bytes) -> dict[bytes, int]:
        """Return the number of rows of each key of the group. The group is cut off the keys. Runtime: O(keys)."""
        return {key[self._group_size :]: self._counts[key] for key in self._groups.get(group, ())}

    def _add_facets(self, key: bytes, outer: Facet, inner: Facet) -> bytes:
        """Register the pair of facets, and the key if it is new. Return the key of their list."""
        list_key, both = _composite_key(key, outer, inner), _composite_key(key, outer, None)
        self._outer.setdefault(key, {})[outer] = both
        self._inner.setdefault(both, {})[inner] = list_key
        self._groups.setdefault(key[: self._group_size], set()).add(key)
        self._counts.setdefault(key, 0)
        return list_key

    def _remove_facets(self, key: bytes, outer: Facet, inner: Facet) -> None:
        """Forget the pair of facets, and the key if it has no others."""
        outer_facets = self._outer[key]
        both = outer_facets[outer]
        del self._inner[both][inner]
        if not self._inner[both]:
            del self._inner[both], outer_facets[outer]
        if not outer_facets:
            group = key[: self._group_size]
            self._groups[group].remove(key)
            if not self._groups[group]:
                del self._groups[group]
            del self._outer[key], self._counts[key]

    def check(self, expected: Iterable[tuple[FacetedKey, bytes]]) -> None:
        """Raise `DivergenceError` unless exactly these rows are under these index keys, in order."""
        postings: list[tuple[bytes, bytes]] = []
        outer_facets: dict[bytes, dict[Facet, bytes]] = {}
        inner_facets: dict[bytes, dict[Facet, bytes]] = {}
        groups: dict[bytes, set[bytes]] = {}
        counts: Counter[bytes] = Counter()
        for (key, outer, inner, rank), posting in expected:
            list_key = _composite_key(key, outer, inner)
            postings.append((list_key, encode_sortable(rank) + posting[SORTABLE_SIZE:]))
            both = _composite_key(key, outer, None)
            outer_facets.setdefault(key, {})[outer] = both
            inner_facets.setdefault(both, {})[inner] = list_key
            groups.setdefault(key[: self._group_size], set()).add(key)
            counts[key] += 1
        self._postings.check(postings)
        check_same("outer facets by key", self._outer, outer_facets)
        check_same("inner facets by key and outer facet", self._inner, inner_facets)
        check_same("keys by group", self._groups, groups)
        check_same("counts of rows by key", self._counts, counts)


def _composite_key(key: bytes, outer: Facet, inner: Facet) -> bytes:
    # The lengths come first. Without them, a key that ends like a facet could stand for a shorter key with that facet.
    outer_part, inner_part = _encode_facet(outer), _encode_facet(inner)
    return b"%d,%d:%b%b%b" % (len(key), len(outer_part), key, outer_part, inner_part)


def _encode_facet(facet: Facet) -> bytes:
    return b"" if facet is None else b"=" + facet.encode(errors="surrogatepass")  # so that no text fails here
