"""List the in-process stores that tests run on, and check the indexes of those that a test created."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sessiondex import InMemorySessionStore, ScanSessionStore

STORES: dict[str, tuple[Any, dict[str, Any]]] = {
    "indexed": (InMemorySessionStore, {}),
    "packed": (InMemorySessionStore, {"cache_size": 0}),
    "scan": (ScanSessionStore, {}),
}


def check_indexes(store: Any) -> None:
    """Raise `InvariantError` unless all indexes of the store agree with a recomputation."""
    store._backend.check()


def made_and_checked(make: Callable[..., Any]) -> Iterator[Any]:
    stores = []

    def make_one(**options: Any) -> Any:
        store = make(**options)
        stores.append(store)
        return store

    yield make_one
    for store in stores:
        check_indexes(store)
