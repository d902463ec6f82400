"""Capabilities: options and operations that a store may lack, and how the report lists them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from sessiondex import ScanSessionStore
from sessiondex.testing import (
    CAPABILITIES,
    CASES,
    check_session_store,
)

CASES_WITH_NEEDS = [one for one in CASES if one.needs]


class Plain(ScanSessionStore[Any]):
    """Accepts no options, like a store that uses the clock of its server."""

    def __init__(self) -> None:
        super().__init__()


async def test_a_store_without_options_is_checked_by_the_other_cases() -> None:
    report = await check_session_store(Plain, cases=[*CASES_WITH_NEEDS, *CASES[:20]])

    assert report.ok, str(report)
    assert report.capabilities == ()
    assert set(report.missing) == set(CAPABILITIES)
    assert all("does not take" in reason for reason in report.missing.values())
    assert {outcome.case.name for outcome in report.unsupported} == {one.name for one in CASES_WITH_NEEDS}
    assert str(report).splitlines()[-7:-5] == [
        "capabilities: none",
        "  without clock: make_store does not take clock: got an unexpected keyword argument 'clock'",
    ]


async def test_capabilities_are_detected_for_any_factory() -> None:
    """By its signature or by the error of the call, each capability separately."""

    async def by_call(**options: Any) -> Any:
        await asyncio.sleep(0)
        if "changes_kept" in options:
            raise NotImplementedError("keeps no changes")
        if "idle_ttl" in options:
            raise TypeError("idle_ttl is not for us")
        return ScanSessionStore(**options)

    def by_signature(*, clock: Any = None, max_sessions: int | None = None) -> Any:
        return ScanSessionStore(max_sessions=max_sessions, **({"clock": clock} if clock else {}))

    called = await check_session_store(by_call, cases=CASES_WITH_NEEDS)
    assert called.ok, str(called)
    assert called.capabilities == ("clock", "max_sessions", "on_evict", "on_unreadable")
    assert called.missing == {
        "idle_ttl": "make_store does not take idle_ttl: idle_ttl is not for us",
        "changes_kept": "make_store does not take changes_kept: keeps no changes",
    }
    signed = await check_session_store(by_signature, cases=CASES_WITH_NEEDS)
    assert signed.ok, str(signed)
    assert signed.capabilities == ("clock", "max_sessions")


class WithoutTurns(ScanSessionStore[Any]):
    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> Any:
        raise NotImplementedError("no turns yet")


async def test_an_operation_that_is_not_implemented_is_unsupported() -> None:
    """In every case that calls it; the reason names the operation."""
    report = await check_session_store(WithoutTurns, cases=[one for one in CASES if one.law in {None, 1, 14}])

    assert report.ok, str(report)
    assert {outcome.case.law for outcome in report.unsupported} >= {14}
    assert {outcome.reason for outcome in report.unsupported} == {
        "NotImplementedError in WithoutTurns.exclusive: no turns yet"
    }


async def test_a_store_that_implements_nothing_does_not_pass() -> None:
    class Nothing(ScanSessionStore[Any]):
        async def get(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    report = await check_session_store(Nothing)
    assert [outcome.case.name for outcome in report.failures] == ["save-keeps-what-it-is-given"]
