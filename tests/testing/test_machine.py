"""The state machine of the kit: it finds faults, drives stores with a time of their own, and says what it needs."""

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
from tests.support.broken_stores import concurrency, feed, isolation, queries, saves
from tests.support.virtual_time import VirtualLoop

# The same steps each time, and no search for shorter ones: that it fails is all that is asked.
FIND = settings(
    max_examples=1_000,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def broken(make: Any) -> type[SessionStoreMachine]:
    """Return a machine of the store. What never comes is found at once, since time is counted, not waited for."""

    class BrokenMachine(SessionStoreMachine):
        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner(loop_factory=VirtualLoop)

        def make_store(self, **options: Any) -> Any:
            return make(**options)

    return BrokenMachine


class FeedThatIsSilent(ScanSessionStore[Any]):
    async def changes(self, *, since: int | None = None) -> Any:  # noqa: ARG002  # the fault
        yield await asyncio.get_running_loop().create_future()  # it never comes


class NeverAnswers(ScanSessionStore[Any]):
    async def count_by_agent(self, *_: Any, **__: Any) -> int:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # it never comes


COMPLAINTS: dict[Any, str] = {
    saves.StampsThatRepeat: "^stamps: each should be greater",
    isolation.SharesGivenSessions: "^(get|a saved session|the replayed versions)",
    isolation.SharesResultsOfGet: "^(get|a saved session|the replayed versions)",
    isolation.NeverUnfilesAgents: "^(list_by_agent|iter_by_agent|sessions of a page|count_by_agent, beside the list)",
    isolation.ForgetsTheClass: "^(get|update|a saved session|list_by_|find_sessions|iter_by_).*Session",
    isolation.LeaksInQueries: "^(get_by_channel|list_by_|find_sessions|iter_by_|count_|get_or_create)",
    queries.OldestFirst: "^(list_by_|iter_by_).*, number [0-9]",
    concurrency.LosesUpdates: "^saving with expected revision",
    queries.CountsIdleOnes: "^count_by_agent",
    feed.FeedWithGaps: "^sequences, counted from the first",
    FeedThatIsSilent: "^changes: a committed change did not come",
}
"""What the machine says of stores with a fault."""


@pytest.mark.parametrize("store", COMPLAINTS)
def test_a_store_with_a_fault_is_found_out(store: Any) -> None:
    with pytest.raises(ContractViolation, match=COMPLAINTS[store]):
        run_state_machine_as_test(broken(store), settings=FIND)


def test_a_call_that_hangs_ends_after_the_timeout() -> None:
    class Impatient(broken(NeverAnswers)):  # type: ignore[misc]  # it is made there
        timeout = 0.5

    with pytest.raises(TimeoutError):
        run_state_machine_as_test(Impatient, settings=FIND)


def test_a_store_may_have_its_time_from_elsewhere_and_be_made_by_a_coroutine() -> None:
    """Stamps are its own then; all else is compared, order included."""

    class ServerMachine(SessionStoreMachine):
        owns_time = False

        async def make_store(self, **options: Any) -> Any:
            assert not options
            await asyncio.sleep(0)
            return InMemorySessionStore()

    run_state_machine_as_test(ServerMachine, settings=settings(FIND, max_examples=10, stateful_step_count=50))


@pytest.mark.parametrize("store", [isolation.SharesResultsOfGet, isolation.LeaksInQueries])
def test_a_fault_is_found_out_whosever_time_it_is(store: Any) -> None:
    class BrokenMachine(SessionStoreMachine):
        owns_time = False

        def make_store(self, **_: Any) -> Any:
            return store()

    with pytest.raises(ContractViolation, match=COMPLAINTS[store]):
        run_state_machine_as_test(BrokenMachine, settings=FIND)


def test_make_store_must_be_overridden() -> None:
    with pytest.raises(NotImplementedError, match="override make_store"):
        run_state_machine_as_test(SessionStoreMachine, settings=settings(FIND, max_examples=1))


def test_every_store_passes_beside_itself() -> None:
    """So what is found is the store's fault, and not the machine's."""

    class OracleMachine(SessionStoreMachine):
        def make_store(self, **options: Any) -> Any:
            return ScanSessionStore(**options)

    run_state_machine_as_test(OracleMachine, settings=settings(FIND, max_examples=10, stateful_step_count=50))


@pytest.mark.parametrize("module", ["machine", "strategies"])
def test_without_hypothesis_it_says_what_to_install(module: str) -> None:
    program = f"import sys; sys.modules['hypothesis'] = None; import sessiondex.testing.{module}"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603  # ours

    assert told.returncode == 1
    assert "ImportError: " in told.stderr
    assert 'pip install "sessiondex[testing]"' in told.stderr.splitlines()[-1]
