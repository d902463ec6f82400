"""Faceted postings: under each key, stamps split by two facets and ordered by a rank.

A query names a key, what it wants of each facet, and a range of ranks. It visits the facet values that it wants and, in
each, just the range: what it leaves out costs nothing, however much there is of it.

Rank and stamp are filed as one integer, the rank in the high bits: sorted by rank, unique by stamp, and still a plain
integer, which a tuple of the two would not be.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sessiondex.engine.postings import LIST_MAX, TUPLE_MAX, Postings

Facet: TypeAlias = Hashable
FacetedEntry: TypeAlias = tuple[Hashable, Facet, Facet, int]
"""Key, outer facet, inner facet, rank."""

_STAMP_BITS = 64
_STAMP_MASK = (1 << _STAMP_BITS) - 1


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
            wanted = (value for value in self.include if value in present)
        return (value for value in wanted if value not in self.exclude)


EVERYTHING = Choice()


class FacetedPostings:
    """Under each key: outer facet -> inner facet -> stamps by rank.

    Keeps no empty list, facet or key. The caller files a stamp at most once, and takes it away by the entry that it was
    filed under. Stamps are from 0 to 2**64 - 1; ranks are any integers.

    >>> postings = FacetedPostings()
    >>> postings.add(("step", "sms", "pay", 7), 1)
    >>> postings.add(("step", "api", "pay", 9), 2)
    >>> postings.select("step"), postings.select("step", outer=Choice({"sms"})), postings.select("step", low=8)
    ([2, 1], [1], [2])
    """

    __slots__ = ("_facets", "_thresholds")

    def __init__(self, tuple_max: int = TUPLE_MAX, list_max: int = LIST_MAX) -> None:
        self._facets: dict[Hashable, dict[Facet, Postings[Facet]]] = {}
        self._thresholds = tuple_max, list_max

    def add(self, entry: FacetedEntry, stamp: int) -> None:
        """File the stamp under the entry. Runtime: O(log n)."""
        key, outer, inner, rank = entry
        by_outer = self._facets.get(key)
        if by_outer is None:
            by_outer = self._facets[key] = {}
        by_inner = by_outer.get(outer)
        if by_inner is None:
            by_inner = by_outer[outer] = Postings(*self._thresholds)
        by_inner.add(inner, rank << _STAMP_BITS | stamp)

    def remove(self, entry: FacetedEntry, stamp: int) -> None:
        """Take the stamp from under the entry, where it must be. Runtime: O(log n)."""
        key, outer, inner, rank = entry
        by_outer = self._facets[key]
        by_inner = by_outer[outer]
        by_inner.remove(inner, rank << _STAMP_BITS | stamp)
        if not by_inner:
            del by_outer[outer]
            if not by_outer:
                del self._facets[key]

    def move(self, entry: FacetedEntry, stamp: int, new_stamp: int) -> None:
        """File `new_stamp` under the entry in place of `stamp`. Runtime: O(log n)."""
        key, outer, inner, rank = entry
        high = rank << _STAMP_BITS
        self._facets[key][outer].move(inner, high | stamp, high | new_stamp)

    def select(
        self,
        key: Hashable,
        *,
        outer: Choice = EVERYTHING,
        inner: Choice = EVERYTHING,
        low: int | None = None,
        high: int | None = None,
    ) -> list[int]:
        """Return the stamps under the key with wanted facets and a rank from `low` to `high`, newest first.

        Runtime: O(facet values visited * log n + k log k) for k results.
        """
        first = None if low is None else low << _STAMP_BITS
        last = None if high is None else high << _STAMP_BITS | _STAMP_MASK
        by_outer = self._facets.get(key, {})
        stamps = [
            number & _STAMP_MASK
            for outer_value in outer.of(by_outer)
            for inner_value in inner.of(by_outer[outer_value])
            for number in by_outer[outer_value].between(inner_value, first, last)
        ]
        stamps.sort(reverse=True)
        return stamps

    def _check(self, expected: Iterable[tuple[FacetedEntry, int]]) -> None:
        """Raise `AssertionError` unless this holds exactly these stamps under these entries, in order."""
        should: dict[Hashable, dict[Facet, list[tuple[Facet, int]]]] = {}
        for (key, outer, inner, rank), stamp in expected:
            numbers = should.setdefault(key, {}).setdefault(outer, [])
            numbers.append((inner, rank << _STAMP_BITS | stamp))
        assert self._facets.keys() == should.keys(), f"keys differ: {self._facets.keys() ^ should.keys()}"
        for key, by_outer in should.items():
            present = self._facets[key]
            assert present.keys() == by_outer.keys(), f"facets of {key!r} differ: {present.keys() ^ by_outer.keys()}"
            for outer, numbers in by_outer.items():
                present[outer]._check(numbers)
