"""Drive the indexed store with the state machine of the kit, and recompute its indexes after each step.

The indexed store keeps none, few or all sessions live. After each step every index is compared with its recomputation,
and the stats with a recount.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from sessiondex import InMemorySessionStore, Session
from sessiondex.testing import strategies
from sessiondex.testing.machine import SessionStoreMachine
from sessiondex.testing.machine_core import Pair
from tests.support.exact_values import exact
from tests.support.recount import recount
from tests.support.stores import check_indexes, size_of_rows


class StepCounter:
    """Counts the checked steps of all runs of a machine."""

    steps: ClassVar[int] = 0
    is_begun = False

    def count_step(self) -> None:
        """Count a step. Called once at the start of a run, and after each step."""
        if self.is_begun:
            type(self).steps += 1
        self.is_begun = True


class StoreMachine(StepCounter, SessionStoreMachine):
    """Runs every operation with new, changed, stale and invalid sessions of several classes."""

    cache_size = 0

    def make_store(self, **options: Any) -> InMemorySessionStore[Any]:
        return InMemorySessionStore(cache_size=self.cache_size, **options)

    @initialize(
        cache_size=st.sampled_from([0, 1, 2, 10_000]),
        sessions=st.lists(strategies.ids.flatmap(strategies.sessions), max_size=6),
    )
    def start_with(self, cache_size: int, sessions: list[Session]) -> None:
        self.cache_size = cache_size
        super().start_with(sessions)

    def get_pair(self, session_id: UUID) -> Pair | None:
        """Return the session from both stores, and check that every part has the saved type."""
        pair = super().get_pair(session_id)
        if pair is not None:
            assert exact(pair[0]) == exact(pair[1]) == exact(self.expected[session_id])
        return pair

    @invariant()
    def every_index_is_equal_to_its_recomputation(self) -> None:
        store: Any = self.store
        check_indexes(store)
        stats, sessions = store.stats(), list(self.expected.values())
        assert stats.sessions == len(sessions)
        assert stats.cached_sessions <= min(self.cache_size, len(sessions))
        assert stats.packed_bytes == size_of_rows(store)
        assert stats.indexes == recount(sessions)
        self.count_step()
