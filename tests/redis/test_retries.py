"""Count the attempts of a call and measure their times, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis import exceptions as failures

from sessiondex import StoreUnavailableError
from sessiondex.stores.redis.client import Address, RedisClient
from tests.support.virtual_time import run

TIMEOUT = 5.0


class Attempts:
    """Raises each of the errors once, then answers. Records the second in which each attempt begins."""

    def __init__(self, *errors: Callable[[], Exception]) -> None:
        self.errors = list(errors)
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(asyncio.get_running_loop().time())
        if not self.errors:
            return "answer"
        error = self.errors.pop(0)()
        if isinstance(error, TimeoutError):
            await asyncio.sleep(TIMEOUT)
        raise error


def outcome(attempts: Attempts, *, is_idempotent: bool = True) -> Any:
    """Make the call, and return its answer or its error."""

    async def main() -> Any:
        client = RedisClient(Address("host:1", {"host": "host", "port": 1}, False, TIMEOUT, 10))
        try:
            return await client._retry("save", attempts, is_idempotent=is_idempotent)
        except StoreUnavailableError as error:
            return error

    return run(main())


def test_a_read_without_an_answer() -> None:
    """It is sent twice, and the outcome is known."""
    attempts = Attempts(*[TimeoutError] * 9)
    error = outcome(attempts)

    assert len(attempts.times) == 2
    assert not error.is_outcome_unknown
    assert error.reason == "it did not answer in time"


def test_a_write_without_an_answer() -> None:
    """It is sent once: it may have been executed, and the error says so."""
    attempts = Attempts(*[TimeoutError] * 9)
    error = outcome(attempts, is_idempotent=False)

    assert len(attempts.times) == 1
    assert error.is_outcome_unknown


NOT_EXECUTED: list[Callable[[], Exception]] = [
    lambda: failures.ReadOnlyError("READONLY"),
    lambda: failures.ClusterDownError("the cluster is down"),
    lambda: failures.TryAgainError("TRYAGAIN"),
    lambda: failures.BusyLoadingError("LOADING"),
    lambda: failures.ConnectionError("Error 111 connecting to host:1."),
]


@pytest.mark.parametrize("not_executed", NOT_EXECUTED, ids=lambda make: type(make()).__name__)
def test_a_write_that_the_server_does_not_execute(not_executed: Callable[[], Exception]) -> None:
    """It is sent five times within a second. The error says that the outcome is known."""
    attempts = Attempts(*[not_executed] * 9)
    error = outcome(attempts, is_idempotent=False)

    assert len(attempts.times) == 5
    assert 0 < attempts.times[-1] < 1
    assert not error.is_outcome_unknown


@pytest.mark.parametrize("not_executed", NOT_EXECUTED, ids=lambda make: type(make()).__name__)
def test_a_server_that_recovers_in_time(not_executed: Callable[[], Exception]) -> None:
    """The call waits for a failover, a slot that moves, or a restart."""
    attempts = Attempts(*[not_executed] * 4)

    assert outcome(attempts, is_idempotent=False) == "answer"


def test_a_user_without_permission() -> None:
    """The call is not retried."""
    attempts = Attempts(*[lambda: failures.NoPermissionError("NOPERM")] * 9)
    error = outcome(attempts)

    assert len(attempts.times) == 1
    assert not error.is_outcome_unknown
