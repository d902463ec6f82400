"""The state machines for longer: a million steps, and after each every index is compared with its recomputation."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.stores.machine import StoreMachine
from tests.stores.machine_eviction import EvictionMachine

STEPS = 1_000_000
LONG = settings(stateful_step_count=100, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


class Stores(StoreMachine):
    """With a count of its own, whatever else runs in this process."""


class Eviction(EvictionMachine):
    """As above."""


# It takes an hour or so.
TestStores = pytest.mark.timeout(14_400)(Stores.TestCase)
TestEviction = pytest.mark.timeout(14_400)(Eviction.TestCase)
TestStores.settings = settings(LONG, max_examples=8_500)
TestEviction.settings = settings(LONG, max_examples=5_500)


def test_so_many_steps_were_checked() -> None:
    """Runs after the machines, which stand above."""
    if not (Stores.steps and Eviction.steps):
        pytest.skip("not all of the machines were selected")

    assert Stores.steps + Eviction.steps >= STEPS
