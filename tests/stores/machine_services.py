"""More of the state machine: what services ask for. And another, of stores that let go of sessions by themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sessiondex import (
    Channel,
    ConflictError,
    EvictionReason,
    InMemorySessionStore,
    ScanSessionStore,
    Session,
    SessionNotFoundError,
    SessionStatus,
)
from tests import strategies as some
from tests.builders import AGENT, START, TENANT, Clock, make_session
from tests.stores.machine import IDS, StoreMachine
from tests.waiting import until_told

SECOND = timedelta(seconds=1)


class ServiceMachine(StoreMachine):
    """Revisions, updates, get-or-create, pages, counts and the change feed, among everything else."""

    @initialize(sessions=st.just([]), hot_sessions=st.sampled_from([0, 2, 10_000]))
    def start_with(self, hot_sessions: int, sessions: list[Session]) -> None:
        super().start_with(hot_sessions, sessions)
        self.feeds = [store.changes() for store in (self.indexed, self.scan)]
        self.state: dict[UUID, Session] = {}
        self.sequence = 0

    @rule(session=st.sampled_from(IDS).flatmap(some.sessions), expected=st.integers(0, 3))
    def save_what_is_expected(self, session: Session, expected: int) -> None:
        owner = self.expected.get(session.session_id)
        actual = 0 if owner is None else owner.revision
        if owner is not None and owner.tenant_id != session.tenant_id:
            return
        pair = session, session.model_copy(deep=True)
        for store, mine in zip((self.indexed, self.scan), pair, strict=True):
            if expected == actual:
                self.run(store.save(mine, expected_revision=expected))
            else:
                with pytest.raises(ConflictError) as conflict:
                    self.run(store.save(mine, expected_revision=expected))
                assert (conflict.value.expected, conflict.value.actual) == (expected, actual)
        if expected == actual:
            assert pair[0].revision == actual + 1
            self.were_saved([pair])

    @rule(session_id=st.sampled_from(IDS), turn=st.integers(0, 9), tenant=st.none() | some.tenants)
    def update(self, session_id: UUID, turn: int, tenant: UUID | None) -> None:
        session = self.expected.get(session_id)
        is_there = session is not None and tenant in (None, session.tenant_id)
        pair = []
        for store in (self.indexed, self.scan):
            updating = store.update(session_id, lambda current: setattr(current, "turn_count", turn), tenant_id=tenant)
            if is_there:
                pair.append(self.run(updating))
                assert pair[-1].turn_count == turn
            else:
                with pytest.raises(SessionNotFoundError):
                    self.run(updating)
        if is_there:
            self.were_saved([(pair[0], pair[1])])

    @rule(tenant=some.tenants, channel=some.channels, user=some.user_channel_ids, session_id=st.sampled_from(IDS))
    def get_or_create(self, tenant: UUID, channel: Channel, user: str, session_id: UUID) -> None:
        open_ones = [
            session
            for session in self.expected.values()
            if (session.tenant_id, session.channel, session.user_channel_id) == (tenant, channel, user)
            and session.status != SessionStatus.CLOSED
        ]
        if session_id in self.expected and not open_ones:
            return
        made = [
            make_session(session_id=session_id, tenant_id=tenant, channel=channel, user_channel_id=user)
            for _ in range(2)
        ]
        answers = [
            self.run(store.get_or_create(tenant, channel, user, iter([one]).__next__))
            for store, one in zip((self.indexed, self.scan), made, strict=True)
        ]
        assert answers[0] == answers[1]
        if open_ones:
            latest = max(open_ones, key=lambda session: session.last_activity_at)
            assert answers[0] == (latest, False)
        else:
            assert answers[0] == (made[0], True)
            self.were_saved([(made[0], made[1])])

    @rule(
        tenant=some.tenants,
        agent=some.agents,
        customer=some.customers,
        status=st.none() | some.statuses,
        limit=st.integers(0, 5),
        data=st.data(),
    )
    def read_a_page(  # noqa: PLR0917  # Hypothesis draws each
        self, tenant: UUID, agent: UUID, customer: UUID, status: Any, limit: int, data: st.DataObject
    ) -> None:
        stamps = [session.last_activity_at for session in self.expected.values()]
        before = data.draw(st.sampled_from([*stamps, START, self.clock()]))
        page = self.agree(lambda store: store.list_by_agent(tenant, agent, status=status, limit=limit, before=before))
        assert all(session.last_activity_at < before for session in page)
        self.agree(lambda store: store.list_by_customer(tenant, customer, limit=limit, before=before))

    @rule(tenant=some.tenants, agent=some.agents, customer=some.customers, status=st.none() | some.statuses)
    def count(self, tenant: UUID, agent: UUID, customer: UUID, status: Any) -> None:
        sessions = self.run(self.indexed.list_by_agent(tenant, agent, status=status))
        assert self.agree(lambda store: store.count_by_agent(tenant, agent, status=status)) == len(sessions)
        sessions = self.run(self.indexed.list_by_customer(tenant, customer))
        assert self.agree(lambda store: store.count_by_customer(tenant, customer)) == len(sessions)

    @rule(tenant=some.tenants, scenario=some.scenarios, version=some.versions, key=some.hashes)
    def count_steps(self, tenant: UUID, scenario: UUID, version: int, key: str) -> None:
        steps = self.agree(lambda store: store.count_steps(tenant, scenario, version))
        found = self.run(self.indexed.find_sessions_by_step_hash(tenant, scenario, version, key))
        assert steps.get(key, 0) == len(found)
        assert self.agree(lambda store: store.count_by_step_hash(tenant, scenario, version, key)) == len(found)

    @rule()
    def follow_the_changes(self) -> None:
        """What was committed leads from the state that was followed last to what is stored now."""
        assert self.indexed._feed.sequence == self.scan._feed.sequence
        while self.sequence < self.indexed._feed.sequence:
            change, other = (self.run(anext(feed)) for feed in self.feeds)
            assert change == other
            self.sequence += 1
            assert change.sequence == self.sequence
            session = change.before or change.after
            assert self.state.pop(session.session_id, None) == change.before
            if change.after is not None:
                self.state[session.session_id] = change.after
        assert self.state == self.expected


class EvictionMachine(RuleBasedStateMachine):
    """Both stores with a time to live and a cap, and a model of which sessions are to be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.stores: list[Any] = []
        self.told: list[list[Any]] = [[], []]
        self.model: dict[UUID, Session] = {}
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        self.runner.close()

    @initialize(
        hot_sessions=st.sampled_from([0, 2, 10_000]),
        ttl=st.none() | st.integers(1, 20),
        cap=st.none() | st.integers(1, 8),
    )
    def start(self, hot_sessions: int, ttl: int | None, cap: int | None) -> None:
        self.ttl, self.cap = None if ttl is None else ttl * SECOND, cap
        options: dict[str, Any] = {"idle_ttl": self.ttl, "max_sessions": cap, "clock": self.clock}
        self.stores = [
            InMemorySessionStore(hot_sessions=hot_sessions, on_evict=self.teller(0), **options),
            ScanSessionStore(on_evict=self.teller(1), **options),
        ]

    def teller(self, number: int) -> Any:
        return lambda session, reason: self.told[number].append((session, reason))

    def both(self, call: Any) -> Any:
        async def awaited(store: Any) -> Any:
            return await call(store)

        answers = [self.runner.run(awaited(store)) for store in self.stores]
        assert answers[0] == answers[1]
        return answers[0]

    def seen(self) -> dict[UUID, Session]:
        """Return what is to be seen, the newest first."""
        if self.ttl is not None:
            since = self.clock() - self.ttl
            self.model = {key: one for key, one in self.model.items() if one.last_activity_at >= since}
        newest = sorted(self.model.values(), key=lambda session: session.last_activity_at, reverse=True)
        if self.cap is not None:
            newest = newest[: self.cap]
        self.model = {session.session_id: session for session in newest}
        return self.model

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=6), in_bulk=st.booleans())
    def save(self, ids: list[UUID], *, in_bulk: bool) -> None:
        sessions = [[make_session(session_id=session_id) for session_id in ids] for _ in self.stores]
        given = dict(zip(map(id, self.stores), sessions, strict=True))
        if in_bulk:
            self.both(lambda store: store.save_many(given[id(store)]))
        for number in range(len(ids)):
            if not in_bulk:
                self.both(lambda store, number=number: store.save(given[id(store)][number]))
            self.model[ids[number]] = sessions[0][number].model_copy(deep=True)
            if not in_bulk:
                self.seen()
        self.seen()
        assert sessions[0] == sessions[1]

    @rule(seconds=st.sampled_from([0.000001, 1, 5, 30]))
    def the_clock_moves(self, seconds: float) -> None:
        self.clock.move(seconds=seconds)

    @rule(session_id=st.sampled_from(IDS))
    def delete(self, session_id: UUID) -> None:
        is_there = session_id in self.seen()
        assert self.both(lambda store: store.delete(session_id)) is is_there
        self.model.pop(session_id, None)

    @rule(session_id=st.sampled_from(IDS), limit=st.integers(0, 9))
    def read(self, session_id: UUID, limit: int) -> None:
        newest = list(self.seen().values())
        assert self.both(lambda store: store.get(session_id)) == self.model.get(session_id)
        assert self.both(lambda store: store.list_by_agent(TENANT, AGENT, limit=limit)) == newest[:limit]
        assert self.both(lambda store: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1")) == next(
            iter(newest), None
        )

    @rule()
    def count(self) -> None:
        """Which removes what has expired."""
        assert self.both(lambda store: store.count_by_agent(TENANT, AGENT)) == len(self.seen())
        if self.ttl is not None:
            assert self.stores[0].stats().sessions == len(self.model)

    @rule()
    def all_are_told_once(self) -> None:
        for store in self.stores:
            self.runner.run(until_told(store))
        assert self.told[0] == self.told[1]
        for session, reason in self.told[0]:
            assert (reason is EvictionReason.IDLE and self.ttl) or (reason is EvictionReason.CAP and self.cap)
            assert session.session_id not in self.model or self.model[session.session_id] != session

    @invariant()
    def every_index_is_equal_to_its_recomputation(self) -> None:
        for store in self.stores:
            store._check()
