"""The state machines, at a size for every run: `nox -s stress` takes them further."""

from __future__ import annotations

from functools import partial
from typing import Any

import hypothesis
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from sessiondex.testing import ContractViolation
from tests.support.broken_stores.queries import CountsIdleOnes
from tests.support.eviction_machine import EvictionMachine
from tests.support.seeds import GIVEN_SEED, TryEach, skip_with_seed
from tests.support.sizes import search_size
from tests.support.state_machine import StoreMachine

# What fails is repeated by its seed, and then Hypothesis takes its time to look for fewer steps that fail as well. It
# prints them as a program.
SOME = settings(
    max_examples=search_size(40),
    stateful_step_count=50,
    deadline=None,
    database=None,
    derandomize=False,
    phases=[Phase.generate] if GIVEN_SEED is None else [Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)

MACHINES: dict[str, tuple[type[Any], int, int]] = {
    "stores": (StoreMachine, 4, search_size(5_500)),
    "eviction": (EvictionMachine, 3, search_size(4_500)),
}
"""The machines, how many seeds each is run with, and how many steps that makes at least."""


def run_machine(machine: type[Any], seed: int, some: settings = SOME) -> None:
    """Run the machine as this seed decides."""
    run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=some)


@pytest.mark.search
@pytest.mark.parametrize("name", MACHINES)
def test_after_any_steps_every_index_is_equal_to_its_recomputation(name: str, try_each: TryEach) -> None:
    """All answers equal those of the scan store."""
    _, seeds, steps = MACHINES[name]

    class Counted(MACHINES[name][0]):  # type: ignore[misc]  # one with a count of its own, whatever else runs here
        pass

    if try_each(range(seeds), partial(run_machine, Counted)):
        assert Counted.steps >= steps


# -- what this finds, were it there --


class OfCountsOfIdleOnes(StoreMachine):
    def make_store(self, **options: Any) -> Any:
        return CountsIdleOnes(cache_size=self.cache_size, **options)


@skip_with_seed
def test_a_planted_bug_is_found_and_the_failure_says_how_to_repeat_it(try_each: TryEach) -> None:
    with pytest.raises(ContractViolation, match=r"^count_by_agent") as error:
        try_each(range(4), partial(run_machine, OfCountsOfIdleOnes))
    seed = int(error.value.__notes__[-1].partition("SESSIONDEX_SEED=")[2].partition(" nox -s tests -- tests/")[0])

    with pytest.raises(ContractViolation) as again:
        run_machine(OfCountsOfIdleOnes, seed)
    assert str(again.value) == str(error.value)
