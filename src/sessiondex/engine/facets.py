"""Faceted postings: under each key, rows split by two facets and ordered by a rank.

A query names a key, what it wants of each facet, and a range of ranks. It visits the facet values that it wants and, in
each, just the range: what it leaves out costs nothing, however much there is of it.

Under each key and pair of facets is a posting list, ordered by rank. What facets a key has is kept beside them, and so
is how many rows it has. Keys that begin alike are a group, and what keys a group has is kept too: so one key can be
counted, or all of a group, without a look at the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sessiondex.engine.invariants import check_same
from sessiondex.engine.postings import CHUNK_MAX, KEY_SIZE, Postings, order
from sessiondex.engine.rosters import ROSTER_MAX, Rosters
from sessiondex.engine.shards import ShardedDict

Facet: TypeAlias = str | None
FacetedEntry: TypeAlias = tuple[bytes, Facet, Facet, int]
"""Key, outer facet, inner facet, rank."""
Facets: TypeAlias = dict[Facet, dict[Facet, None]]
"""Outer facet -> inner facets."""

_ORDER_SIZE = 8


@dataclass(frozen=True)
class Choice:
    """Which values of a facet a query wants: those included (`None`: all) and not excluded.

    >>> sorted(Choice(include={"a", "b", "z"}, exclude={"b"}).of({"a": 1, "b": 2, "c": 3}))
    ['a']
    """

    include: Collection[Facet] | None = None
    exclude: Collection[Facet] = ()

    def of(self, present: Collection[Facet]) -> Iterator[Facet]:
        """Yield the wanted values among those present. Runtime: O(included), or O(present) if all are."""
        if self.include is None:
            wanted: Iterable[Facet] = present
        else:
            wanted = (value for value in frozenset(self.include) if value in present)
        return (value for value in wanted if value not in self.exclude)


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
    >>> postings.count(b"step"), postings.counts(b"")
    (2, {b'step': 2})
    """

    __slots__ = ("_counts", "_facets", "_group_size", "_groups", "_postings")

    def __init__(
        self, key_size: int = KEY_SIZE, chunk_max: int = CHUNK_MAX, roster_max: int = ROSTER_MAX, group_size: int = 0
    ) -> None:
        """Keys are of one group whose first `group_size` bytes are the same."""
        self._group_size = group_size
        self._groups: Rosters[bytes, None] = Rosters(roster_max)
        self._facets: Rosters[Facet, dict[Facet, None]] = Rosters(roster_max)
        self._counts: ShardedDict[int] = ShardedDict()
        self._postings = Postings(key_size, chunk_max)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._counts)

    @property
    def entries(self) -> int:
        """How many rows are filed, under all keys. Runtime: O(1)."""
        return self._postings.entries

    def add(self, entry: FacetedEntry, item: bytes) -> None:
        """File the row of the item under the entry. Runtime: O(log n)."""
        key, outer, inner, rank = entry
        under = _under(key, outer, inner)
        if under not in self._postings:
            facets = self._facets.get(key)
            facets.setdefault(outer, {})[inner] = None
            self._facets.keep(key, facets, _pairs(facets))
        self._postings.add(under, order(rank) + item[_ORDER_SIZE:])
        counts = self._counts.shard(key)
        count = counts.get(key, 0)
        counts[key] = count + 1
        if not count:
            group, member = self._split(key)
            members = self._groups.get(group)
            members[member] = None
            self._groups.keep(group, members, len(members))

    def remove(self, entry: FacetedEntry, item: bytes) -> None:
        """Take the row from under the entry, where it must be. Runtime: O(log n)."""
        key, outer, inner, rank = entry
        under = _under(key, outer, inner)
        self._postings.remove(under, order(rank) + item[_ORDER_SIZE:])
        if under not in self._postings:
            facets = self._facets.get(key)
            del facets[outer][inner]
            if not facets[outer]:
                del facets[outer]
            self._facets.keep(key, facets, _pairs(facets))
        counts = self._counts.shard(key)
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
            group, member = self._split(key)
            members = self._groups.get(group)
            del members[member]
            self._groups.keep(group, members, len(members))

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

        Runtime: O(facet values visited * log n + result).
        """
        facets = self._facets.get(key)
        return [
            row
            for outer_value in outer.of(facets)
            for inner_value in inner.of(facets[outer_value])
            for row in self._postings.between(_under(key, outer_value, inner_value), low, high)
        ]

    def count(self, key: bytes) -> int:
        """Return how many rows are filed under the key, whatever their facets. Runtime: O(1)."""
        return self._counts.get(key) or 0

    def counts(self, group: bytes) -> dict[bytes, int]:
        """Return how many rows each key of the group has, by what follows the group in the key. Runtime: O(keys)."""
        return {member: self.count(group + member) for member in self._groups.get(group)}

    def _split(self, key: bytes) -> tuple[bytes, bytes]:
        return key[: self._group_size], key[self._group_size :]

    def _check(self, expected: Iterable[tuple[FacetedEntry, bytes]]) -> None:
        """Raise `DivergenceError` unless this holds exactly these rows under these entries, in order."""
        items = []
        pairs: dict[bytes, set[tuple[Facet, Facet]]] = {}
        counts: Counter[bytes] = Counter()
        for (key, outer, inner, rank), item in expected:
            items.append((_under(key, outer, inner), order(rank) + item[_ORDER_SIZE:]))
            pairs.setdefault(key, set()).add((outer, inner))
            counts[key] += 1
        self._postings._check(items)
        check_same("counts of rows by key", dict(self._counts.items()), counts)
        groups: dict[bytes, dict[bytes, None]] = {}
        for key in counts:
            group, member = self._split(key)
            groups.setdefault(group, {})[member] = None
        self._groups._check(groups, len)
        facets: dict[bytes, Facets] = {}
        for key, present in pairs.items():
            for outer, inner in present:
                facets.setdefault(key, {}).setdefault(outer, {})[inner] = None
        self._facets._check(facets, _pairs)


def _pairs(facets: Facets) -> int:
    return sum(map(len, facets.values()))


def _under(key: bytes, outer: Facet, inner: Facet) -> bytes:
    # Lengths first, or else a key that ends like facets could stand for another.
    outer_code, inner_code = _code(outer), _code(inner)
    return b"%d,%d:%b%b%b" % (len(key), len(outer_code), key, outer_code, inner_code)


def _code(facet: Facet) -> bytes:
    return b"" if facet is None else b"=" + facet.encode()
