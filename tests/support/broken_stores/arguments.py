"""Stores with a fault in the check of arguments."""

from __future__ import annotations

from contextlib import suppress
from inspect import isawaitable
from typing import Any

from sessiondex import InvalidArgumentError, ScanSessionStore
from sessiondex.testing.cases.arguments import BAD, REFUSALS
from tests.support.broken_stores.fault import found_by


@found_by("list-by-agent-refuses-bad-arguments")
class AcceptsNegativeLimits(ScanSessionStore[Any]):
    async def list_by_agent(self, *arguments: Any, limit: int = 100, **options: Any) -> Any:
        limit = max(0, limit) if type(limit) is int else limit
        return await super().list_by_agent(*arguments, limit=limit, **options)


def _lenient(operation: str) -> Any:
    """Return the operation, changed to return `None` where it must refuse its arguments."""
    original = getattr(ScanSessionStore, operation)

    async def awaited(answer: Any) -> Any:
        with suppress(InvalidArgumentError):
            return await answer

    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        with suppress(InvalidArgumentError):
            answer = original(self, *arguments, **options)
            return awaited(answer) if isawaitable(answer) else answer

    return call


AcceptsAnyArgument = type(
    "AcceptsAnyArgument", (ScanSessionStore,), {operation: _lenient(operation) for operation in BAD}
)
found_by(*map(str, REFUSALS))(AcceptsAnyArgument)


@found_by("list-by-customer-refuses-bad-arguments")
class BlamesAnotherArgument(ScanSessionStore[Any]):
    async def list_by_customer(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().list_by_customer(*arguments, **options)
        except InvalidArgumentError as error:
            raise InvalidArgumentError("tenant_id", error.reason) from None


@found_by("an-invalid-cap-is-refused", "an-invalid-idle-ttl-is-refused")
class AcceptsAnyOption(ScanSessionStore[Any]):
    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except InvalidArgumentError:
            super().__init__()
