"""The state machines for longer: 2,000 runs of up to 100 steps each."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.stores.machine import StoreMachine
from tests.stores.machine_services import EvictionMachine, ServiceMachine

LONG = settings(max_examples=2_000, stateful_step_count=100, deadline=None, suppress_health_check=list(HealthCheck))

TestStores, TestServices, TestEviction = StoreMachine.TestCase, ServiceMachine.TestCase, EvictionMachine.TestCase
TestStores.settings = TestServices.settings = TestEviction.settings = LONG
