"""The state machines, at a size for every run: `nox -s stress` takes them further."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.stores.machine import StoreMachine
from tests.stores.machine_eviction import EvictionMachine

STEPS = 10_000


class Stores(StoreMachine):
    """With a count of its own, whatever else runs in this process."""


class Eviction(EvictionMachine):
    """As above."""


TestStores, TestEviction = Stores.TestCase, Eviction.TestCase
TestStores.settings = settings(max_examples=165, stateful_step_count=50, deadline=None)
TestEviction.settings = settings(max_examples=155, stateful_step_count=50, deadline=None)


def test_so_many_steps_were_checked() -> None:
    """After each, every index was compared with its recomputation. Runs after the machines, which stand above."""
    if not (Stores.steps and Eviction.steps):
        pytest.skip("not all of the machines were selected")

    assert Stores.steps + Eviction.steps >= STEPS
