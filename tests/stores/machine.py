"""The state machine: it drives the indexed store and the scan store side by side and compares all that they say.

What was saved is remembered here as well, as deep copies, so that a fault which both stores share shows too. Of its
sessions the indexed store keeps none, few or all live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessiondex import (
    InMemorySessionStore,
    InvalidSessionError,
    ScanSessionStore,
    Session,
    SessionStatus,
    SessionStore,
    TenantMismatchError,
)
from tests import strategies as some
from tests.builders import Clock
from tests.shapes import shape
from tests.stores.census import census

IDS = [UUID(int=number) for number in range(1, 15)]
Call = Callable[[SessionStore], Awaitable[Any]]
Pair = tuple[Session, Session]
"""Two equal sessions, one for each store."""


class StoreMachine(RuleBasedStateMachine):
    """Every operation on both stores, by sessions that are new, changed, stale, spoilt or of another class."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.indexed: InMemorySessionStore
        self.hot_sessions = 0
        self.scan: ScanSessionStore = ScanSessionStore(clock=self.clock)
        self.expected: dict[UUID, Session] = {}
        self.held: list[Pair] = []  # what callers still hold, of each store one
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        self.runner.close()

    def run(self, call: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await call

        return self.runner.run(awaited())

    def agree(self, call: Call) -> Any:
        """Return the answer of the indexed store, which is that of the scan store."""
        answer, expected = self.run(call(self.indexed)), self.run(call(self.scan))
        assert answer == expected
        return answer

    def save(self, pair: Pair) -> None:
        mine, other = pair
        owner = self.expected.get(mine.session_id)
        before = mine.last_activity_at
        if owner is not None and owner.tenant_id != mine.tenant_id:
            for store, session in ((self.indexed, mine), (self.scan, other)):
                with pytest.raises(TenantMismatchError):
                    self.run(store.save(session))
            assert mine.last_activity_at == before
            return
        assert self.run(self.indexed.save(mine)) == self.run(self.scan.save(other)) == mine.session_id
        assert all(mine.last_activity_at > session.last_activity_at for session in self.expected.values())
        assert mine.last_activity_at >= self.clock()
        assert mine.revision == (1 if owner is None else owner.revision + 1)
        assert mine == other
        self.expected[mine.session_id] = mine.model_copy(deep=True)
        self.held = [pair, *self.held[:4]]

    @initialize(
        hot_sessions=st.sampled_from([0, 1, 2, 10_000]),
        sessions=st.lists(st.sampled_from(IDS).flatmap(some.sessions), max_size=12),
    )
    def start_with(self, hot_sessions: int, sessions: list[Session]) -> None:
        self.hot_sessions = hot_sessions
        self.indexed = InMemorySessionStore(hot_sessions=hot_sessions, clock=self.clock)
        for session in sessions:
            self.save((session, session.model_copy(deep=True)))

    @rule(session=st.sampled_from(IDS).flatmap(some.sessions))
    def save_new(self, session: Session) -> None:
        self.save((session, session.model_copy(deep=True)))

    @rule(session_id=st.sampled_from(IDS), name=st.sampled_from(sorted(some.changes)), data=st.data())
    def change_and_save(self, session_id: UUID, name: str, data: st.DataObject) -> None:
        """What a service does at each turn."""
        pair = self.run(self.indexed.get(session_id)), self.run(self.scan.get(session_id))
        assert pair[0] == pair[1] == self.expected.get(session_id)
        if pair[0] is not None:
            value = data.draw(some.changes[name])
            for session in pair:
                setattr(session, name, value)
            self.save((pair[0], pair[1]))

    @rule(session_id=st.sampled_from(IDS), turns=st.integers(1, 3), name=st.sampled_from(sorted(some.changes)))
    def be_busy(self, session_id: UUID, turns: int, name: str) -> None:
        """Used again and again, a session becomes hot, by reading or by saving."""
        for _ in range(turns):
            pair = self.run(self.indexed.get(session_id)), self.run(self.scan.get(session_id))
            assert shape(pair[0]) == shape(pair[1]) == shape(self.expected.get(session_id))
            if pair[0] is not None and name > "c":
                self.save((pair[0], pair[1]))

    @rule(session_id=st.sampled_from(IDS), visit=some.visits)
    def step_in_place(self, session_id: UUID, visit: Any) -> None:
        pair = self.run(self.indexed.get(session_id)), self.run(self.scan.get(session_id))
        if pair[0] is not None:
            for session in pair:
                session.step_history.append(visit)
            self.save((pair[0], pair[1]))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def change_what_is_held(self, data: st.DataObject) -> None:
        """In place, and without saving: nobody but the holder may notice."""
        for session in data.draw(st.sampled_from(self.held)):
            session.variables["held"] = [1]
            session.step_history.clear()
            session.rule_fires.clear()
            session.__dict__["status"] = SessionStatus.CLOSED

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def save_what_is_held(self, data: st.DataObject) -> None:
        """Perhaps stale, perhaps deleted meanwhile: last write wins."""
        self.save(data.draw(st.sampled_from(self.held)))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), field=st.sampled_from(["variables", "turn_count", "created_at"]))
    def save_what_cannot_be_kept(self, data: st.DataObject, field: str) -> None:
        bad = {"variables": {"x": float("nan")}, "turn_count": "five", "created_at": None}[field]
        for store, session in zip((self.indexed, self.scan), data.draw(st.sampled_from(self.held)), strict=True):
            good = session.__dict__[field]
            session.__dict__[field] = bad
            with pytest.raises(InvalidSessionError, match=field):
                self.run(store.save(session))
            session.__dict__[field] = good

    @rule(
        sessions=st.lists(st.sampled_from(IDS).flatmap(some.sessions), max_size=6),
        batch=st.none() | st.integers(1, 4),
        spoilt=st.none() | st.integers(0, 5),
        data=st.data(),
    )
    def save_in_bulk(self, sessions: list[Session], batch: int | None, spoilt: int | None, data: st.DataObject) -> None:
        """By `save_many`, or by `load` in batches: new sessions and held ones, perhaps one that cannot be kept."""
        pairs = [(session, session.model_copy(deep=True)) for session in sessions]
        if spoilt is not None and spoilt < len(pairs):
            for session in pairs[spoilt]:
                session.variables["spoilt"] = float("inf")
        if self.held:
            pairs += data.draw(st.lists(st.sampled_from(self.held), max_size=2))
        size = batch or max(len(pairs), 1)
        flaw = self.first_flaw(pairs)
        count = len(pairs) if flaw is None else flaw[0] // size * size
        stamps = [pair[0].last_activity_at for pair in pairs]

        for side, store in enumerate((self.indexed, self.scan)):
            given = [pair[side] for pair in pairs]
            saving: Awaitable[Any] = store.save_many(given) if batch is None else store.load(iter(given), batch=batch)
            if flaw is None:
                ids = [session.session_id for session in given]
                assert self.run(saving) == (ids if batch is None else len(ids))
            else:
                with pytest.raises(flaw[1]) as refused:
                    self.run(saving)
                assert refused.value.__notes__[0].startswith(f"It was session number {flaw[0]},")
        self.were_saved(pairs[:count])
        saved = {id(pair[0]) for pair in pairs[:count]}
        for (mine, _), stamp in zip(pairs, stamps, strict=True):
            assert id(mine) in saved or mine.last_activity_at == stamp

    def first_flaw(self, pairs: Sequence[Pair]) -> tuple[int, type[Exception]] | None:
        """Return the place of the first session that cannot be saved after those before it, and why."""
        owners = {session_id: session.tenant_id for session_id, session in self.expected.items()}
        for place, (session, _) in enumerate(pairs):
            if "spoilt" in session.variables:
                return place, InvalidSessionError
            if owners.setdefault(session.session_id, session.tenant_id) != session.tenant_id:
                return place, TenantMismatchError
        return None

    def were_saved(self, pairs: Sequence[Pair]) -> None:
        """Note that these were saved one after another, with stamps that say so."""
        latest = max((session.last_activity_at for session in self.expected.values()), default=None)
        last_places = sorted({id(mine): place for place, (mine, _) in enumerate(pairs)}.values())
        stamps = [pairs[place][0].last_activity_at for place in last_places]
        assert all(before < after for before, after in pairwise(stamps if latest is None else [latest, *stamps]))
        for mine, other in pairs:
            assert mine == other
            self.expected[mine.session_id] = mine.model_copy(deep=True)
            self.held = [(mine, other), *self.held[:4]]

    @rule(ids=st.lists(st.sampled_from(IDS), max_size=5), tenant=st.none() | some.tenants)
    def delete_many(self, ids: list[UUID], tenant: UUID | None) -> None:
        there = {
            session_id
            for session_id in ids
            if session_id in self.expected and tenant in (None, self.expected[session_id].tenant_id)
        }
        assert self.agree(lambda store: store.delete_many(iter(ids), tenant_id=tenant)) == len(there)
        for session_id in there:
            del self.expected[session_id]

    @rule(session_id=st.sampled_from(IDS), tenant=st.none() | some.tenants)
    def delete(self, session_id: UUID, tenant: UUID | None) -> None:
        session = self.expected.get(session_id)
        is_there = session is not None and tenant in (None, session.tenant_id)
        assert self.agree(lambda store: store.delete(session_id, tenant_id=tenant)) == is_there
        if is_there:
            del self.expected[session_id]

    @rule(seconds=st.sampled_from([0, 0.000001, 1, 86_400, -0.000001, -60, -86_400]))
    def the_clock_moves(self, seconds: float) -> None:
        self.clock.move(seconds=seconds)

    @rule(session_id=st.sampled_from(IDS), tenant=st.none() | some.tenants)
    def get(self, session_id: UUID, tenant: UUID | None) -> None:
        found = self.agree(lambda store: store.get(session_id, tenant_id=tenant))
        expected = self.expected.get(session_id)
        assert found == (expected if expected and tenant in (None, expected.tenant_id) else None)
        assert found is None or shape(found) == shape(expected)

    @rule(tenant=some.tenants, channel=some.channels, user=some.user_channel_ids)
    def get_by_channel(self, tenant: UUID, channel: Any, user: str) -> None:
        self.agree(lambda store: store.get_by_channel(tenant, channel, user))

    @rule(
        tenant=some.tenants, scope=some.scope_filters(), scenario=some.scenarios, version=some.versions, key=some.hashes
    )
    def find_by_step(self, tenant: UUID, scope: Any, scenario: UUID, version: int, key: str) -> None:
        self.agree(lambda store: store.find_sessions_by_step_hash(tenant, scenario, version, key, scope))

    @rule(tenant=some.tenants, agent=some.agents, status=st.none() | some.statuses, limit=st.integers(0, 15))
    def list_by_agent(self, tenant: UUID, agent: UUID, status: SessionStatus | None, limit: int) -> None:
        self.agree(lambda store: store.list_by_agent(tenant, agent, status=status, limit=limit))

    @rule(tenant=some.tenants, customer=some.customers, limit=st.integers(0, 15))
    def list_by_customer(self, tenant: UUID, customer: UUID, limit: int) -> None:
        self.agree(lambda store: store.list_by_customer(tenant, customer, limit=limit))

    @invariant()
    def every_index_is_equal_to_its_recomputation(self) -> None:
        self.indexed._check()
        self.scan._check()
        assert len(self.indexed._table) == len(self.scan._snapshots) == len(self.expected)

    @invariant()
    def stats_are_exact(self) -> None:
        stats, sessions = self.indexed.stats(), list(self.expected.values())
        assert stats.sessions == len(sessions)
        assert stats.hot_sessions <= min(self.hot_sessions, len(sessions))
        assert stats.packed_bytes == sum(len(row) for _, row in self.indexed._table._rows.items())
        assert stats.indexes == census(sessions)
