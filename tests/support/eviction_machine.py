"""Drive stores with expiry and a cap beside a model of the sessions that must be visible."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sessiondex import Channel, EvictionReason, InMemorySessionStore, ScanSessionStore, Session
from sessiondex.testing.strategies import IDS
from tests.support.builders import AGENT, START, TENANT, Clock, make_session
from tests.support.state_machine import StepCounter
from tests.support.stores import check_indexes
from tests.support.waiting import until_notified

SECOND = timedelta(seconds=1)


class EvictionMachine(StepCounter, RuleBasedStateMachine):
    """Both stores with a time to live and a cap, and a model of the visible sessions."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.stores: list[Any] = []
        self.notified: list[list[Any]] = [[], []]
        self.model: dict[UUID, Session] = {}
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        self.runner.close()

    @initialize(
        cache_size=st.sampled_from([0, 2, 10_000]),
        ttl=st.none() | st.integers(1, 20),
        cap=st.none() | st.integers(1, 8),
    )
    def start(self, cache_size: int, ttl: int | None, cap: int | None) -> None:
        self.ttl, self.cap = None if ttl is None else ttl * SECOND, cap
        options: dict[str, Any] = {"idle_ttl": self.ttl, "max_sessions": cap, "clock": self.clock}
        self.stores = [
            InMemorySessionStore(cache_size=cache_size, on_evict=self.on_evict(0), **options),
            ScanSessionStore(on_evict=self.on_evict(1), **options),
        ]

    def on_evict(self, number: int) -> Any:
        return lambda session, reason: self.notified[number].append((session, reason))

    def both(self, call: Any) -> Any:
        async def awaited(store: Any) -> Any:
            return await call(store)

        results = [self.runner.run(awaited(store)) for store in self.stores]
        assert results[0] == results[1]
        return results[0]

    def visible(self) -> dict[UUID, Session]:
        """Return the visible sessions, newest first."""
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
        sessions = [
            [make_session(session_id=session_id, last_activity_at=START) for session_id in ids] for _ in self.stores
        ]
        given = dict(zip(map(id, self.stores), sessions, strict=True))
        if in_bulk:
            self.both(lambda store: store.save_many(given[id(store)]))
        for number in range(len(ids)):
            if not in_bulk:
                self.both(lambda store, number=number: store.save(given[id(store)][number]))
            self.model[ids[number]] = sessions[0][number].model_copy(deep=True)
            if not in_bulk:
                self.visible()
        self.visible()
        assert sessions[0] == sessions[1]

    @rule(seconds=st.sampled_from([0.000001, 1, 5, 30]))
    def move_the_clock(self, seconds: float) -> None:
        self.clock.move(seconds=seconds)

    @rule(session_id=st.sampled_from(IDS))
    def delete(self, session_id: UUID) -> None:
        is_stored = session_id in self.visible()
        assert self.both(lambda store: store.delete(session_id)) is is_stored
        self.model.pop(session_id, None)

    @rule(session_id=st.sampled_from(IDS), limit=st.integers(0, 9))
    def read(self, session_id: UUID, limit: int) -> None:
        newest = list(self.visible().values())
        assert self.both(lambda store: store.get(session_id)) == self.model.get(session_id)
        assert self.both(lambda store: store.list_by_agent(TENANT, AGENT, limit=limit)) == newest[:limit]
        assert self.both(lambda store: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1")) == next(
            iter(newest), None
        )

    @rule()
    def count(self) -> None:
        """Compare the counts, which also remove expired sessions."""
        assert self.both(lambda store: store.count_by_agent(TENANT, AGENT)) == len(self.visible())
        if self.ttl is not None:
            assert self.stores[0].stats().sessions == len(self.model)

    @rule()
    def check_notifications(self) -> None:
        for store in self.stores:
            self.runner.run(until_notified(store))
        assert self.notified[0] == self.notified[1]
        for session, reason in self.notified[0]:
            assert (reason is EvictionReason.IDLE and self.ttl) or (reason is EvictionReason.CAP and self.cap)
            assert session.session_id not in self.model or self.model[session.session_id] != session

    @invariant()
    def every_index_is_equal_to_its_recomputation(self) -> None:
        for store in self.stores:
            check_indexes(store)
        self.count_step()
