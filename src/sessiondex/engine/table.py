"""A primary dict and its indexes, changed as one.

Rules: a key has at most one row; a row has a stamp that no other row has; each index files a row's stamp under the
entry that was computed when the row was planned, and nothing else.

Theory of operation: a change is *planned*, which computes and checks everything and changes nothing, and then
*applied*, which only moves what is known to fit. The row remembers its entries, so taking it out needs no look at what
it holds, which may have changed since. There is one way out, for replacing and deleting alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeAlias, TypeVar

from sessiondex.engine.index import F, Filing, Index

V = TypeVar("V")

Entries: TypeAlias = tuple[Hashable | None, ...]
# Not a class: the garbage collector stops visiting plain tuples of atoms, but not instances.
Row: TypeAlias = tuple[int, bytes, Entries, V]
"""Stamp, key, entries, value."""


Record: TypeAlias = tuple[Any, ...]

Change: TypeAlias = tuple[Row[V] | None, Row[V] | None]
"""The row to take out, and the row to put in."""


class Table(Generic[V]):
    """Rows by key and by index. `V` is what is kept.

    A *record* is what entries are computed from: a tuple of plain immutable values, which `fields` names.

    Keeps every index equal to what the rows say. The caller applies a change before it plans the next.

    >>> from sessiondex.engine.postings import Postings
    >>> by_month = Index("month", ("year", "month"), lambda year, month: (year, month), Postings)
    >>> table = Table(("year", "month", "day"), [by_month])
    >>> for stamp, record in enumerate([(2026, 3, 1), (2026, 4, 1), (2026, 3, 9)]):
    ...     table.apply(table.plan_put(bytes(stamp), stamp, record, f"on the {record[2]}."))
    >>> table.values(table.index(by_month).newest((2026, 3), 10))
    ['on the 9.', 'on the 1.']
    """

    def __init__(self, fields: Sequence[str], indexes: Sequence[Index[Any]]) -> None:
        self._rows: dict[bytes, Row[V]] = {}
        self._by_stamp: dict[int, Row[V]] = {}
        self._indexes = tuple(indexes)
        self._filings: tuple[Filing, ...] = tuple([index.filing() for index in indexes])
        self._nowhere: Entries = (None,) * len(self._indexes)
        self._picks = tuple([itemgetter(*map(fields.index, index.fields)) for index in indexes])

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: bytes) -> Row[V] | None:
        """Return the row under the key. Runtime: O(1)."""
        return self._rows.get(key)

    def value(self, stamp: int) -> V:
        """Return the value of the row with that stamp, which an index must have given. Runtime: O(1)."""
        return self._by_stamp[stamp][3]

    def values(self, stamps: Iterable[int]) -> list[V]:
        """Return the values of the rows with these stamps, in their order. Runtime: O(result)."""
        rows = self._by_stamp
        return [rows[stamp][3] for stamp in stamps]

    def index(self, declared: Index[F]) -> F:
        """Return what the declared index has filed, for reading."""
        for index, filing in zip(self._indexes, self._filings, strict=True):
            if index is declared:
                return filing  # type: ignore[return-value]  # made by this very declaration
        raise KeyError(declared.name)

    def plan_put(self, key: bytes, stamp: int, record: Record, value: V, earlier: Record | None = None) -> Change[V]:
        """Return the change that puts the value under the key, in place of an earlier one, filed as the record says.

        `earlier` is the record of the row that is there, if it is at hand: of what has not changed, the entries stay.
        Nothing is changed. Runtime: O(indexes).

        Raises:
            ValueError: another row has that stamp.
            TypeError: an index computes an entry that cannot be a key.
        """
        if stamp in self._by_stamp:
            raise ValueError(f"stamp {stamp} is taken")
        row = self._rows.get(key)
        if row is None or earlier is None:
            entries = self._entries_of(record)
        else:
            entries = self._entries_since(row[2], earlier, record)
        hash(entries)
        return row, (stamp, key, entries, value)

    def _entries_of(self, record: Record) -> Entries:
        return tuple([index.entry(*pick(record)) for index, pick in zip(self._indexes, self._picks, strict=True)])

    def _entries_since(self, entries: Entries, before: Record, after: Record) -> Entries:
        if after == before:
            return entries
        parts = zip(self._indexes, self._picks, entries, strict=True)
        return tuple(
            [entry if pick(after) == pick(before) else index.entry(*pick(after)) for index, pick, entry in parts]
        )

    def plan_remove(self, key: bytes) -> Change[V]:
        """Return the change that removes the row under the key, if there is one. Runtime: O(1)."""
        return self._rows.get(key), None

    def apply(self, change: Change[V]) -> None:
        """Make the change. Nothing here can fail on account of what was planned. Runtime: O(indexes * log n)."""
        old, new = change
        if new is None:
            if old is not None:
                del self._rows[old[1]]
                del self._by_stamp[old[0]]
                self._refile(old[0], old[2], 0, self._nowhere)
        else:
            stamp, key, entries, _ = new
            self._rows[key] = new
            if old is None:
                self._refile(0, self._nowhere, stamp, entries)
            else:
                del self._by_stamp[old[0]]
                self._refile(old[0], old[2], stamp, entries)
            self._by_stamp[stamp] = new

    def _refile(self, stamp: int, entries: Entries, new_stamp: int, new_entries: Entries) -> None:
        """The one way out of the indexes, by the remembered entries, and the one way in."""
        for filing, entry, new_entry in zip(self._filings, entries, new_entries, strict=True):
            if entry == new_entry:
                if entry is not None:
                    filing.move(entry, stamp, new_stamp)
            else:
                if entry is not None:
                    filing.remove(entry, stamp)
                if new_entry is not None:
                    filing.add(new_entry, new_stamp)

    def _check(self, record_of: Callable[[V], Record]) -> None:
        """Raise `AssertionError` unless every index holds what the primary dict says. Runtime: O(n log n).

        `record_of` turns a kept value into what its entries are computed from.
        """
        assert self._by_stamp == {row[0]: row for row in self._rows.values()}, "rows by key and by stamp differ"
        for key, (stamp, own_key, entries, value) in self._rows.items():
            assert own_key == key, f"the row under {key!r} takes itself to be under {own_key!r}"
            computed = self._entries_of(record_of(value))
            assert entries == computed, f"row {stamp} is filed under {entries}, but belongs under {computed}"
        for position, (index, filing) in enumerate(zip(self._indexes, self._filings, strict=True)):
            expected = [(row[2][position], row[0]) for row in self._rows.values() if row[2][position] is not None]
            try:
                filing._check(expected)
            except AssertionError as error:
                raise AssertionError(f"index {index.name!r}: {error}") from None
