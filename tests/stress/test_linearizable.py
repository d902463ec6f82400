"""The histories for longer: 20,000 of them."""

from __future__ import annotations

import pytest

from tests.stores.test_linearizable import HISTORIES, check_any
from tests.support.seeds import TryEach

pytestmark = pytest.mark.search

LONG, BLOCK = 20_000, 5_000


@pytest.mark.parametrize("first", range(HISTORIES, HISTORIES + LONG, BLOCK))
def test_any_history(first: int, try_each: TryEach) -> None:
    try_each(range(first, first + BLOCK), check_any)
