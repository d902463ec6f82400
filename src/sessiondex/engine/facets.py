"""Faceted postings: under each key, rows split by two facets and ordered by a rank.

A query names a key, what it wants of each facet, and a range of ranks. It visits the facet values that it wants and, in
each, just the range: what it leaves out costs nothing, however much there is of it.

Under each key and pair of facets is a posting list, ordered by rank. What pairs a key has is kept beside them, as
bytes, like everything here that there may be a million of.
"""

from __future__ import annotations

import marshal
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from sessiondex.engine.postings import CHUNK_MAX, KEY_SIZE, Postings, order
from sessiondex.engine.shards import ShardedDict

Facet: TypeAlias = str | None
FacetedEntry: TypeAlias = tuple[bytes, Facet, Facet, int]
"""Key, outer facet, inner facet, rank."""

_ORDER_SIZE = 8


@dataclass(frozen=True)
class Choice:
    """Which values of a facet a query wants: those included (`None`: all) and not excluded.

    >>> choice = Choice(include={"a", "b", "z"}, exclude={"b"})
    >>> [value for value in ("a", "b", "c") if choice.wants(value)]
    ['a']
    """

    include: Collection[Facet] | None = None
    exclude: Collection[Facet] = ()

    def wants(self, value: Facet) -> bool:
        """Whether the value is wanted."""
        return (self.include is None or value in self.include) and value not in self.exclude


EVERYTHING = Choice()


class FacetedPostings:
    """Under each key and pair of facets: rows by rank.

    Keeps no empty list, pair or key. The caller files an item at most once, and takes it away by the entry that it was
    filed under. Ranks are from -2**63 to 2**63 - 1. What rows themselves are ordered by does not matter here.

    >>> postings = FacetedPostings(key_size=1)
    >>> postings.add((b"step", "sms", "pay", 7), order(1) + b"a")
    >>> postings.add((b"step", "api", "pay", 9), order(2) + b"b")
    >>> sorted(postings.select(b"step")), postings.select(b"step", outer=Choice({"sms"}))
    ([b'a', b'b'], [b'a'])
    >>> postings.select(b"step", low=8)
    [b'b']
    """

    __slots__ = ("_pairs", "_postings")

    def __init__(self, key_size: int = KEY_SIZE, chunk_max: int = CHUNK_MAX) -> None:
        self._pairs: ShardedDict[bytes] = ShardedDict()
        self._postings = Postings(key_size, chunk_max)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._pairs)

    @property
    def entries(self) -> int:
        """How many rows are filed, under all keys. Runtime: O(1)."""
        return self._postings.entries

    def add(self, entry: FacetedEntry, item: bytes) -> None:
        """File the row of the item under the entry. Runtime: O(log n), and O(pairs of the key) for a new pair."""
        key, outer, inner, rank = entry
        under = _under(key, outer, inner)
        if under not in self._postings:
            self._pairs.shard(key)[key] = marshal.dumps([*self._pairs_of(key), (outer, inner)])
        self._postings.add(under, order(rank) + item[_ORDER_SIZE:])

    def remove(self, entry: FacetedEntry, item: bytes) -> None:
        """Take the row from under the entry, where it must be. Runtime: as `add`, for the last row of a pair."""
        key, outer, inner, rank = entry
        under = _under(key, outer, inner)
        self._postings.remove(under, order(rank) + item[_ORDER_SIZE:])
        if under not in self._postings:
            pairs = [pair for pair in self._pairs_of(key) if pair != (outer, inner)]
            if pairs:
                self._pairs.shard(key)[key] = marshal.dumps(pairs)
            else:
                del self._pairs.shard(key)[key]

    def move(self, entry: FacetedEntry, item: bytes, new_item: bytes) -> None:
        """Do nothing: the row is the same, and so is its rank."""

    def select(
        self,
        key: bytes,
        *,
        outer: Choice = EVERYTHING,
        inner: Choice = EVERYTHING,
        low: int | None = None,
        high: int | None = None,
    ) -> list[bytes]:
        """Return the keys of the rows with wanted facets and a rank from `low` to `high`, in no order.

        Runtime: O(pairs of the key * log n + result).
        """
        return [
            row
            for pair in self._pairs_of(key)
            if outer.wants(pair[0]) and inner.wants(pair[1])
            for row in self._postings.between(_under(key, *pair), low, high)
        ]

    def _pairs_of(self, key: bytes) -> list[tuple[Facet, Facet]]:
        packed = self._pairs.get(key)
        return [] if packed is None else marshal.loads(packed)  # noqa: S302  # nobody else's bytes

    def _check(self, expected: Iterable[tuple[FacetedEntry, bytes]]) -> None:
        """Raise `AssertionError` unless this holds exactly these rows under these entries, in order."""
        items = []
        pairs: dict[bytes, set[tuple[Facet, Facet]]] = {}
        for (key, outer, inner, rank), item in expected:
            items.append((_under(key, outer, inner), order(rank) + item[_ORDER_SIZE:]))
            pairs.setdefault(key, set()).add((outer, inner))
        self._postings._check(items)
        assert set(self._pairs) == pairs.keys(), f"keys differ: {set(self._pairs) ^ pairs.keys()}"
        for key, should in pairs.items():
            present = self._pairs_of(key)
            assert len(present) == len(should), f"facets of {key!r} are kept twice: {present}"
            assert set(present) == should, f"facets of {key!r} differ: {set(present) ^ should}"


def _under(key: bytes, outer: Facet, inner: Facet) -> bytes:
    # Lengths first, or else a key that ends like facets could stand for another.
    outer_code, inner_code = _code(outer), _code(inner)
    return b"%d,%d:%b%b%b" % (len(key), len(outer_code), key, outer_code, inner_code)


def _code(facet: Facet) -> bytes:
    return b"" if facet is None else b"=" + facet.encode()
