"""Posting lists: under each key the stamps filed there, in order.

A posting list takes one of three forms, by its length. Most keys hold one to a few stamps, and there may be millions of
such keys: theirs is a tuple, small, and nothing that the garbage collector has to visit. A longer one is a list, which
bisects and moves its items in C: 5 times faster than a `SortedList` of a thousand. Moving grows with the length, so a
very long one is a `SortedList`, whose changes cost O(log n). A list that runs empty goes, and its key with it; reading
a key that is not there creates nothing.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

from sortedcontainers import SortedList

K = TypeVar("K", bound=Hashable)
PostingList: TypeAlias = "tuple[int, ...] | list[int] | SortedList[int]"

TUPLE_MAX, LIST_MAX = 8, 2_000


class Postings(Generic[K]):
    """A posting list for each key.

    Keeps every list sorted and none empty. The caller files a stamp under a key at most once.

    >>> postings = Postings()
    >>> for stamp in (3, 1, 2):
    ...     postings.add("a", stamp)
    >>> postings.newest("a", 2)
    [3, 2]
    """

    __slots__ = ("_list_max", "_lists", "_tuple_max")

    def __init__(self, tuple_max: int = TUPLE_MAX, list_max: int = LIST_MAX) -> None:
        self._lists: dict[K, PostingList] = {}
        self._tuple_max = tuple_max
        self._list_max = list_max

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._lists)

    def __contains__(self, key: K) -> bool:
        return key in self._lists

    def __iter__(self) -> Iterator[K]:
        return iter(self._lists)

    def add(self, key: K, stamp: int) -> None:
        """File the stamp under the key. Runtime: O(log n)."""
        postings = self._lists.get(key)
        if postings is None:
            self._lists[key] = (stamp,)
        elif isinstance(postings, tuple):
            longer = list(postings)
            insort(longer, stamp)
            self._lists[key] = tuple(longer) if len(longer) <= self._tuple_max else longer
        elif isinstance(postings, list):
            insort(postings, stamp)
            if len(postings) > self._list_max:
                self._lists[key] = SortedList(postings)
        else:
            postings.add(stamp)

    def remove(self, key: K, stamp: int) -> None:
        """Take the stamp from under the key, where it must be. Runtime: O(log n)."""
        postings = self._lists[key]
        if len(postings) == 1:
            del self._lists[key]
        elif isinstance(postings, tuple):
            self._lists[key] = tuple(other for other in postings if other != stamp)
        elif isinstance(postings, list):
            del postings[bisect_left(postings, stamp)]
        else:
            postings.remove(stamp)

    def move(self, key: K, stamp: int, new_stamp: int) -> None:
        """File `new_stamp` under the key in place of `stamp`, which must be there. Runtime: O(log n)."""
        postings = self._lists[key]
        if isinstance(postings, list):
            del postings[bisect_left(postings, stamp)]
            insort(postings, new_stamp)
        elif len(postings) == 1:
            self._lists[key] = (new_stamp,)
        else:
            self.remove(key, stamp)
            self.add(key, new_stamp)

    def latest(self, key: K) -> int | None:
        """Return the newest stamp under the key, if there is one. Runtime: O(1).

        >>> Postings().latest("nothing here") is None
        True
        """
        postings = self._lists.get(key)
        return None if postings is None else postings[-1]

    def newest(self, key: K, limit: int) -> list[int]:
        """Return up to `limit` stamps from under the key, newest first. Runtime: O(limit).

        >>> postings = Postings()
        >>> postings.newest("nothing here", 5)
        []
        """
        return list(islice(reversed(self._lists.get(key, ())), min(limit, sys.maxsize)))

    def between(self, key: K, low: int | None, high: int | None) -> list[int]:
        """Return the stamps under the key from `low` to `high`, both included, oldest first; `None` is no bound.

        Runtime: O(log n + result).

        >>> postings = Postings()
        >>> for stamp in (10, 20, 30):
        ...     postings.add("a", stamp)
        >>> postings.between("a", 11, None)
        [20, 30]
        """
        postings = self._lists.get(key, ())
        if isinstance(postings, SortedList):
            return list(postings.irange(low, high))
        start = 0 if low is None else bisect_left(postings, low)
        stop = len(postings) if high is None else bisect_right(postings, high)
        return list(postings[start:stop])

    def _check(self, expected: Iterable[tuple[K, int]]) -> None:
        """Raise `AssertionError` unless this holds exactly these stamps under these keys, in order."""
        should: defaultdict[K, list[int]] = defaultdict(list)
        for key, stamp in expected:
            should[key].append(stamp)
        assert self._lists.keys() == should.keys(), f"keys differ: {self._lists.keys() ^ should.keys()}"
        for key, stamps in should.items():
            postings = self._lists[key]
            assert list(postings) == sorted(stamps), f"{key!r} holds {list(postings)}, not {sorted(stamps)}"
            if isinstance(postings, SortedList):
                postings._check()  # type: ignore[attr-defined]  # sortedcontainers has it, its stubs do not
