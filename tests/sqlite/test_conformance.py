"""A store with a journal keeps the contract, at both levels of durability."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex.testing import CASES, Case, check_session_store


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_store_with_a_journal_keeps_the_contract(make_store: Any, case: Case) -> None:
    report = await check_session_store(make_store, cases=[case])

    assert not report.failures, str(report)
    assert not report.unsupported, str(report)
