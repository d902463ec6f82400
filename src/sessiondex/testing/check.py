"""Holding a store to the contract, case by case."""

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

_TO_CLEAN_UP = 1.0  # seconds that a case has after it was cancelled
_LONGEST = 86_400.0


async def check_session_store(
    make_store: MakeStore,
    *,
    known_divergences: Mapping[str, str] = MappingProxyType({}),
    cases: Iterable[Case] | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109  # for each case
) -> Report:
    """Hold a store to the contract, and report what came of each case. All cases take about a second.

    `make_store(**options)` returns a new store, or an awaitable of one: a class will do. It is called without options
    wherever that is enough; those of `CAPABILITIES` are tried, and what it does not take is reported as unsupported, as
    is an operation that raises `NotImplementedError`. Sessions of earlier stores may still be there, unless
    `max_sessions` is given: such a store has to begin empty.

    `known_divergences` says why a store fails a case, by the case's name: such a failure is not held against it.
    `timeout` is in seconds, for each case.

    >>> import asyncio
    >>> from sessiondex import InMemorySessionStore
    >>> report = asyncio.run(check_session_store(InMemorySessionStore))
    >>> assert report.ok, str(report)

    Raises:
        ValueError: `known_divergences` names no case, or gives no reason; another argument is of the wrong kind.
    """
    selected = _checked_cases(cases)
    _check_arguments(make_store, timeout)
    _check_divergences(known_divergences, {case.name for case in (*CASES, *selected)})
    wanted = [name for name in CAPABILITIES if any(name in case.needs for case in selected)]
    errors = {name: await _ended(probe(make_store, name), timeout) for name in wanted}
    missing = {
        name: f"make_store does not take {name}: {error}"
        for name, error in errors.items()
        if isinstance(error, TypeError | NotImplementedError)
    }
    broken = {name: error for name, error in errors.items() if error is not None and name not in missing}
    outcomes = [
        _judged(case, await _error_of(case, make_store, missing, broken, timeout), known_divergences.get(case.name))
        for case in selected
    ]
    return Report(tuple(outcomes), tuple(name for name, error in errors.items() if error is None), missing)


def _checked_cases(given: object) -> tuple[Case, ...]:
    if given is None:
        return CASES
    if not isinstance(given, Iterable):
        kind = type(given).__name__
        raise ValueError(f"cases: must be some of CASES, in a list or the like, not a {kind}")  # noqa: TRY004  # as all of these
    cases = tuple(given)
    if not cases:
        raise ValueError("cases: there is none, so nothing would be checked; take some of CASES")
    for case in cases:
        if not isinstance(case, Case):
            raise ValueError(f"cases: must be some of CASES, or like them, not a {type(case).__name__}")  # noqa: TRY004
    by_name: dict[str, Case] = {}
    for case in cases:
        if by_name.setdefault(case.name, case) is not case:
            raise ValueError(f"cases: there are two called {case.name!r}; give each a name of its own")
    return cases


def _check_arguments(make_store: object, timeout: object) -> None:
    if not callable(make_store):
        raise ValueError(f"make_store: must return a new store, not be a {type(make_store).__name__}")  # noqa: TRY004
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < _LONGEST:  # type: ignore[operator]  # it is a number
        raise ValueError("timeout: must be a number of seconds that is more than 0, and less than a day")


def _check_divergences(divergences: object, names: set[str]) -> None:
    if not isinstance(divergences, Mapping):
        raise ValueError(  # noqa: TRY004
            f"known_divergences: must map names of cases to reasons, not be a {type(divergences).__name__}"
        )
    for name, reason in divergences.items():
        if name not in names:
            raise ValueError(
                f"known_divergences: there is no case {name!r}; take the name from the report, or remove it"
            )
        given: object = reason
        if not isinstance(given, str) or not given.strip():
            raise ValueError(f"known_divergences: {name!r} has no reason; write down why your store differs")


class _Unsupported(Exception):  # noqa: N818  # no error: a finding
    """The store does not have what a case is about."""


async def _error_of(
    case: Case,
    make_store: MakeStore,
    missing: Mapping[str, str],
    broken: Mapping[str, Exception],
    timeout: float,  # noqa: ASYNC109  # a case that hangs is a finding
) -> Exception | None:
    for need in case.needs:
        if need in missing:
            return _Unsupported(missing[need])
        if need in broken:
            return ContractViolation(f"making a store with {need}, and closing it: {_told(broken[need])}")
    context = CaseContext(make_store)
    try:
        error = await _ended(case.run(context), timeout)
    except BaseException:  # the check itself was cancelled: nothing of it is left running
        await _ended(context.close(), _TO_CLEAN_UP)
        raise
    closing = await _ended(context.close(), timeout)
    if error is None and closing is not None:
        return ContractViolation(f"closing the store after the case: {_told(closing)}")
    if isinstance(error, NotImplementedError) and not case.is_core:
        return _Unsupported(_told(error))
    return error


async def _ended(work: Any, timeout: float) -> Exception | None:  # noqa: ASYNC109  # as above
    """Return how it ended: without an error, with one, or not in time."""
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([task], timeout=timeout)
    finally:
        task.cancel()
    if not done:
        await asyncio.wait([task], timeout=_TO_CLEAN_UP)
        if task.done() and not task.cancelled():
            task.exception()  # seen, so that the loop does not log it
        return TimeoutError(f"it was not done within {timeout} s")
    if task.cancelled():
        return ContractViolation("it ended with a CancelledError, though nobody cancelled it")
    error = task.exception()
    if error is None or isinstance(error, Exception):
        return error
    raise error  # such as what `pytest.skip` raises: not ours


def _judged(case: Case, error: Exception | None, divergence: str | None) -> Outcome:
    if isinstance(error, _Unsupported) and divergence is not None:
        reason = (
            f"it is not supported, so nobody can tell whether it diverges: remove it from known_divergences; {error}"
        )
        return Outcome(case, Verdict.FAILED, reason)
    if isinstance(error, _Unsupported):
        return Outcome(case, Verdict.UNSUPPORTED, str(error))
    if error is None and divergence is not None:
        return Outcome(case, Verdict.FAILED, "the divergence is gone: remove it from known_divergences")
    if error is None:
        return Outcome(case, Verdict.PASSED)
    if divergence is not None:
        return Outcome(case, Verdict.DIVERGES, divergence, error)
    return Outcome(case, Verdict.FAILED, _told(error), error)


def _told(error: Exception) -> str:
    if isinstance(error, ContractViolation):
        return str(error)
    where = _raised_in(error)
    return f"{type(error).__name__}{f' of {where}' if where else ''}{f': {error}' if str(error) else ''}"


def _raised_in(error: BaseException) -> str | None:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return None if traceback is None else traceback.tb_frame.f_code.co_qualname
