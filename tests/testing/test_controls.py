"""Positive controls: each fault that was planted in a store is found, by the cases that are about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex.testing import CASES, Case, Report, check_session_store
from tests.support import virtual_time
from tests.support.broken_stores import BROKEN

BY_NAME = {case.name: case for case in CASES}


def errors_of(store: Any, cases: list[Case], run: Any) -> dict[str, type]:
    """Return by what each case fails."""
    if not cases:
        return {}
    report: Report = run(check_session_store(store, cases=cases))
    return {outcome.case.name: type(outcome.error) for outcome in report.failures}


@pytest.mark.parametrize("store", BROKEN, ids=lambda store: store.__name__)
def test_a_fault_is_found_by_the_cases_about_it(store: Any) -> None:
    """Each of these cases fails by what it expects, or by the error that the fault is, and by no accident.

    Where the fault is that something never comes, time is counted and not waited for: then no slow machine is the
    reason, and it takes no while.
    """
    expected = BROKEN[store]
    cases: dict[bool, list[Case]] = {False: [], True: []}
    for name, error in expected.items():
        cases[error is TimeoutError].append(BY_NAME[name])
    found = errors_of(store, cases[False], asyncio.run) | errors_of(store, cases[True], virtual_time.run)

    assert found == expected


def test_each_case_finds_a_fault() -> None:
    """A case that no fault fails would show nothing."""
    assert {name for names in BROKEN.values() for name in names} == set(BY_NAME)
