"""Every store within one process keeps the contract, also prototypes that are put together from the same parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessiondex.testing import CASES, Case, check_session_store
from tests.support.mutex_store import MutexSessionStore
from tests.support.replica import ReplicatedStore
from tests.support.stores import STORES, made_and_checked

CONFORMING: dict[str, tuple[Any, dict[str, Any]]] = {
    **STORES,
    "mutex": (MutexSessionStore, {}),
    "replicated": (ReplicatedStore, {}),
}


PROTOTYPES = {MutexSessionStore, ReplicatedStore}
NOT_OF_PROTOTYPES = {"lists-go-on-without-what-cannot-be-read", "get-many-gives-none-for-what-cannot-be-read"}
"""They answer by themselves, and read every session that they find."""


@pytest.fixture(params=CONFORMING)
def make_bare_store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Make stores as users do: without options, unless the kit passes some."""
    cls, defaults = CONFORMING[request.param]

    def make(**options: Any) -> Any:
        if cls in PROTOTYPES and "on_unreadable" in options:
            raise NotImplementedError("reads every session")
        return cls(**{**defaults, **options})

    yield from made_and_checked(make)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_store_keeps_the_contract(make_bare_store: Any, case: Case, request: pytest.FixtureRequest) -> None:
    """No case fails, and none is unsupported, but for one of the prototypes."""
    report = await check_session_store(make_bare_store, cases=[case])
    is_prototype = request.node.callspec.params["make_bare_store"] in {"mutex", "replicated"}

    assert not report.failures, str(report)
    assert bool(report.unsupported) == (is_prototype and case.name in NOT_OF_PROTOTYPES), str(report)
