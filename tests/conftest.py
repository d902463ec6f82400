"""Fixtures: every store made here is checked against a recomputation of all its indexes when its test ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from sessiondex import InMemorySessionStore, ScanSessionStore
from tests.builders import Clock

# No deadline for an example: a busy machine is no bug. In CI, Hypothesis derandomizes by itself.
settings.register_profile("sessiondex", parent=settings(), deadline=None, print_blob=True)
settings.load_profile("sessiondex")

# Long searches, which `nox -s stress` asks for.
collect_ignore = [] if "SESSIONDEX_STRESS" in os.environ else ["stress"]

STORES = [InMemorySessionStore, ScanSessionStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES, ids=["indexed", "scan"])
def make_store(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Any]:
    made = []

    def make(**options: Any) -> Any:
        store = request.param(**{"clock": clock, **options})
        made.append(store)
        return store

    yield make
    for store in made:
        store._check()


@pytest.fixture
def store(make_store: Any) -> Any:
    """Either store, with the test's clock."""
    return make_store()


@pytest.fixture
def indexed(clock: Clock) -> Iterator[InMemorySessionStore]:
    store: InMemorySessionStore = InMemorySessionStore(clock=clock)
    yield store
    store._check()
