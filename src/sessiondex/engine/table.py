"""A primary dict and its indexes, changed together.

Rules:

- A key has at most one row.
- A row remembers its index keys. Each index holds the row's posting under that key, and nothing else.
- A change is planned first, and then applied. Planning checks everything and changes nothing; applying cannot fail.
- After an interruption (Ctrl-C, MemoryError) anywhere in `apply`, `apply_to_row` for each change and then `rebuild`
  restore all rules. The rows decide; the state of the indexes does not matter.

Theory of operation: a row is one bytes object, because there may be millions. The garbage collector visits tuples, and
a dict that contains any: that takes 200 ms for a million. The head of a row has a fixed size, and the index keys follow
as `marshal` writes them. A planned row with the same bytes in that place is filed under the same index keys, which is
the common case and needs no decoding. Removing a row needs no look at its value: the remembered index keys say where
its postings are.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from operator import itemgetter
from struct import Struct
from struct import error as StructError  # noqa: N812  # it is a class
from typing import Any, NamedTuple, NewType, TypeAlias

from sessiondex.engine.faceted import FacetedKey
from sessiondex.engine.index import F, Index, IndexStorage
from sessiondex.engine.invariants import DivergenceError, check_same
from sessiondex.engine.postings import ROW_KEY_SIZE, SORTABLE_OFFSET, encode_sortable
from sessiondex.engine.sharded_dict import ShardedDict

Row = NewType("Row", bytes)
"""Key (16 bytes), owner (16), sortable stamp, revision and generation (8 each), size of the index keys (4), index keys,
and value."""

IndexKeys: TypeAlias = tuple[bytes | tuple[bytes, ...] | FacetedKey | None, ...]
"""One for each index, in their order. `None`: the row is not in that index."""

OWNER_SIZE = 16

_HEAD = Struct(f">{ROW_KEY_SIZE}s{OWNER_SIZE}sQQ8sI")
_HEAD_SIZE = _HEAD.size
_STAMP = slice(32, 40)
_GENERATION = slice(48, 56)
_SIZE = slice(56, 60)
_pack_head, _unpack_head = _HEAD.pack, _HEAD.unpack_from
_stamp_of = itemgetter(_STAMP)
# Version 2 of the format does not look for objects that occur twice, which takes as long as all the rest.
_MARSHAL_VERSION = 2


class RowHead(NamedTuple):
    """The fixed values of a row."""

    key: bytes
    owner: bytes
    stamp: int
    revision: int
    generation: bytes
    """Differs between rows that do not follow from one another, and between those before and after a removal."""


class RowChange(NamedTuple):
    """A planned change of one row: `old` is replaced by `new`. `None`: there is no row before, or after."""

    key: bytes
    old: Row | None
    new: Row | None
    old_keys: IndexKeys
    new_keys: IndexKeys


# Makes the same tuple as the class itself does, without a call of Python, in 60 % of the time. Each save makes one.
_new_tuple = tuple.__new__


class Table:
    """Keep rows by key, and in each index by their index keys. The value of a row is any bytes.

    Keys and owners have 16 bytes. Revisions are from 0 to 2**64 - 1, stamps from -2**63 to 2**63 - 1.

    Every index equals what the rows say. The caller applies a change before it plans the next one of the same key, and
    gives each index the keys that its storage accepts.

    >>> from sessiondex.engine.postings import Postings
    >>> by_month = Index("month", ("month",), Postings)
    >>> table, owner = Table([by_month]), bytes(16)
    >>> for stamp, month, value in ((1, b"March", b"1st"), (2, b"April", b"1st"), (3, b"March", b"9th")):
    ...     table.apply(table.plan_put(b"%016d" % stamp, owner, stamp, 1, (month,), value))
    >>> [table.value(table.row(key)) for key in table.storage(by_month).newest(b"March", 10)]
    [b'9th', b'1st']
    """

    __slots__ = ("_generations", "_indexes", "_mask", "_no_keys", "_rows", "_shards", "_size_of_rows", "_storages")

    def __init__(self, indexes: Sequence[Index[Any]]) -> None:
        self._rows: ShardedDict[Row] = ShardedDict()
        self._shards, self._mask = self._rows.shards, self._rows.mask
        self._size_of_rows = 0
        self._indexes = tuple(indexes)
        self._storages: tuple[IndexStorage[Any], ...] = tuple([index.storage() for index in indexes])
        self._generations = count(1)
        self._no_keys: IndexKeys = (None,) * len(self._indexes)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size_of_rows(self) -> int:
        """The bytes of all rows together. Runtime: O(1)."""
        return self._size_of_rows

    def row(self, key: bytes) -> Row | None:
        """Return the row of the key, or `None`. Runtime: O(1)."""
        return self._shards[hash(key) & self._mask].get(key)

    def rows(self) -> Iterator[Row]:
        """Yield all rows, in no order. Runtime: O(n)."""
        return (row for _, row in self._rows.items())

    def head_of_key(self, key: bytes) -> RowHead | None:
        """Return the fixed values of the row of the key, or `None`. Runtime: O(1)."""
        row = self._shards[hash(key) & self._mask].get(key)
        if row is None:
            return None
        key, owner, stamp, revision, generation, _ = _unpack_head(row)  # as `head` does, without the call
        return _new_tuple(RowHead, (key, owner, stamp - SORTABLE_OFFSET, revision, generation))

    @staticmethod
    def head(row: Row) -> RowHead:
        """Return the fixed values of the row. Runtime: O(1)."""
        key, owner, stamp, revision, generation, _ = _unpack_head(row)
        return _new_tuple(RowHead, (key, owner, stamp - SORTABLE_OFFSET, revision, generation))

    @staticmethod
    def value(row: Row) -> bytes:
        """Return the value of the row. Runtime: O(size)."""
        return row[_HEAD_SIZE + int.from_bytes(row[_SIZE], "big") :]

    @staticmethod
    def index_keys(row: Row) -> IndexKeys:
        """Return the index keys of the row. Runtime: O(indexes)."""
        size = int.from_bytes(row[_SIZE], "big")
        index_keys: IndexKeys = marshal.loads(row[_HEAD_SIZE : _HEAD_SIZE + size])  # noqa: S302  # our own bytes
        return index_keys

    def page(self, after: bytes | None, limit: int) -> list[Row]:
        """Return up to `limit` rows whose keys follow `after`. Order and runtime are those of `ShardedDict.page`."""
        return self._rows_of(self._rows.page(after, limit))

    def newest_first(self, keys: Iterable[bytes], cutoff: int | None = None) -> list[Row]:
        """Return the rows of these keys, newest first, without those stamped before the cutoff.

        Raises:
            KeyError: a key has no row.

        Runtime: O(k log k) for k keys.
        """
        rows = self._rows_of(keys)
        if cutoff is not None:
            oldest = encode_sortable(cutoff)
            rows = [row for row in rows if row[_STAMP] >= oldest]
        rows.sort(key=_stamp_of, reverse=True)
        return rows

    def _rows_of(self, keys: Iterable[bytes]) -> list[Row]:
        shards, mask = self._shards, self._mask
        return [shards[hash(key) & mask][key] for key in keys]

    def storage(self, index: Index[F]) -> F:
        """Return the storage of the index, for reading. It stays the same object for the life of the table.

        Raises:
            KeyError: the table was made without this index.
        """
        for declared, storage in self.storages():
            if declared is index:
                return storage  # type: ignore[return-value]  # made by this very declaration
        raise KeyError(index.name)

    def storages(self) -> Iterable[tuple[Index[Any], IndexStorage[Any]]]:
        """Return each index with its storage."""
        return zip(self._indexes, self._storages, strict=True)

    def plan_put(  # noqa: PLR0917  # the parts of a row, in their order
        self,
        key: bytes,
        owner: bytes,
        stamp: int,
        revision: int,
        index_keys: IndexKeys,
        value: bytes,
        *,
        is_unrelated: bool = False,
    ) -> RowChange:
        """Return the change that puts a row under the key, in place of the present one. Nothing is changed.

        A row that is unrelated to the present one gets a new generation.

        Runtime: O(indexes).

        Raises:
            OverflowError: the stamp or the revision is out of range.
            TypeError: the value is not bytes.
            ValueError: the key or the owner does not have 16 bytes, an index key cannot be marshalled, or there is not
                one for each index.
        """
        if not len(key) == len(owner) == ROW_KEY_SIZE or len(index_keys) != len(self._indexes):
            raise ValueError("a key and an owner of 16 bytes, and an index key for each index")
        packed_keys = marshal.dumps(index_keys, _MARSHAL_VERSION)
        old = self._shards[hash(key) & self._mask].get(key)
        # A number that is planned and not applied is left out.
        generation = next(self._generations).to_bytes(8, "big") if old is None or is_unrelated else old[_GENERATION]
        try:
            head = _pack_head(key, owner, stamp + SORTABLE_OFFSET, revision, generation, len(packed_keys))
        except StructError as error:
            raise OverflowError(f"stamp {stamp} or revision {revision}: {error}") from None
        new: Row = head + packed_keys + value  # type: ignore[assignment]  # `Row(...)` is a call of Python
        if old is None:
            old_keys = self._no_keys
        elif old.startswith(packed_keys, _HEAD_SIZE):  # marshalled data ends where it says, so these are all keys
            old_keys = index_keys
        else:
            old_keys = self.index_keys(old)
        return _new_tuple(RowChange, (key, old, new, old_keys, index_keys))

    def plan_stamp(self, key: bytes, stamp: int) -> RowChange:
        """Return the change that gives the row of the key, which must exist, another stamp. Nothing is changed.

        Runtime: O(indexes).

        Raises:
            KeyError: the key has no row.
            OverflowError: the stamp is out of range.
        """
        old = self._shards[hash(key) & self._mask][key]
        new: Row = old[: _STAMP.start] + encode_sortable(stamp) + old[_STAMP.stop :]  # type: ignore[assignment]  # as above
        index_keys = self.index_keys(old)
        return RowChange(key, old, new, index_keys, index_keys)

    def plan_value(self, key: bytes, value: bytes) -> RowChange:
        """Return the change that gives the row of the key, which must exist, another value. Nothing is changed.

        Runtime: O(1); `apply` touches no index.

        Raises:
            KeyError: the key has no row.
        """
        old = self._shards[hash(key) & self._mask][key]
        new: Row = old[: _HEAD_SIZE + int.from_bytes(old[_SIZE], "big")] + value  # type: ignore[assignment]  # as above
        return RowChange(key, old, new, self._no_keys, self._no_keys)

    def plan_remove(self, key: bytes) -> RowChange:
        """Return the change that removes the row of the key, if there is one. Nothing is changed.

        Runtime: O(indexes).
        """
        old = self._shards[hash(key) & self._mask].get(key)
        return RowChange(key, old, None, self._no_keys if old is None else self.index_keys(old), self._no_keys)

    def apply(self, change: RowChange) -> None:
        """Make a planned change in the rows and in each index. Runtime: O(indexes * log n).

        It raises only if it is interrupted (`MemoryError`, `KeyboardInterrupt`). Then the caller must recover.
        """
        key, old, new, old_keys, new_keys = change
        # The postings are made first: without memory for them, nothing has changed.
        posting = b"" if old is None else old[_STAMP] + key
        new_posting = b"" if new is None else new[_STAMP] + key
        shard = self._shards[hash(key) & self._mask]
        if new is not None:
            shard[key] = new
            self._size_of_rows += len(new)
        elif old is not None:
            del shard[key]
        if old is not None:
            self._size_of_rows -= len(old)
        for storage, old_key, new_key in zip(self._storages, old_keys, new_keys, strict=True):
            if old_key == new_key:
                if old_key is not None:
                    storage.move(old_key, posting, new_posting)
            else:
                if old_key is not None:
                    storage.remove(old_key, posting)
                if new_key is not None:
                    storage.add(new_key, new_posting)

    def apply_to_row(self, change: RowChange) -> None:
        """Make the change in the rows alone, which can be repeated. `rebuild` has to follow. Runtime: O(1)."""
        if change.new is None:
            self._rows.shard(change.key).pop(change.key, None)
        else:
            self._rows.shard(change.key)[change.key] = change.new

    def rebuild(self) -> None:
        """Clear all indexes and fill them from the rows, whatever an interrupted change left. Runtime: O(n log n).

        If this is interrupted as well, call it again. Storages stay the same objects.
        """
        for storage in self._storages:
            storage.clear()
        # Oldest first: appending is the fastest way to add, and leaves full chunks.
        for row in sorted([row for _, row in self._rows.items()], key=_stamp_of):
            posting = row[_STAMP] + row[:ROW_KEY_SIZE]
            for storage, index_key in zip(self._storages, self.index_keys(row), strict=True):
                if index_key is not None:
                    storage.add(index_key, posting)
        self._size_of_rows = sum([len(row) for _, row in self._rows.items()])

    def check(self, expected_keys: Callable[[Row], IndexKeys]) -> None:
        """Raise `DivergenceError` unless each row has the expected index keys, and every index equals the rows.

        Runtime: O(n log n).
        """
        check_same("bytes of all rows", self._size_of_rows, sum(len(row) for _, row in self._rows.items()))
        expected: list[list[tuple[Any, bytes]]] = [[] for _ in self._indexes]
        for key, row in self._rows.items():
            index_keys = self.index_keys(row)
            check_same(f"key of row {key!r}", self.head(row).key, key)
            check_same(f"index keys of row {key!r}", index_keys, expected_keys(row))
            for postings, index_key in zip(expected, index_keys, strict=True):
                if index_key is not None:
                    postings.append((index_key, row[_STAMP] + key))
        for (index, storage), postings in zip(self.storages(), expected, strict=True):
            try:
                storage.check(postings)
            except DivergenceError as error:
                raise DivergenceError(f"index {index.name!r}, {error.where}", error.actual, error.expected) from None
