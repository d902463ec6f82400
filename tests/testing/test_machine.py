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
from sessiondex.testing import LawBroken
from sessiondex.testing.machine import SessionStoreMachine
from tests.testing.broken import over_time, queries, saving, together

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


@pytest.mark.parametrize(
    "store",
    [
        saving.StampsThatRepeat,
        saving.SharesWhatItIsGiven,
        saving.SharesWhatItHandsOut,
        saving.IndexThatForgetsNothing,
        saving.ForgetsTheClass,
        saving.LeaksInQueries,
        queries.OldestFirst,
        together.LosesUpdates,
        over_time.CountsIdleOnes,
        over_time.FeedWithGaps,
    ],
)
def test_a_store_with_a_fault_is_found_out(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is one that waits in vain."""
    monkeypatch.setattr("sessiondex.testing.machine._PATIENCE", 0.1)

    class BrokenMachine(SessionStoreMachine):
        def make_store(self, **options: Any) -> Any:
            return store(**options)

    with pytest.raises(LawBroken):
        run_state_machine_as_test(BrokenMachine, settings=FIND)


def test_a_store_may_have_its_time_from_elsewhere_and_be_made_by_a_coroutine() -> None:
    """Stamps are its own then; all else is compared, order included."""

    class ServerMachine(SessionStoreMachine):
        owns_time = False

        async def make_store(self, **options: Any) -> Any:
            assert not options
            await asyncio.sleep(0)
            return InMemorySessionStore()

    run_state_machine_as_test(ServerMachine, settings=settings(FIND, max_examples=10, stateful_step_count=50))


@pytest.mark.parametrize("store", [saving.SharesWhatItHandsOut, saving.LeaksInQueries])
def test_a_fault_is_found_out_whosever_time_it_is(store: Any) -> None:
    class BrokenMachine(SessionStoreMachine):
        owns_time = False

        def make_store(self, **_: Any) -> Any:
            return store()

    with pytest.raises(LawBroken):
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
