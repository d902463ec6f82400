"""Make a server time out, catch the error, and extract its facts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessiondex import StoreUnavailableError
from tests.support.waiting import until


async def failure(call: Awaitable[Any]) -> StoreUnavailableError:
    """Return the error that the call must raise."""
    with pytest.raises(StoreUnavailableError) as caught:
        await call
    return caught.value


def failure_facts(error: StoreUnavailableError) -> tuple[str, str, bool]:
    """Return the server, the operation and whether the outcome is unknown."""
    return error.host, error.operation, error.is_outcome_unknown


@contextmanager
def timing_out(store: Any, is_time: Callable[[], bool]) -> Iterator[None]:
    """Let calls of the store time out inside the block once the condition holds, independent of the clock."""
    server = store._server

    async def timed(call: Coroutine[Any, Any, Any]) -> Any:
        calling = asyncio.ensure_future(call)
        try:
            await until(lambda: calling.done() or is_time())
            if calling.done():
                return await calling
            raise TimeoutError
        finally:
            calling.cancel()
            await asyncio.wait([calling])

    server._timed = timed
    try:
        yield
    finally:
        del server._timed
