"""check_session_store: its cases, known divergences, faulty cases and stores, and the report."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from sessiondex import ScanSessionStore, SessionStore
from sessiondex.testing import (
    CAPABILITIES,
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


def some(*names: str) -> list[Case]:
    return [BY_NAME[name] for name in names]


# -- the cases --


def test_names_of_cases_are_unique_and_promises_are_sentences() -> None:
    assert len(BY_NAME) == len(CASES)

    for one in CASES:
        assert re.fullmatch("[a-z0-9-]+", one.name), one.name
        assert one.promise.endswith("."), one.name
        assert set(one.needs) <= set(CAPABILITIES)


def test_every_law_has_cases() -> None:
    assert {one.law for one in CASES} == {None, *range(1, 19)}


async def test_every_operation_is_called_with_every_argument_and_options_only_where_they_are_needed() -> None:
    """A store that records its options and calls shows that."""
    called: dict[str, set[str]] = {}
    options: set[str] = set()

    class Recorder(ScanSessionStore[Any]):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            options.update(given)

        def __getattribute__(self, name: str) -> Any:
            method = super().__getattribute__(name)
            if name not in OPERATIONS:
                return method

            def record(*arguments: Any, **named: Any) -> Any:
                bound = inspect.signature(method).bind(*arguments, **named)
                called.setdefault(name, set()).update(bound.arguments)
                return method(*arguments, **named)

            return record

    for one in CASES:
        options.clear()
        report = await check_session_store(Recorder, cases=[one])
        assert report.ok, str(report)
        assert options == set(one.needs)
    assert called == OPERATIONS


OPERATIONS = {
    name: {parameter for parameter in inspect.signature(method).parameters if parameter != "self"}
    for name, method in vars(SessionStore).items()
    if getattr(method, "__isabstractmethod__", False) and not name.startswith("__")
}


def test_importing_the_kit_imports_neither_hypothesis_nor_pytest() -> None:
    """So cases run anywhere."""
    program = "import sys, sessiondex.testing; print({'hypothesis', 'pytest'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603  # our own

    assert result.stdout.strip() == "set()"


# -- known divergences --


async def test_a_store_with_a_known_divergence_passes() -> None:
    cases = some("list-by-agent-is-newest-first", "get-with-another-tenant-finds-nothing")
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


async def test_a_known_divergence_whose_case_passes_is_a_failure() -> None:
    case_name = "get-with-another-tenant-finds-nothing"
    report = await check_session_store(
        ScanSessionStore, cases=some(case_name), known_divergences={case_name: "it leaks"}
    )

    assert [outcome.reason for outcome in report.failures] == ["the case passes now: remove it from known_divergences"]


@pytest.mark.parametrize(
    ("divergences", "message"),
    [
        ({"no-such-case": "x"}, "there is no case 'no-such-case'; copy the name from the report"),
        (
            {"save-keeps-what-it-is-given": " "},
            "has no reason; state why your store differs",
        ),
    ],
)
async def test_an_invalid_divergence_is_refused_at_once(divergences: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await check_session_store(lambda: pytest.fail("too late"), known_divergences=divergences)


# -- faulty cases and stores --


def test_a_case_that_hangs_is_a_failure() -> None:
    """Also one that ends late after its cancellation. Its store is closed. Time is virtual."""
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


async def test_a_cancelled_check_is_cancelled_and_leaves_no_task() -> None:
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
    report = await check_session_store(Odd, cases=some(*names))

    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.FAILED, Verdict.FAILED, Verdict.PASSED]
    assert report.failures[0].reason.startswith("KeyError in ")
    assert report.failures[0].reason.endswith("Odd.get: 'odd'")


async def test_a_store_that_cannot_be_made_fails_each_case() -> None:
    def unmade() -> Any:
        raise OSError("no server")

    report = await check_session_store(unmade, cases=CASES[:2])
    assert [outcome.reason for outcome in report.failures] == [
        f"OSError in {unmade.__qualname__}: no server",
    ] * 2


async def test_a_store_that_cannot_be_closed_fails_the_case() -> None:
    class Unclosable(ScanSessionStore[Any]):
        async def aclose(self) -> None:
            raise OSError("still busy")

    report = await check_session_store(Unclosable, cases=CASES[:1])
    assert "closing the store after the case: OSError" in report.failures[0].reason


async def test_a_cancellation_from_within_is_a_failure() -> None:
    """The check goes on."""

    @case(None)
    async def cancelling(context: CaseContext) -> None:
        """Cancels a task and waits for it."""
        task = context.task(asyncio.Event().wait())
        task.cancel()
        await task

    report = await check_session_store(ScanSessionStore, cases=[cancelling])
    assert report.failures[0].reason == "it ended with a CancelledError, but the kit did not cancel it"


async def test_an_exception_of_a_test_runner_is_raised_to_the_caller() -> None:
    """Such as `pytest.skip`, when there is no server to test with."""

    def skipped() -> Any:
        pytest.skip("no server")

    with pytest.raises(pytest.skip.Exception, match="no server"):
        await check_session_store(skipped, cases=CASES[:1])


async def test_a_task_that_a_case_leaves_running_is_cancelled() -> None:
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
        LeaksInGet, cases=some("save-keeps-what-it-is-given", "get-with-another-tenant-finds-nothing")
    )
    session_id = report.failures[0].reason.split()[-3]

    assert str(report) == (
        "failed       get-with-another-tenant-finds-nothing (law 7): get with another tenant's id: "
        f"expected None, but it was Session {session_id} (revision 1)\n"
        "2 cases: 1 passed, 1 failed, 0 diverge, 0 unsupported"
    )


def test_a_store_that_cannot_be_made_with_an_option_fails_the_cases_that_need_it() -> None:
    """Whether it raises or hangs, also in `aclose`. The other cases run. Time is virtual."""
    virtual_time.run(check_a_store_that_cannot_be_made())


async def check_a_store_that_cannot_be_made() -> None:

    class HangsWhenClosed(ScanSessionStore[Any]):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    def refusing(**options: Any) -> Any:
        if options:
            raise ConnectionError("nobody there")
        return ScanSessionStore()

    def hanging(**options: Any) -> Any:
        return HangsWhenClosed(**options) if options else ScanSessionStore()

    needy = [case for case in CASES if "clock" in case.needs][:1]
    other = [case for case in CASES if not case.needs][:1]
    for make, message in ((refusing, "nobody there"), (hanging, "did not finish within")):
        report = await check_session_store(make, cases=[*needy, *other], timeout=0.2)

        assert [outcome.case for outcome in report.failures] == needy
        assert message in str(report)
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
async def test_a_bad_argument_is_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        await check_session_store(ScanSessionStore, **options)


async def test_a_bad_make_store_is_reported(store: Any) -> None:
    returns_none: Any = lambda: None  # noqa: E731  # a bad factory
    with pytest.raises(ValueError, match="make_store"):
        await check_session_store(store)
    report = await check_session_store(returns_none, cases=CASES[:1])
    assert "must return a SessionStore" in str(report)


@pytest.mark.parametrize(
    ("declare", "named"),
    [
        (lambda: case(99), "law"),
        (lambda: case(None, "wings"), "needs"),
        (lambda: case(None)(print), "a case must be a coroutine function"),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_a_wrong_declaration_of_a_case_is_refused(declare: Any, named: str) -> None:
    """The error names the argument and says what to do."""
    with pytest.raises(ValueError, match=named):
        declare()
