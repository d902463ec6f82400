"""Check a store against the contract, case by case."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from sessiondex.testing.case import Case
from sessiondex.testing.case_context import CAPABILITIES, CaseContext, MakeStore, probe
from sessiondex.testing.cases import CASES
from sessiondex.testing.expectations import ContractViolation
from sessiondex.testing.report import Outcome, Report, Verdict

_CLEANUP_SECONDS = 1.0  # for a case to end after it was cancelled
_MAX_TIMEOUT_SECONDS = 86_400.0


async def check_session_store(
    make_store: MakeStore,
    *,
    known_divergences: Mapping[str, str] = MappingProxyType({}),
    cases: Iterable[Case] | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109  # applies to each case, not to the call
) -> Report:
    """Run every case on new stores and return a report. All cases together take about a second.

    `make_store(**options)` returns a new store or an awaitable of one; a class will do. Most cases call it without
    options, the others with some of `CAPABILITIES`. The report lists options that it does not accept as unsupported,
    and so operations that raise `NotImplementedError`. A new store may contain sessions of earlier stores, except one
    with `max_sessions`, which must be empty.

    `known_divergences` maps names of cases to the reason why the store fails them; such a failure does not make the
    report fail. `timeout` is in seconds, for each case.

    >>> import asyncio
    >>> from sessiondex import InMemorySessionStore
    >>> report = asyncio.run(check_session_store(InMemorySessionStore))
    >>> assert report.ok, str(report)

    Raises:
        ValueError: `known_divergences` has an unknown case or an empty reason, or another argument is wrong.
    """
    selected = _check_cases(cases)
    _check_arguments(make_store, timeout)
    _check_divergences(known_divergences, {case.name for case in (*CASES, *selected)})
    wanted = [name for name in CAPABILITIES if any(name in case.needs for case in selected)]
    errors = {name: await _run_with_timeout(probe(make_store, name), timeout) for name in wanted}
    missing = {
        name: f"make_store does not take {name}: {error}"
        for name, error in errors.items()
        if isinstance(error, TypeError | NotImplementedError)
    }
    broken = {name: error for name, error in errors.items() if error is not None and name not in missing}
    outcomes = [
        _outcome(case, await _run_case(case, make_store, missing, broken, timeout), known_divergences.get(case.name))
        for case in selected
    ]
    return Report(tuple(outcomes), tuple(name for name, error in errors.items() if error is None), missing)


def _check_cases(given: object) -> tuple[Case, ...]:
    if given is None:
        return CASES
    if not isinstance(given, Iterable):
        kind = type(given).__name__
        raise ValueError(f"cases: must be an iterable of cases, such as CASES, not a {kind}")  # noqa: TRY004  # ValueError for every argument
    cases = tuple(given)
    if not cases:
        raise ValueError("cases: must not be empty; pass some of CASES, or omit it")
    for case in cases:
        if not isinstance(case, Case):
            raise ValueError(f"cases: must contain cases, not a {type(case).__name__}; use @case")  # noqa: TRY004
    by_name: dict[str, Case] = {}
    for case in cases:
        if by_name.setdefault(case.name, case) is not case:
            raise ValueError(f"cases: two are called {case.name!r}; give each case its own name")
    return cases


def _check_arguments(make_store: object, timeout: object) -> None:
    if not callable(make_store):
        raise ValueError(f"make_store: must be a callable that returns a new store, not a {type(make_store).__name__}")  # noqa: TRY004
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < _MAX_TIMEOUT_SECONDS:  # type: ignore[operator]  # it is a number
        raise ValueError("timeout: must be a number of seconds, more than 0 and less than a day")


def _check_divergences(divergences: object, names: set[str]) -> None:
    if not isinstance(divergences, Mapping):
        raise ValueError(  # noqa: TRY004
            f"known_divergences: must map names of cases to reasons, not be a {type(divergences).__name__}"
        )
    for name, reason in divergences.items():
        if name not in names:
            raise ValueError(
                f"known_divergences: there is no case {name!r}; copy the name from the report, or remove the entry"
            )
        given: object = reason
        if not isinstance(given, str) or not given.strip():
            raise ValueError(f"known_divergences: {name!r} has no reason; state why your store differs")


class _Unsupported(Exception):  # noqa: N818  # a verdict, not an error
    """The store lacks a capability or an operation that the case needs."""


async def _run_case(
    case: Case,
    make_store: MakeStore,
    missing: Mapping[str, str],
    broken: Mapping[str, Exception],
    timeout: float,  # noqa: ASYNC109  # a case that hangs fails instead of raising here
) -> Exception | None:
    for need in case.needs:
        if need in missing:
            return _Unsupported(missing[need])
        if need in broken:
            return ContractViolation(f"creating a store with {need} and closing it: {_describe(broken[need])}")
    context = CaseContext(make_store)
    try:
        error = await _run_with_timeout(case.run(context), timeout)
    except BaseException:  # the check itself was cancelled; leave no task behind
        await _run_with_timeout(context.close(), _CLEANUP_SECONDS)
        raise
    closing = await _run_with_timeout(context.close(), timeout)
    if error is None and closing is not None:
        return ContractViolation(f"closing the store after the case: {_describe(closing)}")
    if isinstance(error, NotImplementedError) and not case.is_core:
        return _Unsupported(_describe(error))
    return error


async def _run_with_timeout(work: Any, timeout: float) -> Exception | None:  # noqa: ASYNC109  # returns the TimeoutError
    """Run the coroutine and return the error that it raised, a `TimeoutError` if it took too long, or `None`."""
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([task], timeout=timeout)
    finally:
        task.cancel()
    if not done:
        await asyncio.wait([task], timeout=_CLEANUP_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()  # retrieved, or the loop would log it
        return TimeoutError(f"it did not finish within {timeout} s")
    if task.cancelled():
        return ContractViolation("it ended with a CancelledError, but the kit did not cancel it")
    error = task.exception()
    if error is None or isinstance(error, Exception):
        return error
    raise error  # such as the exception of `pytest.skip`, which is for the test runner


def _outcome(case: Case, error: Exception | None, divergence: str | None) -> Outcome:
    if isinstance(error, _Unsupported) and divergence is not None:
        reason = (
            f"the case is unsupported, so the divergence cannot be checked: remove it from known_divergences; {error}"
        )
        return Outcome(case, Verdict.FAILED, reason)
    if isinstance(error, _Unsupported):
        return Outcome(case, Verdict.UNSUPPORTED, str(error))
    if error is None and divergence is not None:
        return Outcome(case, Verdict.FAILED, "the case passes now: remove it from known_divergences")
    if error is None:
        return Outcome(case, Verdict.PASSED)
    if divergence is not None:
        return Outcome(case, Verdict.DIVERGES, divergence, error)
    return Outcome(case, Verdict.FAILED, _describe(error), error)


def _describe(error: Exception) -> str:
    if isinstance(error, ContractViolation):
        return str(error)
    where = _origin(error)
    return f"{type(error).__name__}{f' in {where}' if where else ''}{f': {error}' if str(error) else ''}"


def _origin(error: BaseException) -> str | None:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return None if traceback is None else traceback.tb_frame.f_code.co_qualname
