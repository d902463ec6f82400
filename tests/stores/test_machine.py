"""The state machine, at a size for every run: `nox -s stress` takes it further."""

from __future__ import annotations

from hypothesis import settings

from tests.stores.machine import StoreMachine
from tests.stores.machine_services import EvictionMachine, ServiceMachine

TestStores = StoreMachine.TestCase
TestStores.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestServices = ServiceMachine.TestCase
TestServices.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestEviction = EvictionMachine.TestCase
TestEviction.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
