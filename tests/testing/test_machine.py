"""The state machine of the kit: it finds faults, supports stores with their own clock, and names its requirements."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sessiondex import InMemorySessionStore, ScanSessionStore
from sessiondex.testing import ContractViolation
from sessiondex.testing.machine import SessionStoreMachine
from tests.support.broken_stores import (
    concurrency,
    erasure,
    feed,
    isolation,
    lists,
    own_indexes,
    queries,
    quiet_saves,
    saves,
    writes,
)
from tests.support.virtual_time import VirtualLoop

# Deterministic, without shrinking: the tests only need the first failure.
FIND = settings(
    max_examples=20_000,  # the rarest fault takes some 200, so that no run ends without it
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def broken(make: Any) -> type[SessionStoreMachine]:
    """Return a machine for the store. Time is virtual, so a change that never comes is found at once."""

    class BrokenMachine(SessionStoreMachine):
        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner(loop_factory=VirtualLoop)

        def make_store(self, **options: Any) -> Any:
            return make(**options)

    return BrokenMachine


class FeedThatIsSilent(ScanSessionStore[Any]):
    async def changes(self, *, since: int | None = None) -> Any:  # noqa: ARG002  # the fault
        yield await asyncio.get_running_loop().create_future()  # never done


class NeverAnswers(ScanSessionStore[Any]):
    async def count_by_agent(self, *_: Any, **__: Any) -> int:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never done


FINDINGS: dict[Any, str] = {
    saves.StampsThatRepeat: "^(stamps: each must be greater|get_or_create, beside|a saved session, beside)",
    isolation.SharesGivenSessions: "^(get|find|iter|list|a saved session|the replayed versions)",
    isolation.SharesResultsOfGet: "^(get|find|list|a saved session|the replayed versions)",
    isolation.NeverUnfilesAgents: "^(list_by_agent|iter_by_agent|sessions of a page|count_by_agent, beside)",
    isolation.ForgetsTheClass: "^(get|update|a saved session|list_by_|find_sessions|iter_by_).*Session",
    isolation.LeaksInQueries: "^(get_by_channel|list_by_|find_sessions|iter_by_|count_|get_or_create)",
    queries.OldestFirst: "^(list_by_|iter_by_).*; number [0-9]",
    concurrency.LosesUpdates: "^saving with expected revision",
    queries.CountsIdleOnes: "^count_by_agent",
    feed.FeedWithGaps: "^sequences, counted from the first",
    queries.IgnoresAfter: "^(list_by_|iter_by_).*, sessions of a page beyond its cursors",
    lists.HidesTheClosed: "^(list|iter|count)_by_(tenant|channel)",
    lists.AnswersEachIdOnce: "^get_many",
    own_indexes.ComparesByValueAlone: "^(list|iter|count|get)_by_field",
    quiet_saves.TouchesWithEachSave: "^(the stamp of a session saved without touch|a saved session)",
    quiet_saves.NeverTouches: "^stamps, the last one by touch",
    quiet_saves.TouchesForAnyTenant: "^touch",
    quiet_saves.FeedOfTouchesAsSaves: "^a change, beside",
    writes.CreatesFirst: "^the calls of create by update",
    writes.IgnoresExpectedRevisions: "^save_many with expected revisions",
    erasure.ErasesTheWholeStore: "^delete_by_",
    FeedThatIsSilent: "^changes: a committed change did not come",
}
"""By broken store: the message of the machine, as a regular expression."""


@pytest.mark.parametrize("store", FINDINGS)
def test_a_fault_is_found(store: Any) -> None:
    with pytest.raises(ContractViolation, match=FINDINGS[store]):
        run_state_machine_as_test(broken(store), settings=FIND)


def test_a_call_that_hangs_ends_after_the_timeout() -> None:
    class Impatient(broken(NeverAnswers)):  # type: ignore[misc]  # a class made by a function
        timeout = 0.5

    with pytest.raises(TimeoutError):
        run_state_machine_as_test(Impatient, settings=FIND)


def test_a_store_may_have_its_own_clock_and_a_coroutine_function_as_factory() -> None:
    """Stamps are ignored then; all other results are compared, including their order."""

    class ServerMachine(SessionStoreMachine):
        owns_time = False

        async def make_store(self, **options: Any) -> Any:
            assert not options
            await asyncio.sleep(0)
            return InMemorySessionStore()

    run_state_machine_as_test(ServerMachine, settings=settings(FIND, max_examples=10, stateful_step_count=50))


@pytest.mark.parametrize("store", [isolation.SharesResultsOfGet, isolation.LeaksInQueries])
def test_a_fault_is_found_in_a_store_with_its_own_clock(store: Any) -> None:
    class BrokenMachine(SessionStoreMachine):
        owns_time = False

        def make_store(self, **_: Any) -> Any:
            return store()

    with pytest.raises(ContractViolation, match=FINDINGS[store]):
        run_state_machine_as_test(BrokenMachine, settings=FIND)


def test_make_store_must_be_overridden() -> None:
    with pytest.raises(NotImplementedError, match="override make_store"):
        run_state_machine_as_test(SessionStoreMachine, settings=settings(FIND, max_examples=1))


def test_the_scan_store_passes_compared_with_itself() -> None:
    """A finding is therefore a fault of the store and not of the machine."""

    class OracleMachine(SessionStoreMachine):
        def make_store(self, **options: Any) -> Any:
            return ScanSessionStore(**options)

    run_state_machine_as_test(OracleMachine, settings=settings(FIND, max_examples=10, stateful_step_count=50))


@pytest.mark.parametrize("module", ["machine", "strategies"])
def test_without_hypothesis_the_error_names_the_extra(module: str) -> None:
    program = f"import sys; sys.modules['hypothesis'] = None; import sessiondex.testing.{module}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603  # a constant command

    assert result.returncode == 1
    assert "ImportError: " in result.stderr
    assert 'pip install "sessiondex[testing]"' in result.stderr.splitlines()[-1]
