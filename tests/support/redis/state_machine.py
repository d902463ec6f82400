"""Drive the Redis store and the scan store with the state machine of the kit.

The machine expects no more than `docs/scaling.md` promises. Stamps increase within each tenant, so sessions are
compared without them. Operations on many sessions use those of one tenant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sessiondex.changes import Change
from sessiondex.models import Session
from sessiondex.stores.redis import RedisSessionStore
from sessiondex.testing import START, strategies
from sessiondex.testing.expectations import expect
from sessiondex.testing.machine import SessionStoreMachine, next_change
from sessiondex.testing.machine_core import Pair
from tests.support.redis.recount import check_indexes
from tests.support.redis.servers import Servers
from tests.support.waiting import HANG_SECONDS

CLASSES = [strategies.NotedSession, strategies.TaggedSession]


class RedisMachine(SessionStoreMachine):
    """Runs every operation. At the end of each example, all indexes on the servers are recomputed from the rows."""

    servers: ClassVar[Servers]
    steps: ClassVar[int] = 0
    timeout: ClassVar[float] = HANG_SECONDS
    store_class: ClassVar[Any] = RedisSessionStore

    def make_store(self, **options: Any) -> Any:
        self.prefix = f"t{uuid4().hex}"
        return self.store_class(self.servers.url, prefix=self.prefix, session_classes=CLASSES, **options)

    def run(self, call: Any) -> Any:
        type(self).steps += 1
        return super().run(call)

    # -- stamps of each tenant --

    def comparable(self, answer: Any) -> Any:
        if isinstance(answer, Session):
            return answer.model_copy(update={"last_activity_at": START})
        if isinstance(answer, Change):
            return replace(answer, sequence=0, stamp=START)
        return [self.comparable(part) for part in answer] if isinstance(answer, list | tuple) else answer

    def note_saved(self, pairs: Sequence[Pair], *, touch: bool = True) -> None:
        for tenant in sorted({mine.tenant_id for mine, _ in pairs}):
            with self.only(tenant):
                super().note_saved([pair for pair in pairs if pair[0].tenant_id == tenant], touch=touch)

    @contextmanager
    def only(self, tenant: UUID) -> Iterator[None]:
        """Hide the sessions of the other tenants inside the block."""
        expected, held = self.expected, self.held_pairs
        self.expected = {key: session for key, session in expected.items() if session.tenant_id == tenant}
        self.held_pairs = [pair for pair in held if pair[0].tenant_id == tenant]
        yield
        self.expected |= {key: session for key, session in expected.items() if session.tenant_id != tenant}
        self.held_pairs = [*self.held_pairs, *(pair for pair in held if pair[0].tenant_id != tenant)][:6]

    # -- many sessions, of one tenant --

    @rule(
        tenant=strategies.tenants,
        sessions=st.lists(strategies.ids.flatmap(strategies.sessions), max_size=4),
        batch=st.none() | st.integers(1, 3),
        invalid=st.none() | st.integers(0, 3),
        data=st.data(),
    )
    def save_in_bulk(  # Hypothesis draws each
        self, tenant: UUID, sessions: list[Session], batch: int | None, invalid: int | None, data: st.DataObject
    ) -> None:
        # A batch has at most one fault: with several, stores may report different ones.
        theirs = {key for key, session in self.expected.items() if session.tenant_id != tenant}
        sessions = [session for session in sessions if session.session_id not in theirs] + [
            session for session in sessions if session.session_id in theirs and invalid is None
        ][:1]
        for session in sessions:
            session.tenant_id = tenant
        held = self.held_pairs
        self.held_pairs = [pair for pair in held if pair[0].tenant_id == tenant and pair[0].session_id not in theirs]
        others = [pair for pair in held if pair not in self.held_pairs]
        super().save_in_bulk(sessions, batch, invalid, data)
        self.held_pairs = [*self.held_pairs, *others][:6]

    @rule(ids=st.lists(strategies.ids, max_size=5), tenant=strategies.tenants, is_told=st.booleans())
    def delete_many(self, ids: list[UUID], tenant: UUID, *, is_told: bool) -> None:
        theirs = [one for one in ids if one not in self.expected or self.is_stored(one, tenant)]
        super().delete_many(ids if is_told else theirs, tenant if is_told else None)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "prefix"):
            check_indexes(self.servers, self.prefix)
            self.servers.flush()


class ClusterMachine(RedisMachine):
    """Follows one change feed for each tenant."""

    def on_start(self) -> None:
        self.tenants = [strategies.TENANT, strategies.OTHER_TENANT]
        self.tenant_readers = {tenant: self.store.changes(tenant_id=tenant) for tenant in self.tenants}  # type: ignore[call-arg]
        self.readers = [self.oracle.changes()]
        self.replayed: dict[Any, Any] = {}
        self.followed_count = 0
        self.last: dict[Any, int] = {}

    def next_changes(self) -> tuple[Change, Change]:
        """Return the next change of the oracle, and that of its tenant, whose changes are in the same order."""
        other = self.run(next_change(self.readers[0]))
        change = self.run(next_change(self.tenant_readers[other.tenant_id]))
        last = self.last.get(other.tenant_id, change.sequence - 1)
        expect(change.sequence, last + 1, "the sequence of a change of the tenant")
        self.last[other.tenant_id] = change.sequence
        self.followed_count += 1
        return change, other
