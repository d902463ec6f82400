"""The check itself: known divergences, cases that fail or hang, invalid arguments, and the report."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sessiondex import ScanSessionStore
from sessiondex.testing import (
    CASES,
    Case,
    CaseContext,
    ContractViolation,
    Verdict,
    case,
    check_session_store,
)
from tests.support import virtual_time
from tests.support.broken_stores.isolation import LeaksInGet
from tests.support.broken_stores.queries import OldestFirst

BY_NAME = {case.name: case for case in CASES}


def cases_named(*names: str) -> list[Case]:
    return [BY_NAME[name] for name in names]


# -- known divergences --


async def test_a_known_divergence_is_no_failure() -> None:
    cases = cases_named("list-by-agent-is-newest-first", "get-with-another-tenant-finds-nothing")
    report = await check_session_store(
        OldestFirst, cases=cases, known_divergences={"list-by-agent-is-newest-first": "we read forwards"}
    )

    assert report.ok
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.DIVERGES, Verdict.PASSED]
    assert str(report) == (
        "diverges     list-by-agent-is-newest-first (law 2): we read forwards\n"
        "2 cases: 1 passed, 0 failed, 1 diverge, 0 unsupported"
    )
    assert isinstance(report.outcomes[0].error, ContractViolation)


async def test_a_divergence_of_a_case_that_passes_is_a_failure() -> None:
    case_name = "get-with-another-tenant-finds-nothing"
    report = await check_session_store(
        ScanSessionStore, cases=cases_named(case_name), known_divergences={case_name: "it leaks"}
    )

    assert [outcome.reason for outcome in report.failures] == ["the case passes now: remove it from known_divergences"]


@pytest.mark.parametrize(
    ("divergences", "message"),
    [
        ({"no-such-case": "x"}, "there is no case 'no-such-case'; copy the name from the report"),
        ({"save-keeps-what-it-is-given": " "}, "'save-keeps-what-it-is-given' has no reason; state why"),
    ],
)
async def test_an_invalid_divergence_is_refused_before_any_case_runs(divergences: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await check_session_store(lambda: pytest.fail("too late"), known_divergences=divergences)


# -- failures --


def test_a_case_that_hangs_is_a_failure() -> None:
    """Also if it delays its cancellation; its store is closed. Time is virtual."""
    virtual_time.run(check_a_case_that_hangs())


async def check_a_case_that_hangs() -> None:
    stores: list[Any] = []

    @case(None)
    async def stubborn(context: CaseContext) -> None:
        """Never ends."""
        stores.append(await context.store())
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)

    @case(None)
    async def quick(context: CaseContext) -> None:
        """Ends."""

    report = await check_session_store(ScanSessionStore, cases=[stubborn, quick], timeout=0.01)
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.FAILED, Verdict.PASSED]
    assert report.failures[0].reason == "TimeoutError: it did not finish within 0.01 s"
    assert await stores[0].health_check() is False


async def test_a_cancelled_check_leaves_no_task_behind() -> None:
    started = asyncio.Event()

    @case(None)
    async def endless(context: CaseContext) -> None:
        """Never ends."""
        started.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    checking = asyncio.ensure_future(check_session_store(ScanSessionStore, cases=[endless]))
    await started.wait()
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_any_error_is_a_failure_and_the_next_case_runs() -> None:
    class Odd(ScanSessionStore[Any]):
        async def get(self, *_: Any, **__: Any) -> Any:
            raise KeyError("odd")

    names = "save-keeps-what-it-is-given", "a-frozen-session-is-stamped-too", "an-empty-batch-changes-nothing"
    report = await check_session_store(Odd, cases=cases_named(*names))

    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.FAILED, Verdict.FAILED, Verdict.PASSED]
    assert report.failures[0].reason.startswith("KeyError in ")
    assert report.failures[0].reason.endswith("Odd.get: 'odd'")


async def test_a_store_that_cannot_be_created_fails_each_case() -> None:
    def refuse() -> Any:
        raise OSError("no server")

    report = await check_session_store(refuse, cases=CASES[:2])
    assert [outcome.reason for outcome in report.failures] == [
        f"OSError in {refuse.__qualname__}: no server",
    ] * 2


async def test_a_store_that_cannot_be_closed_fails_the_case() -> None:
    class Unclosable(ScanSessionStore[Any]):
        async def aclose(self) -> None:
            raise OSError("still busy")

    report = await check_session_store(Unclosable, cases=CASES[:1])
    assert "closing the store after the case: OSError" in report.failures[0].reason


async def test_a_case_that_ends_by_a_cancellation_is_a_failure() -> None:
    """The check itself continues."""

    @case(None)
    async def cancelling(context: CaseContext) -> None:
        """Cancels the task that it awaits."""
        task = context.task(asyncio.Event().wait())
        task.cancel()
        await task

    report = await check_session_store(ScanSessionStore, cases=[cancelling])
    assert report.failures[0].reason == "it ended with a CancelledError, but the kit did not cancel it"


async def test_exceptions_of_a_test_runner_are_raised() -> None:
    """For example `pytest.skip`, if there is no server."""

    def skipped() -> Any:
        pytest.skip("no server")

    with pytest.raises(pytest.skip.Exception, match="no server"):
        await check_session_store(skipped, cases=CASES[:1])


async def test_tasks_of_a_case_end_with_it() -> None:
    before = asyncio.all_tasks()

    @case(None)
    async def leaving(context: CaseContext) -> None:
        """Leaves a task behind."""
        context.task(asyncio.Event().wait())
        raise ContractViolation("mine")

    report = await check_session_store(ScanSessionStore, cases=[leaving])
    assert report.failures[0].reason == "mine"
    assert asyncio.all_tasks() == before


async def test_a_report_has_a_line_for_each_case_that_did_not_pass() -> None:
    report = await check_session_store(
        LeaksInGet, cases=cases_named("save-keeps-what-it-is-given", "get-with-another-tenant-finds-nothing")
    )
    session = report.failures[0].reason.split()[-3]

    assert str(report) == (
        "failed       get-with-another-tenant-finds-nothing (law 7): get with another tenant's id: "
        f"expected None, but it was Session {session} (revision 1)\n"
        "2 cases: 1 passed, 1 failed, 0 diverge, 0 unsupported"
    )


def test_a_store_that_cannot_be_created_with_an_option_fails_the_cases_that_need_it() -> None:
    """If creating it raises or closing it hangs; the other cases run. Time is virtual."""
    virtual_time.run(check_stores_that_cannot_be_created())


async def check_stores_that_cannot_be_created() -> None:

    class HangsWhenClosed(ScanSessionStore[Any]):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    def refusing(**options: Any) -> Any:
        if options:
            raise ConnectionError("nobody there")
        return ScanSessionStore()

    def hanging(**options: Any) -> Any:
        return HangsWhenClosed(**options) if options else ScanSessionStore()

    cases_with_needs = [case for case in CASES if "clock" in case.needs][:1]
    other = [case for case in CASES if not case.needs][:1]
    for make, said in ((refusing, "nobody there"), (hanging, "did not finish within")):
        report = await check_session_store(make, cases=[*cases_with_needs, *other], timeout=0.2)

        assert [outcome.case for outcome in report.failures] == cases_with_needs
        assert said in str(report)
        assert report.capabilities == ()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"cases": []}, "cases"),
        ({"cases": ["x"]}, "cases"),
        ({"cases": 7}, "cases"),
        ({"cases": [CASES[0], replace(CASES[1], name=CASES[0].name)]}, "two are called"),
        ({"known_divergences": ["x"]}, "known_divergences"),
        ({"known_divergences": {CASES[0].name: None}}, "known_divergences"),
    ],
)
async def test_invalid_arguments_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        await check_session_store(ScanSessionStore, **options)


async def test_a_make_store_that_returns_no_store_is_refused(store: Any) -> None:
    made: Any = lambda: None  # noqa: E731  # the mistake
    with pytest.raises(ValueError, match="make_store"):
        await check_session_store(store)
    report = await check_session_store(made, cases=CASES[:1])
    assert "must return a SessionStore" in str(report)
