"""The state machine for longer: 2,000 runs of up to 100 steps."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.stores.machine import StoreMachine

TestStores = StoreMachine.TestCase
TestStores.settings = settings(
    max_examples=2_000, stateful_step_count=100, deadline=None, suppress_health_check=list(HealthCheck)
)
