"""A state machine that drives any store beside `ScanSessionStore`, and compares all that they say.

Needs Hypothesis: `pip install "sessiondex[testing]"`.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import rule
except ImportError as error:
    raise ImportError('the state machine needs Hypothesis: pip install "sessiondex[testing]"') from error

from sessiondex.errors import ConflictError, SessionNotFoundError
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus
from sessiondex.testing import strategies as some
from sessiondex.testing.builders import at_step, make_session
from sessiondex.testing.expectations import ContractViolation, expect, expect_error
from sessiondex.testing.machine_core import MachineCore

_PATIENCE = 20.0  # seconds for a change to come that was committed

__all__ = ["SessionStoreMachine"]


class SessionStoreMachine(MachineCore):
    """Every operation, in any order, on a store and on `ScanSessionStore`: contents and order must be the same.

    Subclass it and override `make_store`; give the `TestCase` of the subclass to your test runner. A failing example is
    printed as a program that runs. If stamps come from elsewhere, such as a server's clock, say `owns_time = False`.

    >>> from hypothesis import settings
    >>> from hypothesis.stateful import run_state_machine_as_test
    >>> from sessiondex import InMemorySessionStore
    >>> class StoreMachine(SessionStoreMachine):
    ...     def make_store(self, **options):
    ...         return InMemorySessionStore(hot_sessions=2, **options)
    >>> run_state_machine_as_test(StoreMachine, settings=settings(max_examples=2, stateful_step_count=5, deadline=None))
    """

    def started(self) -> None:
        """Follow the changes from now on."""
        self.feeds = [store.changes() for store in (self.store, self.oracle)]
        self.state: dict[UUID, Any] = {}
        self.followed = 0
        self.first: list[int] = []

    # -- queries: most often for what is there --

    def like(self, session_id: UUID) -> Any:
        """Return what is stored under that id, or was before it was deleted, or else what others may be like."""
        known = self.expected.get(session_id) or self.gone.get(session_id)
        if known is not None:
            return known
        fields = at_step(active_scenario_id=some.SCENARIO, customer_profile_id=some.CUSTOMER)
        keys = {"tenant_id": some.TENANT, "agent_id": some.AGENT, "channel": Channel.SMS, "user_channel_id": "u"}
        return make_session(**keys, **fields)

    @rule(session_id=some.ids, tenant=st.none() | some.tenants)
    def get(self, session_id: UUID, tenant: UUID | None) -> None:
        found = self.agree(lambda store: store.get(session_id, tenant_id=tenant), "get")
        expect(found, self.expected[session_id] if self.is_there(session_id, tenant) else None, "get")

    @rule(
        like=some.ids,
        tenant=st.none() | some.tenants,
        channel=st.none() | some.channels,
        user=st.none() | some.user_channel_ids,
    )
    def get_by_channel(self, like: UUID, tenant: UUID | None, channel: Channel | None, user: str | None) -> None:
        session = self.like(like)
        identity = tenant or session.tenant_id, channel or session.channel, user or session.user_channel_id
        self.agree(lambda store: store.get_by_channel(*identity), f"get_by_channel of {identity[1:]}")

    @rule(like=some.ids, scope=some.scope_filters(), version=st.none() | some.versions, key=st.none() | some.hashes)
    def find_by_step(self, like: UUID, scope: ScopeFilter | None, version: int | None, key: str | None) -> None:
        step = self.step(like, version, key)
        self.agree(
            lambda store: store.find_sessions_by_step_hash(*step, scope),
            f"find_sessions_by_step_hash of {step[2:]} with {scope!r}",
        )

    def step(self, like: UUID, version: int | None, key: str | None) -> tuple[UUID, UUID, int, str]:
        """Return where the session stands, or the same in another version, or at another step."""
        session = self.like(like)
        hashes = [visit.step_content_hash for visit in session.step_history[-1:]]
        return (
            session.tenant_id,
            session.active_scenario_id or some.OTHER_SCENARIO,
            version or session.active_scenario_version or 1,
            key or (hashes and hashes[0]) or "hash-1",
        )

    @rule(
        like=some.ids,
        tenant=st.none() | some.tenants,
        agent=st.none() | some.agents,
        status=st.none() | some.statuses,
        limit=st.integers(0, 15),
    )
    def list_by_agent(  # Hypothesis draws each
        self, like: UUID, tenant: UUID | None, agent: UUID | None, status: SessionStatus | None, limit: int
    ) -> None:
        session = self.like(like)
        of = tenant or session.tenant_id, agent or session.agent_id
        self.agree(lambda store: store.list_by_agent(*of, status=status, limit=limit), "list_by_agent")

    @rule(like=some.ids, tenant=st.none() | some.tenants, customer=st.none() | some.customers, limit=st.integers(0, 15))
    def list_by_customer(self, like: UUID, tenant: UUID | None, customer: UUID | None, limit: int) -> None:
        session = self.like(like)
        of = tenant or session.tenant_id, customer or session.customer_profile_id or some.CUSTOMER
        self.agree(lambda store: store.list_by_customer(*of, limit=limit), "list_by_customer")

    # -- revisions, updates, creation --

    @rule(session=some.ids.flatmap(some.sessions), expected=st.integers(0, 3))
    def save_what_is_expected(self, session: Session, expected: int) -> None:
        owner = self.expected.get(session.session_id)
        actual = 0 if owner is None else owner.revision
        if owner is not None and owner.tenant_id != session.tenant_id:
            return
        pair = self.twins(session)
        for store, mine in zip((self.store, self.oracle), pair, strict=True):
            if expected == actual:
                self.run(store.save(mine, expected_revision=expected))
            else:
                with expect_error(ConflictError, f"saving what expects revision {expected}") as caught:
                    self.run(store.save(mine, expected_revision=expected))
                told = caught.error.expected, caught.error.actual
                expect(told, (expected, actual), "expected and actual of the conflict")
        if expected == actual:
            self.were_saved([pair])

    @rule(session_id=some.ids, turn=st.integers(0, 9), tenant=st.none() | some.tenants)
    def update(self, session_id: UUID, turn: int, tenant: UUID | None) -> None:
        def change(current: Any) -> None:
            current.turn_count = turn

        pair = []
        for store in (self.store, self.oracle):
            if self.is_there(session_id, tenant):
                pair.append(self.run(store.update(session_id, change, tenant_id=tenant)))
                expect(pair[-1].turn_count, turn, "turn_count of what update returns")
            else:
                with expect_error(SessionNotFoundError, "update of a session that is not there"):
                    self.run(store.update(session_id, change, tenant_id=tenant))
        if pair:
            self.were_saved([(pair[0], pair[1])])

    @rule(like=some.ids, user=st.none() | some.user_channel_ids, session_id=some.ids)
    def get_or_create(self, like: UUID, user: str | None, session_id: UUID) -> None:
        other = self.like(like)
        tenant, channel, user = other.tenant_id, other.channel, user or other.user_channel_id
        open_ones = [
            session
            for session in self.expected.values()
            if (session.tenant_id, session.channel, session.user_channel_id) == (tenant, channel, user)
            and session.status != SessionStatus.CLOSED
        ]
        if session_id in self.expected and not open_ones:
            return
        made = make_session(
            session_id=session_id,
            tenant_id=tenant,
            agent_id=some.AGENT,
            channel=channel,
            user_channel_id=user,
        )
        pair = self.twins(made)
        answers = [
            self.run(store.get_or_create(tenant, channel, user, iter([one]).__next__))
            for store, one in zip((self.store, self.oracle), pair, strict=True)
        ]
        self.expect_alike(answers[0], answers[1], "get_or_create")
        if open_ones:
            latest = max(open_ones, key=lambda session: session.last_activity_at)
            expect(answers[0], (latest, False), "get_or_create")
        else:
            expect(answers[0], (pair[0], True), "get_or_create")
            self.were_saved([pair])

    # -- pages and counts --

    @rule(session_id=some.ids, like=some.ids, status=st.none() | some.statuses, limit=st.integers(0, 5))
    def read_a_page(self, session_id: UUID, like: UUID, status: SessionStatus | None, limit: int) -> None:
        """Before the stamp that a session has, in each store its own."""
        pair = self.both(session_id)
        if pair is None:
            return
        other = self.like(like)
        tenant, agent, customer = other.tenant_id, other.agent_id, other.customer_profile_id or some.CUSTOMER
        pages: list[Any] = []
        for store, session in zip((self.store, self.oracle), pair, strict=True):
            cursor = session.last_activity_at
            page = self.run(store.list_by_agent(tenant, agent, status=status, limit=limit, before=cursor))
            expect([one for one in page if one.last_activity_at >= cursor], [], "what a page has beyond its cursor")
            pages.append((page, self.run(store.list_by_customer(tenant, customer, limit=limit, before=cursor))))
        self.expect_alike(pages[0][0], pages[1][0], f"list_by_agent before {pair[0].last_activity_at}")
        self.expect_alike(pages[0][1], pages[1][1], f"list_by_customer before {pair[0].last_activity_at}")

    @rule(like=some.ids, size=st.integers(1, 3))
    def iterate(self, like: UUID, size: int) -> None:
        other = self.like(like)
        tenant, agent, customer = other.tenant_id, other.agent_id, other.customer_profile_id or some.CUSTOMER
        self.agree(lambda store: _all(store.iter_by_agent(tenant, agent, page_size=size)), "iter_by_agent")
        self.agree(lambda store: _all(store.iter_by_customer(tenant, customer, page_size=size)), "iter_by_customer")

    @rule(like=some.ids, status=st.none() | some.statuses)
    def count(self, like: UUID, status: SessionStatus | None) -> None:
        other = self.like(like)
        tenant, agent, customer = other.tenant_id, other.agent_id, other.customer_profile_id or some.CUSTOMER
        sessions = self.run(self.store.list_by_agent(tenant, agent, status=status))
        count = self.agree(lambda store: store.count_by_agent(tenant, agent, status=status), "count_by_agent")
        expect(count, len(sessions), "count_by_agent, beside the list")
        sessions = self.run(self.store.list_by_customer(tenant, customer))
        count = self.agree(lambda store: store.count_by_customer(tenant, customer), "count_by_customer")
        expect(count, len(sessions), "count_by_customer, beside the list")

    @rule(like=some.ids, version=st.none() | some.versions, key=st.none() | some.hashes)
    def count_steps(self, like: UUID, version: int | None, key: str | None) -> None:
        tenant, scenario, version, key = self.step(like, version, key)
        steps = self.agree(lambda store: store.count_steps(tenant, scenario, version), "count_steps")
        found = self.run(self.store.find_sessions_by_step_hash(tenant, scenario, version, key))
        expect(steps.get(key, 0), len(found), "count_steps, beside the list")
        count = self.agree(lambda store: store.count_by_step_hash(tenant, scenario, version, key), "count_by_step_hash")
        expect(count, len(found), "count_by_step_hash, beside the list")

    # -- changes --

    @rule()
    def follow_the_changes(self) -> None:
        """What was committed leads from the state that was followed last to what is stored now."""
        while self.followed < self.committed:
            change, other = (self.run(_next(feed)) for feed in self.feeds)
            self.first = self.first or [change.sequence, other.sequence]
            sequences = [change.sequence - self.first[0], other.sequence - self.first[1]]
            expect(sequences, [self.followed] * 2, "sequences, counted from the first")
            expect(change.kind, other.kind, "the kind of a change")
            self.expect_alike(
                [change.before, change.after], [other.before, other.after], "before and after of a change"
            )
            session = change.before or change.after
            expect(self.state.pop(session.session_id, None), change.before, "what was before, beside what was after")
            if change.after is not None:
                self.state[session.session_id] = change.after
            self.followed += 1
        expect(self.state, self.expected, "what all changes lead to")


async def _all(sessions: Any) -> list[Any]:
    found: list[Any] = []
    async for session in sessions:
        found.append(session)
        if len(found) > len(some.IDS):
            break
    return found


async def _next(feed: Any) -> Any:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await anext(feed)
    except TimeoutError:
        raise ContractViolation(f"changes: one that was committed did not come within {_PATIENCE} s") from None
