"""Every method refuses a second running loop, a closed store, and a store of before a fork."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, ScanSessionStore
from tests.support.builders import IndexedSession
from tests.support.contract_methods import missing_in
from tests.support.every_method import (
    CALLS,
    check_a_closed_store_refuses,
    check_a_second_loop_is_refused,
    check_process,
)

STORES: dict[str, Any] = {
    "indexed": partial(InMemorySessionStore, session_classes=[IndexedSession]),
    "scan": partial(ScanSessionStore, session_classes=[IndexedSession]),
}
"""By name: a class, or a function, that returns a new store."""

each_store = pytest.mark.parametrize("make", STORES.values(), ids=STORES)
each_method = pytest.mark.parametrize("name", CALLS)


def test_every_method_of_the_contract_is_called() -> None:
    assert missing_in(set(CALLS)) == set()


@each_store
@each_method
async def test_a_second_running_loop_is_refused(make: Any, name: str) -> None:
    """Nothing changes, and the store goes on in its own loop."""
    await check_a_second_loop_is_refused(make(), CALLS[name])


@each_store
@each_method
async def test_a_closed_store_refuses_all_but_aclose_and_health_check(make: Any, name: str) -> None:
    await check_a_closed_store_refuses(make(), name, CALLS[name])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("store_name", STORES)
def test_a_store_of_before_a_fork_is_refused_in_the_child(store_name: str) -> None:
    """By every method, in the parent's loop and in a new one, without hanging. The parent's store goes on."""
    imports = f"from {__name__} import STORES; from tests.support.every_method import fork_and_call"
    check_process(f"{imports}; fork_and_call(STORES[{store_name!r}])")
