"""The state machine, at a size for every run: `nox -s stress` takes it further."""

from __future__ import annotations

from hypothesis import settings

from tests.stores.machine import StoreMachine

TestStores = StoreMachine.TestCase
TestStores.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
