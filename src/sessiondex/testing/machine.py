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
    from hypothesis.stateful import rule
except ImportError as error:
    raise ImportError('the state machine needs Hypothesis: pip install "sessiondex[testing]"') from error

from sessiondex.changes import Change, ChangeKind
from sessiondex.models import Session
from sessiondex.testing.expectations import ContractViolation, expect
from sessiondex.testing.machine_bulk import MachineBulk
from sessiondex.testing.machine_queries import MachineQueries
from sessiondex.testing.machine_writes import MachineWrites

_CHANGE_TIMEOUT_SECONDS = 20.0  # for a committed change to reach its reader

__all__ = ["SessionStoreMachine"]


class SessionStoreMachine(MachineQueries, MachineWrites, MachineBulk):
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

    # -- changes --

    @rule()
    def follow_the_changes(self) -> None:
        """Replay the changes since the last time: they must lead to the versions that are stored now."""
        while self.followed_count < self.commit_count:
            change, other = self.next_changes()
            self.expect_alike(change, other, "a change")
            self.replay(change)
        expect(self.replayed, {key: version_of(one) for key, one in self.expected.items()}, "the replayed versions")

    def next_changes(self) -> tuple[Change, Change]:
        """Return the next change of each store, and expect their sequences to go on without a gap."""
        change, other = (self.run(next_change(reader)) for reader in self.readers)
        self.first_sequences = self.first_sequences or [change.sequence, other.sequence]
        sequences = [change.sequence - self.first_sequences[0], other.sequence - self.first_sequences[1]]
        expect(sequences, [self.followed_count] * 2, "sequences, counted from the first")
        self.followed_count += 1
        return change, other

    def before_erasure(self) -> None:
        """Follow the changes up to the erasure."""
        self.follow_the_changes()

    def after_erasure(self, count: int) -> None:
        """Replay the changes of the erasure of so many sessions, which may come in any order."""
        pairs = [self.next_changes() for _ in range(count)]
        mine, other = (sorted(changes, key=lambda one: one.session_id) for changes in zip(*pairs, strict=True))
        self.expect_alike(mine, other, "the changes of an erasure")
        for change in mine:
            expect(change.kind, ChangeKind.DELETED, "the kind of a change of an erasure")
            self.replay(change)

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
        elif change.kind is ChangeKind.TOUCHED:
            expect(version[:2], before and before[:2], "tenant and revision of a touched session")
            self.replayed[change.session_id] = version
        else:
            expect(version, before, "the version of a removed session, after its last save")


def version_of(session: Session) -> tuple[UUID, int, datetime]:
    """Return the tenant, revision and stamp of a session, as a change has them."""
    return session.tenant_id, session.revision, session.last_activity_at


async def next_change(reader: AsyncIterator[Change]) -> Change:
    """Return the next change, or raise `ContractViolation` if it does not come in time."""
    try:
        async with asyncio.timeout(_CHANGE_TIMEOUT_SECONDS):
            return await anext(reader)
    except TimeoutError:
        raise ContractViolation(
            f"changes: a committed change did not come within {_CHANGE_TIMEOUT_SECONDS} s"
        ) from None
