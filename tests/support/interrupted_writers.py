"""Plant faults in the recovery of a store, for the tests that interrupt commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessiondex import InMemorySessionStore, ScanSessionStore

Plant = Callable[[Any], None]


def planted(plant: Plant, cls: type[Any] = InMemorySessionStore) -> Callable[..., Any]:
    """Return a function that makes a store with the fault."""

    def make(**options: Any) -> Any:
        store = cls(**options)
        plant(store)
        return store

    return make


def forget_the_rest(store: Any) -> None:
    """Drop an interrupted commit as if it were finished."""
    writer = store._writer
    writer.recover = lambda: setattr(writer, "_pending", None)


def publish_nothing(store: Any) -> None:
    """Finish the rows and indexes, and publish to no listener."""
    writer = store._writer

    def recover() -> None:
        if writer._pending is not None:
            writer._backend.recover(writer._pending[0])
            writer._pending = None

    writer.recover = recover


def publish_under_new_numbers(store: Any) -> None:
    """Publish again what may have been published, under numbers that no listener has seen."""
    writer = store._writer
    recover = writer.recover

    def recover_with_new_numbers() -> None:
        if writer._pending is not None:
            plans, mutations, sequence = writer._pending
            writer._pending = plans, mutations, sequence + len(plans)
        recover()

    writer.recover = recover_with_new_numbers


def leave_the_indexes(store: Any) -> None:
    """Finish the rows and leave the indexes as the interruption left them."""
    table = store._backend._table

    def recover(plans: Any) -> None:
        for plan in plans:
            table.apply_to_row(plan)

    store._backend.recover = recover


def leave_the_cache(store: Any) -> None:
    """Finish rows and indexes, and keep the snapshots of earlier versions."""
    backend, table = store._backend, store._backend._table

    def recover(plans: Any) -> None:
        for plan in plans:
            table.apply_to_row(plan)
        table.rebuild()
        backend._codec.recount(table.rows())

    backend.recover = recover


def interrupt_first_commit(store: Any, error: type[BaseException], *, is_applied: bool) -> None:
    """Raise an error before or after the first plan of the next commit is applied."""
    backend = store._backend
    apply = backend.apply

    def apply_once(plan: Any) -> None:
        del backend.apply  # the method of the class is back
        if is_applied:
            apply(plan)
        raise error("out of the blue")

    backend.apply = apply_once


FAULTS: list[tuple[Plant, type[Any], str]] = [
    (forget_the_rest, InMemorySessionStore, "bytes of all rows|as neither|content as before|changes as"),
    (forget_the_rest, ScanSessionStore, "as neither|content as after, changes as before|numbered"),
    (publish_nothing, InMemorySessionStore, "numbered|changes as before"),
    (publish_under_new_numbers, InMemorySessionStore, "numbered|changes as neither|no longer kept"),
    (leave_the_indexes, InMemorySessionStore, "index '.*: found|bytes of all rows"),
    (leave_the_cache, InMemorySessionStore, "cached session"),
]
"""Each fault, the store in which it is planted, and what the tests say about it."""
