"""The kit's own words: what is supported, what is known to differ, what hangs, and how it is told."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any
from uuid import UUID

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


def test_names_are_unique_and_say_what_is_promised() -> None:
    assert len(BY_NAME) == len(CASES)
    for one in CASES:
        assert re.fullmatch("[a-z0-9-]+", one.name), one.name
        assert one.promise.endswith("."), one.name
        assert set(one.needs) <= set(CAPABILITIES)


def test_every_law_has_cases() -> None:
    assert {one.law for one in CASES} == {None, *range(1, 19)}


async def test_every_operation_is_called_with_every_argument_and_options_only_where_they_are_needed() -> None:
    """As told by a store that takes note of how it was made, and how it was called."""
    called: dict[str, set[str]] = {}
    options: set[str] = set()

    class Noting(ScanSessionStore[Any]):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            options.update(given)

        def __getattribute__(self, name: str) -> Any:
            method = super().__getattribute__(name)
            if name not in OPERATIONS:
                return method

            def noted(*arguments: Any, **named: Any) -> Any:
                bound = inspect.signature(method).bind(*arguments, **named)
                called.setdefault(name, set()).update(bound.arguments)
                return method(*arguments, **named)

            return noted

    for one in CASES:
        options.clear()
        report = await check_session_store(Noting, cases=[one])
        assert report.ok, str(report)
        assert options == set(one.needs)
    assert called == OPERATIONS


OPERATIONS = {
    name: {parameter for parameter in inspect.signature(method).parameters if parameter != "self"}
    for name, method in vars(SessionStore).items()
    if getattr(method, "__isabstractmethod__", False) and not name.startswith("__")
}


def test_to_import_the_kit_imports_no_hypothesis() -> None:
    """And no test runner: cases run anywhere."""
    program = "import sys, sessiondex.testing; print({'hypothesis', 'pytest'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603  # ours

    assert told.stdout.strip() == "set()"


# -- what is supported --


NEEDY = [one for one in CASES if one.needs]


class Plain(ScanSessionStore[Any]):
    """Takes no option at all, as a store may that has its time from a server."""

    def __init__(self) -> None:
        super().__init__()


async def test_a_store_without_options_is_held_to_the_rest() -> None:
    report = await check_session_store(Plain, cases=[*NEEDY, *CASES[:20]])

    assert report.ok, str(report)
    assert report.capabilities == ()
    assert set(report.missing) == set(CAPABILITIES)
    assert all("does not take" in reason for reason in report.missing.values())
    assert {outcome.case.name for outcome in report.unsupported} == {one.name for one in NEEDY}
    assert str(report).splitlines()[-6:-4] == [
        "capabilities: none",
        "  without clock: make_store does not take clock: got an unexpected keyword argument 'clock'",
    ]


async def test_capabilities_are_found_behind_any_factory() -> None:
    """By its signature, or by what it raises when it is called; each of them for itself."""

    async def by_call(**options: Any) -> Any:
        await asyncio.sleep(0)
        if "changes_kept" in options:
            raise NotImplementedError("keeps no changes")
        if "idle_ttl" in options:
            raise TypeError("idle_ttl is not for us")
        return ScanSessionStore(**options)

    def by_signature(*, clock: Any = None, max_sessions: int | None = None) -> Any:
        return ScanSessionStore(max_sessions=max_sessions, **({"clock": clock} if clock else {}))

    called = await check_session_store(by_call, cases=NEEDY)
    assert called.ok, str(called)
    assert called.capabilities == ("clock", "max_sessions", "on_evict")
    assert called.missing == {
        "idle_ttl": "make_store does not take idle_ttl: idle_ttl is not for us",
        "changes_kept": "make_store does not take changes_kept: keeps no changes",
    }
    signed = await check_session_store(by_signature, cases=NEEDY)
    assert signed.ok, str(signed)
    assert signed.capabilities == ("clock", "max_sessions")


class WithoutTurns(ScanSessionStore[Any]):
    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> Any:
        raise NotImplementedError("no turns yet")


async def test_an_operation_that_is_not_implemented_is_unsupported() -> None:
    """Wherever it is used; the reason says which it is."""
    report = await check_session_store(WithoutTurns, cases=[one for one in CASES if one.law in {None, 1, 14}])

    assert report.ok, str(report)
    assert {outcome.case.law for outcome in report.unsupported} >= {14}
    assert {outcome.reason for outcome in report.unsupported} == {
        "NotImplementedError of WithoutTurns.exclusive: no turns yet"
    }


async def test_a_store_that_implements_nothing_does_not_pass() -> None:
    class Nothing(ScanSessionStore[Any]):
        async def get(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    report = await check_session_store(Nothing)
    assert [outcome.case.name for outcome in report.failures] == ["save-keeps-what-it-is-given"]


# -- known divergences --


async def test_a_known_divergence_is_not_held_against_a_store() -> None:
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


async def test_a_divergence_that_is_gone_is_a_failure() -> None:
    case_name = "get-with-another-tenant-finds-nothing"
    report = await check_session_store(
        ScanSessionStore, cases=some(case_name), known_divergences={case_name: "it leaks"}
    )

    assert [outcome.reason for outcome in report.failures] == [
        "the divergence is gone: remove it from known_divergences"
    ]


@pytest.mark.parametrize(
    ("divergences", "message"),
    [
        ({"no-such-case": "x"}, "there is no case 'no-such-case'; take the name from the report"),
        ({"save-keeps-what-it-is-given": " "}, "'save-keeps-what-it-is-given' has no reason; write down why"),
    ],
)
async def test_an_odd_divergence_is_refused_at_once(divergences: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await check_session_store(lambda: pytest.fail("too late"), known_divergences=divergences)


# -- what goes wrong --


def test_a_case_that_hangs_is_a_failure() -> None:
    """Also one that does not let itself be cancelled at once; what it had made is closed. Time is virtual."""
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
    assert report.failures[0].reason == "TimeoutError: it was not done within 0.01 s"
    assert await stores[0].health_check() is False


async def test_who_is_cancelled_while_checking_is_cancelled() -> None:
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
    assert report.failures[0].reason.startswith("KeyError of ")
    assert report.failures[0].reason.endswith("Odd.get: 'odd'")


async def test_a_store_that_cannot_be_made_fails_each_case() -> None:
    def unmade() -> Any:
        raise OSError("no server")

    report = await check_session_store(unmade, cases=CASES[:2])
    assert [outcome.reason for outcome in report.failures] == [
        f"OSError of {unmade.__qualname__}: no server",
    ] * 2


async def test_a_store_that_cannot_be_closed_fails_the_case() -> None:
    class Unclosable(ScanSessionStore[Any]):
        async def aclose(self) -> None:
            raise OSError("still busy")

    report = await check_session_store(Unclosable, cases=CASES[:1])
    assert "closing the store after the case: OSError" in report.failures[0].reason


async def test_a_cancellation_from_within_is_a_failure() -> None:
    """And not the end of the check."""

    @case(None)
    async def cancelling(context: CaseContext) -> None:
        """Cancels what it waits for."""
        task = context.task(asyncio.Event().wait())
        task.cancel()
        await task

    report = await check_session_store(ScanSessionStore, cases=[cancelling])
    assert report.failures[0].reason == "it ended with a CancelledError, though nobody cancelled it"


async def test_what_a_test_runner_raises_goes_through() -> None:
    """As when there is no server to test with."""

    def skipped() -> Any:
        pytest.skip("no server")

    with pytest.raises(pytest.skip.Exception, match="no server"):
        await check_session_store(skipped, cases=CASES[:1])


async def test_what_a_case_leaves_running_ends_with_it() -> None:
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
    session = report.failures[0].reason.split()[-3]

    assert str(report) == (
        "failed       get-with-another-tenant-finds-nothing (law 7): get with another tenant's id: "
        f"expected None, but it was Session {session} (revision 1)\n"
        "2 cases: 1 passed, 1 failed, 0 diverge, 0 unsupported"
    )


def test_a_store_that_cannot_be_made_with_an_option_fails_the_cases_that_need_it() -> None:
    """Whatever it raises, or if it hangs, also when it is closed; the other cases are run. Time is virtual."""
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
    for make, said in ((refusing, "nobody there"), (hanging, "not done within")):
        report = await check_session_store(make, cases=[*needy, *other], timeout=0.2)

        assert [outcome.case for outcome in report.failures] == needy
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
        ({"cases": [CASES[0], replace(CASES[1], name=CASES[0].name)]}, "two called"),
        ({"known_divergences": ["x"]}, "known_divergences"),
        ({"known_divergences": {CASES[0].name: None}}, "known_divergences"),
    ],
)
async def test_wrong_use_is_said_at_once(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        await check_session_store(ScanSessionStore, **options)


async def test_what_makes_no_store_is_said(store: Any) -> None:
    made: Any = lambda: None  # noqa: E731  # mistaken for what makes one
    with pytest.raises(ValueError, match="make_store"):
        await check_session_store(store)
    report = await check_session_store(made, cases=CASES[:1])
    assert "should return a SessionStore" in str(report)


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        (lambda: case(99), "law"),
        (lambda: case(None, "wings"), "needs"),
        (lambda: case(None)(print), "a case is a coroutine function"),  # type: ignore[arg-type]  # the mistake
    ],
)
def test_a_case_that_is_declared_wrongly(declared: Any, named: str) -> None:
    """The error names the argument and says what to do."""
    with pytest.raises(ValueError, match=named):
        declared()
