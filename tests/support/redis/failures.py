"""Make a server time out, catch the error, and extract its facts."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sessiondex import StoreUnavailableError


async def failure(call: Awaitable[Any]) -> StoreUnavailableError:
    """Return the error with which the call fails, as it must."""
    with pytest.raises(StoreUnavailableError) as caught:
        await call
    return caught.value


def failure_facts(error: StoreUnavailableError) -> tuple[str, str, bool]:
    """Return which server, and what was asked of it, and whether nobody knows if it was done."""
    return error.host, error.operation, error.is_outcome_unknown


@contextmanager
def timeout_of(store: Any, seconds: float) -> Iterator[None]:
    """Give the store this timeout inside the block, where its server does not answer.

    Stores are set up with their usual timeout: on a busy machine a short one could end calls that must succeed.
    """
    server = store._server
    usual, server._timeout = server._timeout, seconds
    try:
        yield
    finally:
        server._timeout = usual
