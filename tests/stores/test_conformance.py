"""Our own stores keep the contract, as told by the public kit: each case on each store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sessiondex.testing import CASES, Case, check_session_store
from tests.support.stores import STORES, made_and_checked


@pytest.fixture(params=STORES)
def make_bare_store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """As its user makes it: with a clock of its own, unless the kit gives one."""
    cls, defaults = STORES[request.param]
    yield from made_and_checked(lambda **options: cls(**{**defaults, **options}))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_store_keeps_the_contract(make_bare_store: Any, case: Case) -> None:
    """No case fails, and none is unsupported."""
    report = await check_session_store(make_bare_store, cases=[case])

    assert report.ok, str(report)
    assert not report.unsupported, str(report)
