"""Catch the error of an unavailable server and extract its facts."""

from __future__ import annotations

from collections.abc import Awaitable
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
