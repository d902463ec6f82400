"""The random schedules for longer: 100,000 of them."""

from __future__ import annotations

import pytest

from tests.stores.test_schedules import SCHEDULES, run_any
from tests.support.seeds import TryEach

pytestmark = pytest.mark.search

LONG, BLOCK = 100_000, 10_000


@pytest.mark.parametrize("first", range(SCHEDULES, SCHEDULES + LONG, BLOCK))
def test_any_schedule(first: int, try_each: TryEach) -> None:
    try_each(range(first, first + BLOCK), run_any)
