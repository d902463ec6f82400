"""Fixtures: every store made here is checked against a recomputation of all its indexes when its test ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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

STORES: dict[str, tuple[Any, dict[str, Any]]] = {
    "indexed": (InMemorySessionStore, {}),
    "packed": (InMemorySessionStore, {"hot_sessions": 0}),
    "scan": (ScanSessionStore, {}),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Any]:
    cls, defaults = STORES[request.param]
    yield from made_and_checked(lambda **options: cls(**{"clock": clock, **defaults, **options}))


@pytest.fixture
def store(make_store: Any) -> Any:
    """Each store in turn, with the test's clock."""
    return make_store()


@pytest.fixture
def make_indexed(clock: Clock) -> Iterator[Any]:
    yield from made_and_checked(lambda **options: InMemorySessionStore(**{"clock": clock, **options}))


@pytest.fixture
def indexed(make_indexed: Any) -> InMemorySessionStore:
    store: InMemorySessionStore = make_indexed()
    return store


def made_and_checked(make: Callable[..., Any]) -> Iterator[Any]:
    stores = []

    def make_one(**options: Any) -> Any:
        store = make(**options)
        stores.append(store)
        return store

    yield make_one
    for store in stores:
        store._check()
