"""A primary dict and its indexes, changed as one.

Rules: a key has at most one row; each index files a row under the entry that was computed when the row was planned, and
nothing else.

Theory of operation: a change is *planned*, which computes and checks everything and changes nothing, and then
*applied*, which only moves what is known to fit. The row remembers its entries, so taking it out needs no look at what
it holds, which may have changed since. There is one way out, for replacing and deleting alike.

A row is bytes, because there may be millions. Of tuples the garbage collector visits those that are new, and the dict
that they are in, key by key, as long as one of them is: a fifth of a second for a million.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple, NewType, TypeAlias

from sessiondex.engine.index import F, Filing, Index
from sessiondex.engine.invariants import DivergenceError, check_same
from sessiondex.engine.postings import order
from sessiondex.engine.shards import ShardedDict

Entries: TypeAlias = tuple[Any, ...]
"""One for each index; `None` where the row does not belong in it."""

Record: TypeAlias = tuple[Any, ...]

Row = NewType("Row", bytes)
"""Entries, value, how long the entries are, revision, stamp."""

_STAMP_SIZE, _NUMBER_SIZE, _TAIL_SIZE = 8, 16, 20


_pack_tail = Struct(">IQ").pack


class Change(NamedTuple):
    """Where the row is that is to be taken out, and the row to put in, under one key, with their entries."""

    key: bytes
    old_stamp: bytes | None
    old_entries: Entries
    new: Row | None
    new_entries: Entries


class Table:
    """Rows by key and by index. What is kept of each is bytes, its *value*.

    A *record* is what entries are computed from: a tuple of plain immutable values, which `fields` names. Keys are all
    of one length. Stamps and revisions are from 0 to 2**63 - 1.

    Keeps every index equal to what the rows say. The caller applies a change before it plans the next of the same key.

    >>> from sessiondex.engine.postings import Postings
    >>> by_month = Index("month", ("year", "month"), lambda year, month: b"%d-%d" % (year, month), lambda: Postings(1))
    >>> table = Table(("year", "month", "day"), [by_month])
    >>> for stamp, record in enumerate([(2026, 3, 1), (2026, 4, 1), (2026, 3, 9)]):
    ...     table.apply(table.plan_put(b"%d" % stamp, stamp, 1, record, b"on the %d." % record[2]))
    >>> [table.value(table.row(key)) for key in table.index(by_month).newest(b"2026-3", 10)]
    [b'on the 9.', b'on the 1.']
    """

    def __init__(self, fields: Sequence[str], indexes: Sequence[Index[Any]]) -> None:
        self._rows: ShardedDict[Row] = ShardedDict()
        self._bytes = 0
        self._indexes = tuple(indexes)
        self._filings = self._no_filings()
        self._nowhere: Entries = (None,) * len(self._indexes)
        self._picks = tuple([itemgetter(*map(fields.index, index.fields)) for index in indexes])

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size_of_rows(self) -> int:
        """How many bytes all rows are together. Runtime: O(1)."""
        return self._bytes

    def row(self, key: bytes) -> Row | None:
        """Return the row under the key, if there is one. Runtime: O(1)."""
        return self._rows.get(key)

    @staticmethod
    def value(row: Row) -> bytes:
        """Return what the row keeps. Runtime: O(its length)."""
        return row[_end_of_entries(row) : -_TAIL_SIZE]

    @staticmethod
    def entries(row: Row) -> Entries:
        """Return where the row is filed. Runtime: O(entries)."""
        entries: Entries = marshal.loads(row)  # noqa: S302  # nobody else's bytes; it stops where the entries end
        return entries

    @staticmethod
    def revision(row: Row) -> int:
        """Return the revision that the row was put with. Runtime: O(1)."""
        return int.from_bytes(row[-_NUMBER_SIZE:-_STAMP_SIZE], "big")

    @staticmethod
    def stamp(row: Row) -> bytes:
        """Return the stamp of the row, as what it is ordered by. Runtime: O(1)."""
        return row[-_STAMP_SIZE:]

    def newest_first(self, keys: Iterable[bytes], since: bytes | None = None) -> list[bytes]:
        """Return these keys of rows, newest first, of rows not before `since`. Runtime: O(k log k) for k keys."""
        rows = self._rows
        stamp_of = {key: rows.shard(key)[key][-_STAMP_SIZE:] for key in keys}
        wanted = stamp_of if since is None else [key for key, stamp in stamp_of.items() if stamp >= since]
        return sorted(wanted, key=stamp_of.__getitem__, reverse=True)

    def some_keys(self, after: bytes | None, limit: int) -> list[bytes]:
        """Return up to `limit` keys, in an order that stays. Runtime: that of `ShardedDict.some_after`."""
        return self._rows.some_after(after, limit)

    def index(self, declared: Index[F]) -> F:
        """Return what the declared index has filed, for reading."""
        for index, filing in self.filings():
            if index is declared:
                return filing  # type: ignore[return-value]  # made by this very declaration
        raise KeyError(declared.name)

    def filings(self) -> Iterable[tuple[Index[Any], Filing]]:
        """Return every index with what it has filed."""
        return zip(self._indexes, self._filings, strict=True)

    def plan_put(self, key: bytes, stamp: int, revision: int, record: Record | None, value: bytes) -> Change:
        """Return the change that puts the value under the key, in place of what is there, filed as the record says.

        Without a record it is filed as the row is that is there. Nothing is changed. Runtime: O(indexes).

        Raises:
            ValueError: an entry is not plain.
        """
        old = self._rows.get(key)
        old_entries = self._nowhere if old is None else self.entries(old)
        entries = old_entries if record is None else self._entries_of(record)
        return Change(key, _stamp(old), old_entries, _row(order(stamp), revision, entries, value), entries)

    def plan_remove(self, key: bytes) -> Change:
        """Return the change that removes the row under the key, if there is one. Runtime: O(indexes)."""
        old = self._rows.get(key)
        return Change(key, _stamp(old), self._nowhere if old is None else self.entries(old), None, self._nowhere)

    def _entries_of(self, record: Record) -> Entries:
        return tuple([index.entry(*pick(record)) for index, pick in zip(self._indexes, self._picks, strict=True)])

    def _no_filings(self) -> tuple[Filing, ...]:
        return tuple([index.filing() for index in self._indexes])

    def apply(self, change: Change) -> None:
        """Make the change. Nothing here can fail on account of what was planned. Runtime: O(indexes * log n)."""
        key, old_stamp, old_entries, new, new_entries = change
        if old_stamp is not None:
            self._bytes -= len(self._rows.shard(key)[key])
        if new is not None:
            self._bytes += len(new)
        self.apply_to_row(change)
        item = b"" if old_stamp is None else old_stamp + key
        new_item = b"" if new is None else new[-_STAMP_SIZE:] + key
        # The one way out of the indexes, by the remembered entries, and the one way in.
        for filing, entry, new_entry in zip(self._filings, old_entries, new_entries, strict=True):
            if entry == new_entry:
                if entry is not None:
                    filing.move(entry, item, new_item)
            else:
                if entry is not None:
                    filing.remove(entry, item)
                if new_entry is not None:
                    filing.add(new_entry, new_item)

    def replace_value(self, key: bytes, value: bytes) -> None:
        """Keep this value in the row under the key, which must be there. Stamp and entries stay. Runtime: O(1)."""
        shard = self._rows.shard(key)
        row = shard[key]
        shard[key] = new = Row(row[: _end_of_entries(row)] + value + row[-_TAIL_SIZE:])
        self._bytes += len(new) - len(row)

    def apply_to_row(self, change: Change) -> None:
        """Make the change of the row alone; `refile` has to follow. May be done again. Runtime: O(1)."""
        if change.new is None:
            self._rows.shard(change.key).pop(change.key, None)
        else:
            self._rows.shard(change.key)[change.key] = change.new

    def refile(self) -> None:
        """File all rows anew, by the entries that they remember, whatever became of the indexes. Runtime: O(n log n).

        For when a change was interrupted. What `index` gave before is no longer in use.
        """
        filings, size = self._no_filings(), 0
        for key, row in self._rows.items():
            size += len(row)
            for filing, entry in zip(filings, self.entries(row), strict=True):
                if entry is not None:
                    filing.add(entry, row[-_STAMP_SIZE:] + key)
        self._filings, self._bytes = filings, size

    def _check(self, what_of: Callable[[bytes, bytes], tuple[Record, int, int]]) -> None:
        """Raise `DivergenceError` unless every index holds what the primary dict says. Runtime: O(n log n).

        `what_of` turns a key and its value into what its entries are computed from, its stamp and its revision.
        """
        check_same("count of bytes", self._bytes, sum(len(row) for _, row in self._rows.items()))
        filed: list[list[tuple[Any, bytes]]] = [[] for _ in self._indexes]
        for key, row in self._rows.items():
            entries = self.entries(row)
            record, stamp, revision = what_of(key, self.value(row))
            check_same(f"stamp of row {key!r}", row[-_STAMP_SIZE:], order(stamp))
            check_same(f"revision of row {key!r}", self.revision(row), revision)
            check_same(f"entries of row {key!r}", entries, self._entries_of(record))
            for items, entry in zip(filed, entries, strict=True):
                if entry is not None:
                    items.append((entry, row[-_STAMP_SIZE:] + key))
        for (index, filing), items in zip(self.filings(), filed, strict=True):
            try:
                filing._check(items)
            except DivergenceError as error:
                raise DivergenceError(f"index {index.name!r}, {error.where}", error.actual, error.expected) from None


def _row(stamp: bytes, revision: int, entries: Entries, value: bytes) -> Row:
    # These bytes never leave the process that made them; nothing packs and opens faster than marshal. Version 2 does
    # not look for what occurs twice, which takes as long as the rest.
    head = marshal.dumps(entries, 2)
    return Row(head + value + _pack_tail(len(head), revision) + stamp)


def _stamp(row: Row | None) -> bytes | None:
    return None if row is None else row[-_STAMP_SIZE:]


def _end_of_entries(row: Row) -> int:
    return int.from_bytes(row[-_TAIL_SIZE:-_NUMBER_SIZE], "big")
