"""The state machines for longer: a million steps, and after each every index is compared with its recomputation."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import settings

from tests.stores.test_machine import MACHINES, SOME, run_machine
from tests.support.seeds import TryEach

pytestmark = pytest.mark.search

LONG = settings(SOME, max_examples=200, stateful_step_count=100)
FIRST, BLOCK = 1_000, 4
"""The seed to begin with, and how many each test tries."""
BLOCKS = {"stores": 12, "eviction": 8}
STEPS = 50_000
"""Of each test."""


@pytest.mark.parametrize(("name", "block"), [(name, block) for name, count in BLOCKS.items() for block in range(count)])
def test_after_any_steps_every_index_is_equal_to_its_recomputation(name: str, block: int, try_each: TryEach) -> None:
    class Counted(MACHINES[name][0]):  # type: ignore[misc]  # one with a count of its own
        pass

    first = FIRST + block * BLOCK
    if try_each(range(first, first + BLOCK), partial(run_machine, Counted, some=LONG)):
        assert Counted.steps >= STEPS
    assert sum(BLOCKS.values()) * STEPS == 1_000_000
