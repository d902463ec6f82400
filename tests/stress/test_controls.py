"""Each case of the kit can fail: of the stores with a fault, at least one fails it."""

from __future__ import annotations

from sessiondex.testing import CASES, check_session_store
from tests.testing.broken import BROKEN


async def test_no_case_passes_with_every_fault() -> None:
    """A case that no fault fails would show nothing."""
    failed = set()
    for store in BROKEN:
        report = await check_session_store(store, timeout=1)
        failed |= {outcome.case.name for outcome in report.failures}

    assert [case.name for case in CASES if case.name not in failed] == []
