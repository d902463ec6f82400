"""Positive controls: each fault that was planted in a store is found, by the cases that are about it."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex.testing import CASES, check_session_store
from tests.testing.broken import BROKEN

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("store", BROKEN, ids=lambda store: store.__name__)
async def test_a_fault_is_found_by_the_cases_about_it(store: Any) -> None:
    """Each of these cases fails, and says why."""
    cases = [BY_NAME[name] for name in BROKEN[store]]
    report = await check_session_store(store, cases=cases, timeout=0.5)

    assert [outcome.case.name for outcome in report.failures] == [case.name for case in cases], str(report)
    assert not report.ok
    assert all(outcome.reason for outcome in report.failures)
