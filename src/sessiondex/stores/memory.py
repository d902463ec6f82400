"""The product: a table of packed sessions with the session store's indexes, the busy ones live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple
from uuid import UUID

from sessiondex import schema
from sessiondex.clock import EPOCH, MICROSECOND, microseconds
from sessiondex.contract import S
from sessiondex.engine.invariants import DivergenceError, check_same
from sessiondex.engine.postings import number, order
from sessiondex.engine.table import Change, Record, Row, Table
from sessiondex.errors import InvalidSessionError, InvariantError, TenantMismatchError
from sessiondex.models import Channel, ScopeFilter, SessionStatus, utc_now
from sessiondex.records import Kept, Packed
from sessiondex.stores import arguments as check
from sessiondex.stores.commits import Part
from sessiondex.stores.eviction import Eviction, OnEvict
from sessiondex.stores.feed import Head
from sessiondex.stores.hot import Hot, Lately
from sessiondex.stores.local import LocalSessionStore
from sessiondex.stores.stats import IndexStats, StoreStats

HOT_SESSIONS = 10_000
CHANGES_KEPT = 1_000
_ORDER_SIZE = 8


class _Plan(NamedTuple, Generic[S]):
    """What becomes of a session, and of one that is hot no longer: each may be nothing."""

    key: bytes
    change: Change | None
    hot: S | None
    cooled: tuple[bytes, Packed] | None
    """Key and packed form, empty if the row has it."""


class _Found(NamedTuple):
    """A session that was found packed."""

    key: bytes
    row: Row


class InMemorySessionStore(LocalSessionStore[S]):
    """Keeps sessions in this process and answers every query from an index.

    `hot_sessions` bounds how many recently used sessions are kept as live objects, which makes reading them as cheap
    as a copy. All others are packed as bytes: reading one costs about half of a `model_validate_json`, and the garbage
    collector does not visit it. Nothing is written to disk: what it holds ends with the process, and must fit in its
    memory; `stats` says how much it is.

    A session that was idle for longer than `idle_ttl` is gone from that instant. Of more than `max_sessions`, those
    idle longest go. `on_evict(session, reason)` is told of both, in a task of its own; it may be a coroutine
    function, and its errors are logged. Under `async with` the store sweeps in the background what has
    expired; else its writes do, and its counts. `changes_kept` bounds how many changes are kept for those who follow
    them. `clock` returns the present instant as an aware datetime. With `debug`, every write recomputes all indexes
    and raises `InvariantError` at the first that differs: for tests, since each write then walks over all sessions.

    >>> import asyncio
    >>> from uuid import uuid4
    >>> from sessiondex import Session
    >>> async def main():
    ...     store = InMemorySessionStore()
    ...     tenant_id, agent_id = uuid4(), uuid4()
    ...     session = Session(tenant_id=tenant_id, agent_id=agent_id, channel=Channel.SLACK, user_channel_id="U1")
    ...     session.variables["city"] = "Lisbon"
    ...     await store.save(session)
    ...     found = await store.get_by_channel(tenant_id, Channel.SLACK, "U1")
    ...     newest = await store.list_by_agent(tenant_id, agent_id, status=SessionStatus.ACTIVE, limit=10)
    ...     return found.variables, newest == [session]
    >>> asyncio.run(main())
    ({'city': 'Lisbon'}, True)
    """

    def __init__(
        self,
        *,
        hot_sessions: int = HOT_SESSIONS,
        idle_ttl: timedelta | None = None,
        max_sessions: int | None = None,
        on_evict: OnEvict | None = None,
        changes_kept: int = CHANGES_KEPT,
        debug: bool = False,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(clock, Eviction(idle_ttl, max_sessions, on_evict), changes_kept, debug=debug)
        check.at_least("hot_sessions", hot_sessions, 0, "0 keeps every session packed")
        # A row keeps the packed session, or nothing for a hot one that was saved since it was last packed.
        self._table = Table(schema.FIELDS, (*schema.INDEXES, *[schema.ACTIVITY] * self._eviction.is_on))
        self._hot: Hot[S] = Hot(hot_sessions)
        # Apart, since most turns of a conversation read once and save once: that does not make a session busy.
        self._read, self._saved = Lately(hot_sessions), Lately(hot_sessions)
        self._take_indexes()

    def _take_indexes(self) -> None:
        self._by_channel = self._table.index(schema.CHANNEL)
        self._by_agent = self._table.index(schema.AGENT)
        self._by_agent_status = self._table.index(schema.AGENT_STATUS)
        self._by_customer = self._table.index(schema.CUSTOMER)
        self._by_step = self._table.index(schema.STEP)

    def stats(self) -> StoreStats:
        """Return how much is stored. Cost: O(1).

        >>> stats = InMemorySessionStore().stats()
        >>> stats.sessions, stats.indexes["agent"].entries
        (0, 0)
        """
        self._settle_here()
        indexes = {index.name: IndexStats(filing.entries, len(filing)) for index, filing in self._table.filings()}
        return StoreStats(len(self._table), len(self._hot), self._table.size_of_rows, indexes)

    # -- reading --

    def _get(self, session_id: UUID, tenant_id: UUID | None, since: datetime | None) -> S | None:
        key = session_id.bytes
        snapshot = self._hot.get(key)
        if snapshot is not None:
            if (tenant_id is None or snapshot.tenant_id == tenant_id) and _is_seen(snapshot.last_activity_at, since):
                return self._records.copy(snapshot)
            return None
        row = self._table.row(key)
        if row is None or (tenant_id is not None and not schema.belongs_to(self._table.entries(row), tenant_id.bytes)):
            return None
        return self._unpacked(_Found(key, row)) if since is None or self._table.stamp(row) >= _order(since) else None

    def _latest_by_channel(
        self, tenant_id: UUID, channel: Channel, user_channel_id: str, since: datetime | None, *, is_open: bool
    ) -> S | None:
        item = schema.latest_by_channel(self._by_channel, tenant_id.bytes, channel, user_channel_id, is_open=is_open)
        if item is None or (since is not None and item < _order(since)):
            return None
        key = item[_ORDER_SIZE:]
        snapshot = self._hot.get(key)
        return self._unpacked(self._packed(key)) if snapshot is None else self._records.copy(snapshot)

    def _newest_by_agent(  # noqa: PLR0917  # as the contract has them
        self,
        tenant_id: UUID,
        agent_id: UUID,
        status: SessionStatus | None,
        limit: int,
        before: datetime | None,
        since: datetime | None,
    ) -> list[S | _Found]:
        entry = schema.agent_entry(tenant_id.bytes, agent_id.bytes, status)
        index = self._by_agent if status is None else self._by_agent_status
        return self._found(index.newest(entry, limit, _order_or_none(before), _order_or_none(since)))

    def _newest_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, limit: int, before: datetime | None, since: datetime | None
    ) -> list[S | _Found]:
        entry = schema.customer_entry(tenant_id.bytes, customer_profile_id.bytes)
        return self._found(self._by_customer.newest(entry, limit, _order_or_none(before), _order_or_none(since)))

    def _at_step(  # noqa: PLR0917  # as the contract has them
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        version: int,
        content_hash: str,
        scope: ScopeFilter | None,
        since: datetime | None,
    ) -> list[S | _Found]:
        step = schema.step_key(tenant_id.bytes, scenario_id.bytes, version, content_hash)
        keys = schema.select_step(self._by_step, step, scope, self._stamps.now())
        return self._found(self._table.newest_first(keys, _order_or_none(since)))

    def _some_of_all(self, after: UUID | None, limit: int) -> list[S | _Found]:
        return self._found(self._table.some_keys(None if after is None else after.bytes, limit))

    def _count(self) -> int:
        return len(self._table)

    def _count_by_agent(self, tenant_id: UUID, agent_id: UUID, status: SessionStatus | None) -> int:
        index = self._by_agent if status is None else self._by_agent_status
        return index.count(schema.agent_entry(tenant_id.bytes, agent_id.bytes, status))

    def _count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        return self._by_customer.count(schema.customer_entry(tenant_id.bytes, customer_profile_id.bytes))

    def _count_at_step(self, tenant_id: UUID, scenario_id: UUID, version: int, content_hash: str) -> int:
        return self._by_step.count(schema.step_key(tenant_id.bytes, scenario_id.bytes, version, content_hash))

    def _count_steps(self, tenant_id: UUID, scenario_id: UUID, version: int) -> dict[str, int]:
        counts = self._by_step.counts(schema.scenario_key(tenant_id.bytes, scenario_id.bytes, version))
        return {step.decode(): count for step, count in counts.items()}

    def _found(self, keys: Sequence[bytes]) -> list[S | _Found]:
        get, packed = self._hot.get, self._packed
        return [packed(key) if (snapshot := get(key)) is None else snapshot for key in keys]

    def _packed(self, key: bytes) -> _Found:
        row = self._table.row(key)
        assert row is not None  # what is in an index is in the table
        return _Found(key, row)

    def _given_out(self, found: Sequence[S | _Found]) -> list[S]:
        copy = self._records.copy
        return [self._unpacked(one) if isinstance(one, _Found) else copy(one) for one in found]

    def _unpacked(self, found: _Found) -> S:
        key, row = found
        session: S = self._records.unpack(Packed(self._table.value(row)))  # type: ignore[assignment]  # as it was packed
        # Of a long list, some may have been saved or read again since it was found.
        if self._read.again(key) and self._table.row(key) is row and key not in self._hot:
            self._records.share(session)
            self._commit([Part(session.session_id, None, _Plan(key, None, session, self._plan_room()))])
            return self._records.copy(session)
        return session

    # -- writing --

    def _live(self, session_id: UUID) -> S | None:
        return self._hot.peek(session_id.bytes)

    def _revision(self, session_id: UUID) -> int:
        row = self._table.row(session_id.bytes)
        return 0 if row is None else self._table.revision(row)

    def _stamp_of(self, session_id: UUID) -> datetime | None:
        row = self._table.row(session_id.bytes)
        return None if row is None else EPOCH + number(self._table.stamp(row)) * MICROSECOND

    def _oldest(self) -> UUID | None:
        item = self._table.index(schema.ACTIVITY).oldest(schema.EVERYTHING)
        return None if item is None else UUID(bytes=item[_ORDER_SIZE:])

    def _is_there(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        row = self._table.row(session_id.bytes)
        return row is not None and (tenant_id is None or schema.belongs_to(self._table.entries(row), tenant_id.bytes))

    def _head(self, session_id: UUID) -> Head | None:
        row, stamp = self._table.row(session_id.bytes), self._stamp_of(session_id)
        if row is None or stamp is None:
            return None
        tenant_id = UUID(bytes=schema.tenant_of(self._table.entries(row)))
        return tenant_id, self._revision(session_id), stamp

    def _image(self, session_id: UUID) -> S | Packed | None:
        row = self._table.row(session_id.bytes)
        if row is None:
            return None
        return Packed(self._table.value(row)) or self._hot.peek(session_id.bytes)

    def _opened(self, image: S | Packed) -> S:
        if isinstance(image, bytes):
            return self._records.unpack(image)  # type: ignore[return-value]  # as it was packed
        return self._records.copy(image)

    def _plan(self, kept: Kept[S], earlier: S | None, *, in_bulk: bool) -> _Plan[S]:
        snapshot, packed = kept
        key = snapshot.session_id.bytes
        is_hot = not in_bulk and (key in self._hot or self._saved.again(key))
        if packed is None and not is_hot:
            packed = self._records.pack(snapshot)
        is_filed_alike = earlier is not None and schema.has_same_record(earlier, snapshot)
        record = None if is_filed_alike else schema.record_of(snapshot)
        stamp = microseconds(snapshot.last_activity_at)
        change = self._table.plan_put(key, stamp, snapshot.revision, record, packed or b"")
        is_known_owner = is_filed_alike or change.old_stamp is None
        if not is_known_owner and not schema.belongs_to(change.old_entries, snapshot.tenant_id.bytes):
            raise TenantMismatchError(snapshot.session_id)
        cooled = self._plan_room() if is_hot and key not in self._hot else None
        return _Plan(key, change, snapshot if is_hot else None, cooled)

    def _plan_removal(self, session_id: UUID) -> _Plan[S]:
        key = session_id.bytes
        return _Plan(key, self._table.plan_remove(key), None, None)

    def _plan_room(self) -> tuple[bytes, Packed] | None:
        """Return which session is to be hot no longer for one more to be, and its packed form, empty if it has one."""
        if not self._hot.is_full:
            return None
        key, snapshot = self._hot.longest_unused
        row = self._table.row(key)
        assert row is not None  # what is hot is in the table
        return key, Packed(b"") if self._table.value(row) else self._records.pack(snapshot)

    def _apply(self, plan: _Plan[S]) -> None:
        if plan.change is not None:
            self._table.apply(plan.change)
        self._apply_to_hot(plan)

    def _apply_to_hot(self, plan: _Plan[S]) -> None:
        if plan.cooled is not None:
            key, packed = plan.cooled
            if packed:
                self._table.replace_value(key, packed)
            self._hot.discard(key)
        if plan.hot is None:
            self._hot.discard(plan.key)  # what is saved in bulk has no hurry to be read
        else:
            self._hot.put(plan.key, plan.hot)

    def _apply_again(self, plans: Sequence[_Plan[S]]) -> None:
        for plan in plans:
            if plan.change is not None:
                self._table.apply_to_row(plan.change)
            self._apply_to_hot(plan)
        self._table.refile()
        self._take_indexes()

    def _check(self) -> None:
        """Raise `InvariantError` unless every index is equal to its recomputation. Cost: O(n log n)."""
        try:
            self._table._check(self._record_stamp_and_revision)
            check_same(
                "hot sessions that are not stored", [key for key in self._hot if self._table.row(key) is None], []
            )
            check_same("hot sessions beyond their bound", max(len(self._hot) - self._hot.bound, 0), 0)
        except DivergenceError as error:
            raise InvariantError(error.where, error.actual, error.expected) from None
        except InvalidSessionError as error:  # of some session, not of the one that is being saved
            raise InvariantError("a stored session, when it is loaded", str(error), "no error") from None
        except (ArithmeticError, EOFError, LookupError, TypeError, ValueError) as error:  # it is too broken to compare
            raise InvariantError("what is stored, when it is looked at", repr(error), "no error") from error

    def _record_stamp_and_revision(self, key: bytes, value: bytes) -> tuple[Record, int, int]:
        hot = self._hot.peek(key)
        unpacked: Any = self._records.unpack(Packed(value)) if value else hot
        check_same(f"whether {key!r} is hot or packed", unpacked is not None, True)
        check_same(f"hot and packed, session {key!r}", unpacked if hot is None else hot, unpacked)
        check_same("key of a session", key, unpacked.session_id.bytes)
        return schema.record_of(unpacked), microseconds(unpacked.last_activity_at), unpacked.revision


def _order(instant: datetime) -> bytes:
    return order(microseconds(instant))


def _order_or_none(instant: datetime | None) -> bytes | None:
    return None if instant is None else _order(instant)


def _is_seen(stamp: datetime, since: datetime | None) -> bool:
    return since is None or stamp >= since
