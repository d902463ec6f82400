"""The random schedules for longer: 100,000 of them."""

from __future__ import annotations

import pytest

from tests.seeds import try_each
from tests.stores.test_schedules import SCHEDULES, run_any

LONG, BLOCK = 100_000, 10_000


@pytest.mark.parametrize("first", range(SCHEDULES, SCHEDULES + LONG, BLOCK))
def test_any_schedule(first: int) -> None:
    try_each(range(first, first + BLOCK), run_any, "tests/stores/test_schedules.py")
