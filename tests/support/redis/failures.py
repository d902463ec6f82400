"""Make a server time out, catch the error, and extract its facts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessiondex import StoreUnavailableError
from tests.support.redis.internals import client_of
from tests.support.waiting import until


async def failure(call: Awaitable[Any]) -> StoreUnavailableError:
    """Return the error of the call. The call must fail."""
    with pytest.raises(StoreUnavailableError) as caught:
        await call
    return caught.value


def failure_facts(error: StoreUnavailableError) -> tuple[str, str, bool]:
    """Return host, operation, and whether the outcome is unknown."""
    return error.host, error.operation, error.is_outcome_unknown


@contextmanager
def timing_out(store: Any, has_timed_out: Callable[[], bool]) -> Iterator[None]:
    """Time out the calls of the store inside the block, as soon as the condition holds. No clock is involved."""
    client = client_of(store)

    async def limit_time(call: Coroutine[Any, Any, Any]) -> Any:
        calling = asyncio.ensure_future(call)
        try:
            await until(lambda: calling.done() or has_timed_out())
            if calling.done():
                return await calling
            raise TimeoutError
        finally:
            calling.cancel()
            await asyncio.wait([calling])

    client._limit_time = limit_time
    try:
        yield
    finally:
        del client._limit_time
