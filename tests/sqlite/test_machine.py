"""The state machine of the kit on a store with a journal that is closed, or killed, and opened in between."""

from __future__ import annotations

import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from sessiondex import InMemorySessionStore
from sessiondex.clock import to_datetime
from sessiondex.stores.sqlite import SQLiteJournal
from sessiondex.stores.sqlite.database import STAMPS_AHEAD
from sessiondex.stores.sqlite.rows import Delete
from sessiondex.testing import ContractViolation
from tests.support.sizes import search_size
from tests.support.state_machine import StoreMachine

SIZE = settings(
    max_examples=search_size(80, 8),
    stateful_step_count=50,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
STEPS = search_size(2_500, 16)


class JournalledMachine(StoreMachine):
    """All operations beside the scan store, which is never closed."""

    durability: ClassVar[Any] = "full"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.numbers = count(1)
        self.path = self.folder / "0.db"
        self.reopened = 0

    async def make_store(self, **options: Any) -> InMemorySessionStore[Any]:  # type: ignore[override]  # an awaitable will do
        self.options = {"cache_size": self.cache_size, **options}
        return await self.opened()

    async def opened(self) -> InMemorySessionStore[Any]:
        journal = SQLiteJournal(self.path, durability=self.durability)
        classes = [*self.saved_classes]
        store: Any = InMemorySessionStore(journal=journal, session_classes=classes, **self.options)
        return await store.__aenter__()  # type: ignore[no-any-return]  # the store

    @rule()
    def close_and_reopen(self) -> None:
        """Nothing is lost, and readers of changes go on where they were."""
        self.follow_the_changes()
        self.run(self.store.aclose())
        self.go_on_with_another_store()

    @rule()
    def kill_and_reopen(self) -> None:
        """Nothing is lost after a flush. Stamps and numbers begin ahead of all that were ever given.

        The clock is moved beyond these, so that the scan store gives the same stamps.
        """
        self.follow_the_changes()
        store: Any = self.store
        self.run(store.journal.flush())
        self.path = self.copied_files()
        self.run(store.aclose())
        self.clock.time = max(self.clock.time, to_datetime(store._clock.last_stamp))
        self.clock.move(microseconds=2 * STAMPS_AHEAD)
        self.go_on_with_another_store()

    def copied_files(self) -> Path:
        """Return a copy of the files as they are while the store is open, which is what a kill leaves behind."""
        path = self.folder / f"{next(self.numbers)}.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{self.path}{suffix}", f"{path}{suffix}")
        return path

    def go_on_with_another_store(self) -> None:
        before: Any = self.store
        store = self.run(self.opened())
        jump = store._writer.last_sequence - before._writer.last_sequence
        assert jump >= 0
        if self.first_sequences:
            self.first_sequences[0] += jump
        self.readers[0] = store.changes(since=store._writer.last_sequence)
        self.store = store
        type(self).openings += 1

    openings: ClassVar[int] = 0

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


@pytest.mark.search
@pytest.mark.parametrize("level", ["full", "batched"])
def test_after_any_steps_and_reopenings_nothing_is_lost(level: str) -> None:
    class Machine(JournalledMachine):
        durability = level

    run_state_machine_as_test(Machine, settings=SIZE)

    assert Machine.steps >= STEPS
    assert Machine.openings > 0


# -- what this finds, were it there --


def without_deletes(writes: Any) -> list[Any]:
    return [one for one in writes if not isinstance(one, Delete)]


class ForgetsDeletions(JournalledMachine):
    async def opened(self) -> InMemorySessionStore[Any]:
        store = await super().opened()
        journal: Any = store.journal
        add = journal._thread.add
        journal._thread.add = lambda *sizes_and_writes: add(
            *sizes_and_writes[:-1], without_deletes(sizes_and_writes[-1])
        )
        return store


def test_lost_deletions_are_found() -> None:
    with pytest.raises((ContractViolation, AssertionError)):
        run_state_machine_as_test(ForgetsDeletions, settings=settings(SIZE, max_examples=100))
