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


@pytest.fixture(params=CONFORMING)
def make_bare_store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Make stores as users do: without options, unless the kit passes some."""
    cls, defaults = CONFORMING[request.param]
    yield from made_and_checked(lambda **options: cls(**{**defaults, **options}))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_store_keeps_the_contract(make_bare_store: Any, case: Case) -> None:
    """No case fails, and none is unsupported."""
    report = await check_session_store(make_bare_store, cases=[case])

    assert report.ok, str(report)
    assert not report.unsupported, str(report)
