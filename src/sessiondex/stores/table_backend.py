"""TableBackend: stores sessions as packed rows of a table with indexes, and caches those that are read repeatedly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Generic, TypeAlias, cast
from uuid import UUID

from sessiondex import schema
from sessiondex.clock import to_microseconds
from sessiondex.engine.invariants import DivergenceError, check_same
from sessiondex.engine.postings import ROW_KEY_SIZE, SORTABLE_SIZE, Postings, decode_sortable, encode_sortable
from sessiondex.engine.table import IndexKeys, Row, RowChange, RowHead, Table
from sessiondex.errors import InvalidSessionError, InvariantError, UnreadableSessionError
from sessiondex.models import Session
from sessiondex.queries import (
    ChannelQuery,
    CountQuery,
    LatestQuery,
    ListQuery,
    Page,
    ScenarioQuery,
    StepQuery,
    TenantQuery,
)
from sessiondex.reading import S
from sessiondex.snapshots.codec import Prepared, SnapshotCodec, is_json
from sessiondex.snapshots.compiled import SUFFIX_SIZE
from sessiondex.stores import table_indexes
from sessiondex.stores.backend import Place
from sessiondex.stores.lru_cache import LRUCache
from sessiondex.stores.stats import IndexStats, StoreStats
from sessiondex.stores.table_indexes import latest_posting, select_step

Stored: TypeAlias = Row | S
"""A row, or the live snapshot that the cache had of it. Neither ever changes."""


class TableBackend(Generic[S]):
    """A `Backend`: every query is answered by an index.

    Keeps in the cache only snapshots of the present rows: a change of a session discards its snapshot.
    """

    def __init__(
        self, codec: SnapshotCodec[S], cache_size: int, *, has_evictions: bool, is_restored: bool = False
    ) -> None:
        """`is_restored` says that there may be sessions that their present classes do not load."""
        self._codec = codec
        self._is_restored = is_restored
        self._cache: LRUCache[S] = LRUCache(cache_size)
        declared = schema.EVICTION_INDEXES if has_evictions else schema.INDEXES
        self._table = Table([table_indexes.INDEXES[one] for one in declared])
        self._lists = {one: self._table.storage(index) for one, index in table_indexes.LISTS.items() if one in declared}
        self._by_channel: Postings = self._lists[schema.CHANNEL]
        self._by_step = self._table.storage(table_indexes.STEP)

    def __len__(self) -> int:
        return len(self._table)

    # -- reading --

    def get(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> S | None:
        key = session_id.int.to_bytes(16)
        snapshot = self._cache.get(key)
        if snapshot is not None:
            is_visible = (tenant_id is None or snapshot.tenant_id == tenant_id) and (
                cutoff is None or to_microseconds(snapshot.last_activity_at) >= cutoff
            )
            return self._codec.copy(snapshot) if is_visible else None
        row = self._table.row(key)
        if row is None:
            return None
        if tenant_id is not None or cutoff is not None:
            _, owner, stamp, _, _ = self._table.head(row)
            if (tenant_id is not None and owner != tenant_id.bytes) or (cutoff is not None and stamp < cutoff):
                return None
        return self._unpack(row)

    def head(self, session_id: UUID) -> RowHead | None:
        return self._table.head_of_key(session_id.int.to_bytes(16))

    def find(self, session_id: UUID) -> Row | None:
        return self._table.row(session_id.bytes)

    def visible(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> Stored[S] | None:
        head = self.head(session_id)
        if head is None or (tenant_id is not None and head.owner != tenant_id.bytes):
            return None
        return self._stored(head.key) if cutoff is None or head.stamp >= cutoff else None

    def place_of(self, stored: Stored[S]) -> Place:
        if isinstance(stored, bytes):
            head = self._table.head(stored)
            return Place(head.key, head.stamp)
        return Place(stored.session_id.bytes, to_microseconds(stored.last_activity_at))

    def to_session(self, stored: Stored[S]) -> S:
        return self._unpack(stored) if isinstance(stored, bytes) else self._codec.copy(stored)

    def class_of(self, stored: Stored[S]) -> type[Session]:
        return self._codec.class_of(stored) if isinstance(stored, bytes) else type(stored)

    def latest(self, query: LatestQuery, cutoff: int | None) -> S | None:
        if type(query) is ChannelQuery:
            posting = latest_posting(self._by_channel, query)
        else:
            index, (key,), _ = schema.lookup(query)
            posting = self._lists[index].latest(key)
        if posting is None or (cutoff is not None and decode_sortable(posting) < cutoff):
            return None
        stored = self._stored(posting[SORTABLE_SIZE:])
        return self._unpack(stored) if isinstance(stored, bytes) else self._codec.copy(stored)

    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> list[Stored[S]]:
        index, keys, also = schema.lookup(query)
        before = None if page.before is None else encode_sortable(page.before)
        low = cutoff if page.after is None else max(cutoff or 0, page.after + 1)
        oldest = None if low is None else encode_sortable(low)
        if also is None:
            found = self._lists[index].newest_of(keys, page.limit, before, oldest)
        else:
            everything = self._lists[index].newest_of(keys, len(self._table), before, oldest)
            found = [*islice(self._filed_under(also, everything), page.limit)]
        return [*map(self._stored, found)]

    def _filed_under(self, tenant_key: bytes, found: Iterable[bytes]) -> Iterator[bytes]:
        """Yield those of the sessions that the index `TENANT` files under the key."""
        for key in found:
            if self._table.index_keys(self._row(key))[table_indexes.TENANT_POSITION] == tenant_key:
                yield key

    def is_answer(self, stored: Stored[S], query: ListQuery) -> bool:
        declaration, keys, also = schema.lookup(query)
        filed = dict(zip(schema.INDEXES, self._keys_of(stored), strict=False))
        found = filed[declaration]
        is_found = found in keys or (isinstance(found, tuple) and any(key in found for key in keys))
        return is_found and also in {None, filed[schema.TENANT]}

    def _keys_of(self, stored: Stored[S]) -> IndexKeys:
        return self._table.index_keys(stored) if isinstance(stored, bytes) else self._codec.prepare(stored).index_keys

    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> list[Stored[S]]:
        rows = self._table.newest_first(select_step(self._by_step, query, now), cutoff)
        return [self._stored(row[:ROW_KEY_SIZE]) for row in rows]

    def page(self, after: UUID | None, limit: int) -> list[Row]:
        return self._table.page(None if after is None else after.bytes, limit)

    def count(self, query: CountQuery) -> int:
        if isinstance(query, StepQuery):
            return self._by_step.count(schema.step_key(query))
        index, keys, also = schema.lookup(query)
        if also is None:
            return sum(map(self._lists[index].count, keys))
        return sum(1 for _ in self._filed_under(also, self._lists[index].newest_of(keys, len(self._table))))

    def count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        counts = self._by_step.counts(schema.version_key(query))
        return {step.decode(): count for step, count in counts.items()}

    def oldest(self) -> RowHead | None:
        posting = self._lists[schema.ACTIVITY].oldest(schema.ALL_SESSIONS)
        row = None if posting is None else self._table.row(posting[SORTABLE_SIZE:])
        return None if row is None else self._table.head(row)

    def has_stamp(self, tenant_id: UUID, stamp: int) -> bool:
        index, keys, _ = schema.lookup(TenantQuery(tenant_id))
        return any(self._lists[index].has_number(key, stamp) for key in keys)

    def stats(self) -> StoreStats:
        """Return how much is stored. Cost: O(1)."""
        indexes = {
            index.name: IndexStats(storage.posting_count, len(storage)) for index, storage in self._table.storages()
        }
        return StoreStats(len(self._table), len(self._cache), self._table.size_of_rows, indexes)

    def _stored(self, key: bytes) -> Stored[S]:
        snapshot = self._cache.get(key)
        return self._row(key) if snapshot is None else snapshot

    def _row(self, key: bytes) -> Row:
        return cast("Row", self._table.row(key))  # an index files stored rows only

    def _unpack(self, row: Row) -> S:
        table = self._table
        key, owner, stamp, revision, _ = table.head(row)
        session = self._codec.unpack(table.value(row), key, owner, stamp, revision)
        if self._cache.qualifies(key) and table.row(key) is row:  # of a list, it may have been saved since
            self._cache.put(key, session)
            return self._codec.copy(session)
        return session

    # -- writing --

    def keep_version(self, prepared: Prepared) -> Prepared:
        row = self._table.row(prepared.session_id.int.to_bytes(16))
        if row is None or not is_json(row):  # the common case: the present version of its class wrote it
            return prepared
        return self._codec.keep_version(prepared, self._table.value(row))

    def plan_put(self, prepared: Prepared, stamp: int, revision: int, *, is_restored: bool = False) -> RowChange:
        session_id, tenant_id, packed, index_keys, _ = prepared
        key, owner = session_id.int.to_bytes(16), tenant_id.int.to_bytes(16)
        return self._table.plan_put(key, owner, stamp, revision, index_keys, packed, is_unrelated=is_restored)

    def plan_touch(self, session_id: UUID, stamp: int) -> RowChange:
        return self._table.plan_stamp(session_id.bytes, stamp)

    def plan_repack(self, keys: Sequence[bytes]) -> list[RowChange]:
        """Plan to store these sessions in a smaller form, if they are there and have one. Unreadable ones stay."""
        plans = []
        for key in keys:
            row = self._table.row(key)
            if row is not None:
                with suppress(UnreadableSessionError):
                    packed = self._codec.repack(self._table.value(row))
                    if packed is not None:
                        plans.append(self._table.plan_value(key, packed))
        return plans

    def plan_remove(self, session_id: UUID) -> RowChange:
        return self._table.plan_remove(session_id.bytes)

    def apply(self, plan: RowChange) -> None:
        self._table.apply(plan)
        self._cache.discard(plan.key)
        old, new = plan.old, plan.new
        if old is None or new is None or old[-SUFFIX_SIZE:] != new[-SUFFIX_SIZE:]:
            if new is not None:
                self._codec.retain(new)
            if old is not None:
                self._codec.release(old)

    def recover(self, plans: Sequence[RowChange]) -> None:
        for plan in plans:
            self._table.apply_to_row(plan)
        self._table.rebuild()
        self._codec.recount(self._table.rows())
        self._cache.clear()

    # -- checking --

    def check(self) -> None:
        try:
            self._table.check(self._expected_keys)
            rows = {key: self._table.row(key) for key in self._cache}
            check_same("cached sessions that are not stored", [key for key, row in rows.items() if row is None], [])
            for key, row in rows.items():
                assert row is not None
                unpacked = self._codec.unpack(self._table.value(row), *self._table.head(row)[:4])
                check_same(f"cached session {key!r}", self._cache.peek(key), unpacked)
            check_same("cached sessions beyond the limit", max(len(self._cache) - self._cache.max_size, 0), 0)
        except DivergenceError as error:
            raise InvariantError(error.where, error.actual, error.expected) from None
        except InvalidSessionError as error:
            raise InvariantError("a stored session, when it is loaded", str(error), "no error") from None
        except (ArithmeticError, EOFError, LookupError, TypeError, ValueError) as error:  # too broken to compare
            raise InvariantError("a stored row, when it is read", repr(error), "no error") from error

    def _expected_keys(self, row: Row) -> IndexKeys:
        packed = self._table.value(row)
        try:
            session = self._codec.unpack(packed, *self._table.head(row)[:4])
            return self._codec.prepare(session).index_keys
        except InvalidSessionError:
            keys = self._codec.keys_of_every_session(packed) if self._is_restored else None
            if keys is None:
                raise
            return keys
