"""Count the attempts that a call makes, and the time they take, in virtual time: the same on any machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis import exceptions as failures

from sessiondex import StoreUnavailableError
from sessiondex.stores.redis.server import Address, Server
from tests.support.virtual_time import run

TIMEOUT = 5.0


class Attempts:
    """Fails as often as there are errors, then answers; notes at which second each attempt began."""

    def __init__(self, *errors: Callable[[], Exception]) -> None:
        self.errors = list(errors)
        self.begun: list[float] = []

    async def __call__(self) -> str:
        self.begun.append(asyncio.get_running_loop().time())
        if not self.errors:
            return "answer"
        error = self.errors.pop(0)()
        if isinstance(error, TimeoutError):
            await asyncio.sleep(TIMEOUT)
        raise error


def outcome(attempts: Attempts, *, is_repeatable: bool = True) -> Any:
    """Make the call, and return its answer or its error."""

    async def main() -> Any:
        server = Server(Address("host:1", {"host": "host", "port": 1}, False, TIMEOUT, 10))
        try:
            return await server._tried("save", attempts, is_repeatable=is_repeatable)
        except StoreUnavailableError as error:
            return error

    return run(main())


def test_a_read_without_an_answer_is_sent_twice() -> None:
    attempts = Attempts(*[TimeoutError] * 9)
    error = outcome(attempts)

    assert len(attempts.begun) == 2
    assert not error.is_outcome_unknown
    assert error.reason == "it did not answer in time"


def test_a_write_without_an_answer_is_sent_once() -> None:
    """It may have been done, and the error says so."""
    attempts = Attempts(*[TimeoutError] * 9)
    error = outcome(attempts, is_repeatable=False)

    assert len(attempts.begun) == 1
    assert error.is_outcome_unknown


NOT_DONE: list[Callable[[], Exception]] = [
    lambda: failures.ReadOnlyError("READONLY"),
    lambda: failures.ClusterDownError("the cluster is down"),
    lambda: failures.TryAgainError("TRYAGAIN"),
    lambda: failures.BusyLoadingError("LOADING"),
    lambda: failures.ConnectionError("Error 111 connecting to host:1."),
]


@pytest.mark.parametrize("not_done", NOT_DONE, ids=lambda make: type(make()).__name__)
def test_a_write_that_was_not_done_is_sent_five_times(not_done: Callable[[], Exception]) -> None:
    """Within a second; then the error says that nothing was done."""
    attempts = Attempts(*[not_done] * 9)
    error = outcome(attempts, is_repeatable=False)

    assert len(attempts.begun) == 5
    assert 0 < attempts.begun[-1] < 1
    assert not error.is_outcome_unknown


@pytest.mark.parametrize("not_done", NOT_DONE, ids=lambda make: type(make()).__name__)
def test_a_server_that_recovers_in_time_answers(not_done: Callable[[], Exception]) -> None:
    """A failover, a slot that moves, a restart: the call waits for it."""
    attempts = Attempts(*[not_done] * 4)

    assert outcome(attempts, is_repeatable=False) == "answer"


def test_a_refused_user_is_not_tried_again() -> None:
    attempts = Attempts(*[lambda: failures.NoPermissionError("NOPERM")] * 9)
    error = outcome(attempts)

    assert len(attempts.begun) == 1
    assert not error.is_outcome_unknown
