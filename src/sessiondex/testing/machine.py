"""A state machine that drives any store and `ScanSessionStore` with the same operations and compares all results.

Needs Hypothesis: `pip install "sessiondex[testing]"`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import rule
except ImportError as error:
    raise ImportError('the state machine needs Hypothesis: pip install "sessiondex[testing]"') from error

from sessiondex.contract import Change, ChangeKind
from sessiondex.errors import ConflictError, SessionNotFoundError
from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus
from sessiondex.testing import strategies
from sessiondex.testing.builders import at_step, make_session
from sessiondex.testing.expectations import ContractViolation, expect, expect_error
from sessiondex.testing.machine_core import MachineCore

_CHANGE_TIMEOUT_SECONDS = 20.0  # for a committed change to reach its reader

__all__ = ["SessionStoreMachine"]


class SessionStoreMachine(MachineCore):
    """Runs every operation in random order on a store and on `ScanSessionStore`, and expects equal results and orders.

    Subclass it, override `make_store`, and give the `TestCase` of the subclass to your test runner. Hypothesis prints a
    failing example as a program that runs. If the store does not take its time from `clock`, set `owns_time = False`.

    >>> from hypothesis import settings
    >>> from hypothesis.stateful import run_state_machine_as_test
    >>> from sessiondex import InMemorySessionStore
    >>> class StoreMachine(SessionStoreMachine):
    ...     def make_store(self, **options):
    ...         return InMemorySessionStore(cache_size=2, **options)
    >>> run_state_machine_as_test(StoreMachine, settings=settings(max_examples=2, stateful_step_count=5, deadline=None))
    """

    def on_start(self) -> None:
        """Start to follow the changes of both stores."""
        self.readers: list[AsyncIterator[Change]] = [store.changes() for store in (self.store, self.oracle)]
        self.replayed: dict[UUID, Any] = {}
        """The version of each session according to the changes, as `version_of` returns it."""
        self.followed_count: int = 0
        self.first_sequences: list[int] = []

    # -- queries, mostly for sessions that are stored --

    def session_like(self, session_id: UUID) -> Any:
        """Return the stored or deleted session of that id, or a session with typical keys."""
        known = self.expected.get(session_id) or self.deleted.get(session_id)
        if known is not None:
            return known
        fields = at_step(active_scenario_id=strategies.SCENARIO, customer_profile_id=strategies.CUSTOMER)
        keys = {
            "tenant_id": strategies.TENANT,
            "agent_id": strategies.AGENT,
            "channel": Channel.SMS,
            "user_channel_id": "u",
        }
        return make_session(**keys, **fields)

    @rule(session_id=strategies.ids, tenant=st.none() | strategies.tenants)
    def get(self, session_id: UUID, tenant: UUID | None) -> None:
        found = self.agree(lambda store: store.get(session_id, tenant_id=tenant), "get")
        expect(found, self.expected[session_id] if self.is_stored(session_id, tenant) else None, "get")

    @rule(
        like=strategies.ids,
        tenant=st.none() | strategies.tenants,
        channel=st.none() | strategies.channels,
        user=st.none() | strategies.user_channel_ids,
    )
    def get_by_channel(self, like: UUID, tenant: UUID | None, channel: Channel | None, user: str | None) -> None:
        session = self.session_like(like)
        identity = tenant or session.tenant_id, channel or session.channel, user or session.user_channel_id
        self.agree(lambda store: store.get_by_channel(*identity), f"get_by_channel of {identity[1:]}")

    @rule(
        like=strategies.ids,
        scope=strategies.scope_filters(),
        version=st.none() | strategies.versions,
        key=st.none() | strategies.hashes,
    )
    def find_by_step(self, like: UUID, scope: ScopeFilter | None, version: int | None, key: str | None) -> None:
        step = self.step(like, version, key)
        self.agree(
            lambda store: store.find_sessions_by_step_hash(*step, scope),
            f"find_sessions_by_step_hash of {step[2:]} with {scope!r}",
        )

    def step(self, like: UUID, version: int | None, key: str | None) -> tuple[UUID, UUID, int, str]:
        """Return the step of the session as arguments of a query, with another version or hash if given."""
        session = self.session_like(like)
        hashes = [visit.step_content_hash for visit in session.step_history[-1:]]
        return (
            session.tenant_id,
            session.active_scenario_id or strategies.OTHER_SCENARIO,
            version or session.active_scenario_version or 1,
            key or (hashes and hashes[0]) or "hash-1",
        )

    @rule(
        like=strategies.ids,
        tenant=st.none() | strategies.tenants,
        agent=st.none() | strategies.agents,
        status=st.none() | strategies.statuses,
        limit=st.integers(0, 15),
    )
    def list_by_agent(
        self, like: UUID, tenant: UUID | None, agent: UUID | None, status: SessionStatus | None, limit: int
    ) -> None:
        session = self.session_like(like)
        of = tenant or session.tenant_id, agent or session.agent_id
        self.agree(lambda store: store.list_by_agent(*of, status=status, limit=limit), "list_by_agent")

    @rule(
        like=strategies.ids,
        tenant=st.none() | strategies.tenants,
        customer=st.none() | strategies.customers,
        limit=st.integers(0, 15),
    )
    def list_by_customer(self, like: UUID, tenant: UUID | None, customer: UUID | None, limit: int) -> None:
        session = self.session_like(like)
        of = tenant or session.tenant_id, customer or session.customer_profile_id or strategies.CUSTOMER
        self.agree(lambda store: store.list_by_customer(*of, limit=limit), "list_by_customer")

    # -- revisions, updates, creation --

    @rule(session=strategies.ids.flatmap(strategies.sessions), expected=st.integers(0, 3))
    def save_with_expected_revision(self, session: Session, expected: int) -> None:
        owner = self.expected.get(session.session_id)
        actual = 0 if owner is None else owner.revision
        if owner is not None and owner.tenant_id != session.tenant_id:
            return
        pair = self.copy_twice(session)
        for store, mine in zip((self.store, self.oracle), pair, strict=True):
            if expected == actual:
                self.run(store.save(mine, expected_revision=expected))
            else:
                with expect_error(ConflictError, f"saving with expected revision {expected}") as caught:
                    self.run(store.save(mine, expected_revision=expected))
                revisions = caught.error.expected, caught.error.actual
                expect(revisions, (expected, actual), "expected and actual of the conflict")
        if expected == actual:
            self.note_saved([pair])

    @rule(session_id=strategies.ids, turn=st.integers(0, 9), tenant=st.none() | strategies.tenants)
    def update(self, session_id: UUID, turn: int, tenant: UUID | None) -> None:
        def change(current: Any) -> None:
            current.turn_count = turn

        pair = []
        for store in (self.store, self.oracle):
            if self.is_stored(session_id, tenant):
                pair.append(self.run(store.update(session_id, change, tenant_id=tenant)))
                expect(pair[-1].turn_count, turn, "turn_count of what update returns")
            else:
                with expect_error(SessionNotFoundError, "update of a missing session"):
                    self.run(store.update(session_id, change, tenant_id=tenant))
        if pair:
            self.note_saved([(pair[0], pair[1])])

    @rule(like=strategies.ids, user=st.none() | strategies.user_channel_ids, session_id=strategies.ids)
    def get_or_create(self, like: UUID, user: str | None, session_id: UUID) -> None:
        other = self.session_like(like)
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
            agent_id=strategies.AGENT,
            channel=channel,
            user_channel_id=user,
        )
        pair = self.copy_twice(made)
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
            self.note_saved([pair])

    # -- pages and counts --

    @rule(
        session_id=strategies.ids, like=strategies.ids, status=st.none() | strategies.statuses, limit=st.integers(0, 5)
    )
    def read_a_page(self, session_id: UUID, like: UUID, status: SessionStatus | None, limit: int) -> None:
        """Read the pages before the stamp of a session, in each store its own stamp."""
        pair = self.get_pair(session_id)
        if pair is None:
            return
        other = self.session_like(like)
        tenant, agent, customer = other.tenant_id, other.agent_id, other.customer_profile_id or strategies.CUSTOMER
        pages: list[Any] = []
        for store, session in zip((self.store, self.oracle), pair, strict=True):
            cursor = session.last_activity_at
            page = self.run(store.list_by_agent(tenant, agent, status=status, limit=limit, before=cursor))
            expect([one for one in page if one.last_activity_at >= cursor], [], "sessions of a page beyond its cursor")
            pages.append((page, self.run(store.list_by_customer(tenant, customer, limit=limit, before=cursor))))
        self.expect_alike(pages[0][0], pages[1][0], f"list_by_agent before {pair[0].last_activity_at}")
        self.expect_alike(pages[0][1], pages[1][1], f"list_by_customer before {pair[0].last_activity_at}")

    @rule(like=strategies.ids, size=st.integers(1, 3))
    def iterate(self, like: UUID, size: int) -> None:
        other = self.session_like(like)
        tenant, agent, customer = other.tenant_id, other.agent_id, other.customer_profile_id or strategies.CUSTOMER
        self.agree(lambda store: _collect(store.iter_by_agent(tenant, agent, page_size=size)), "iter_by_agent")
        self.agree(lambda store: _collect(store.iter_by_customer(tenant, customer, page_size=size)), "iter_by_customer")

    @rule(like=strategies.ids, status=st.none() | strategies.statuses)
    def count(self, like: UUID, status: SessionStatus | None) -> None:
        other = self.session_like(like)
        tenant, agent, customer = other.tenant_id, other.agent_id, other.customer_profile_id or strategies.CUSTOMER
        sessions = self.run(self.store.list_by_agent(tenant, agent, status=status))
        count = self.agree(lambda store: store.count_by_agent(tenant, agent, status=status), "count_by_agent")
        expect(count, len(sessions), "count_by_agent, beside the list")
        sessions = self.run(self.store.list_by_customer(tenant, customer))
        count = self.agree(lambda store: store.count_by_customer(tenant, customer), "count_by_customer")
        expect(count, len(sessions), "count_by_customer, beside the list")

    @rule(like=strategies.ids, version=st.none() | strategies.versions, key=st.none() | strategies.hashes)
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
        """Replay the changes since the last time: they must lead to the versions that are stored now."""
        while self.followed_count < self.commit_count:
            change, other = (self.run(next_change(reader)) for reader in self.readers)
            self.first_sequences = self.first_sequences or [change.sequence, other.sequence]
            sequences = [change.sequence - self.first_sequences[0], other.sequence - self.first_sequences[1]]
            expect(sequences, [self.followed_count] * 2, "sequences, counted from the first")
            self.expect_alike(change, other, "a change")
            self.replay(change)
            self.followed_count += 1
        expect(self.replayed, {key: version_of(one) for key, one in self.expected.items()}, "the replayed versions")

    def replay(self, change: Change) -> None:
        """Apply the change to the replayed versions, and expect it to follow the version before."""
        version = (change.tenant_id, change.revision, change.stamp)
        before = self.replayed.pop(change.session_id, None)
        if change.kind is ChangeKind.SAVED:
            tenant_id, revision = (change.tenant_id, 0) if before is None else before[:2]
            expect(change.tenant_id, tenant_id, "tenant of a change, compared with the change before")
            # More than one later if a batch saved the session twice: only the last of these saves is a change.
            expect(change.revision > revision, True, f"whether revision {change.revision} comes after {revision}")
            self.replayed[change.session_id] = version
        else:
            expect(version, before, "the version of a removed session, after its last save")


def version_of(session: Session) -> tuple[UUID, int, datetime]:
    """Return the tenant, revision and stamp of a session, as a change has them."""
    return session.tenant_id, session.revision, session.last_activity_at


async def _collect(sessions: Any) -> list[Any]:
    found: list[Any] = []
    async for session in sessions:
        found.append(session)
        if len(found) > len(strategies.IDS):
            break
    return found


async def next_change(reader: AsyncIterator[Change]) -> Change:
    """Return the next change, or raise `ContractViolation` if it does not come in time."""
    try:
        async with asyncio.timeout(_CHANGE_TIMEOUT_SECONDS):
            return await anext(reader)
    except TimeoutError:
        raise ContractViolation(
            f"changes: a committed change did not come within {_CHANGE_TIMEOUT_SECONDS} s"
        ) from None
