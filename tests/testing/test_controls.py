"""Positive controls: the cases about it find each fault that is planted in a store."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex.testing import CASES, Case, Report, check_session_store
from tests.support import virtual_time
from tests.support.broken_stores import BROKEN

BY_NAME = {case.name: case for case in CASES}
GUARDED = {"get-or-create-in-a-task-of-create-is-refused"}
"""Cases that end a call of a faulty store by a timeout of their own."""


def errors_of(store: Any, cases: list[Case], run: Any) -> dict[str, type]:
    """Return the class of the error of each case that fails."""
    if not cases:
        return {}
    report: Report = run(check_session_store(store, cases=cases))
    return {outcome.case.name: type(outcome.error) for outcome in report.failures}


@pytest.mark.parametrize("store", BROKEN, ids=lambda store: store.__name__)
def test_a_fault_is_found_by_the_cases_about_it(store: Any) -> None:
    """Each case fails by the registered error, and not by accident.

    Cases that end by a timeout run in virtual time: they take no real time and do not depend on the speed of the
    machine.
    """
    expected = BROKEN[store]
    cases: dict[bool, list[Case]] = {False: [], True: []}
    for name, error in expected.items():
        cases[error is TimeoutError or name in GUARDED].append(BY_NAME[name])
    found = errors_of(store, cases[False], asyncio.run) | errors_of(store, cases[True], virtual_time.run)

    assert found == expected


def test_each_case_finds_a_fault() -> None:
    """A case that no fault fails would prove nothing."""
    assert {name for names in BROKEN.values() for name in names} == set(BY_NAME)
