"""LoopGuard, without a store."""

from __future__ import annotations

import asyncio
import threading

import pytest

from sessiondex import ForkedStoreError, StoreClosedError, WrongLoopError
from sessiondex.stores.loop_guard import LoopGuard


async def enter(guard: LoopGuard) -> None:
    guard.enter()


def test_one_loop_after_another_enters_and_each_is_new_once() -> None:
    starts: list[str] = []
    guard = LoopGuard(lambda: starts.append("new loop"))

    async def enter_twice() -> None:
        guard.enter()
        guard.enter()

    asyncio.run(enter_twice())
    asyncio.run(enter_twice())

    assert starts == ["new loop"] * 2


async def test_another_running_loop_is_refused() -> None:
    guard, errors = LoopGuard(), list[BaseException]()

    def enter_elsewhere() -> None:
        try:
            asyncio.run(enter(guard))
        except WrongLoopError as error:
            errors.append(error)

    guard.enter()
    thread = threading.Thread(target=enter_elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)

    assert len(errors) == 1
    guard.enter()


async def test_a_closed_guard_refuses_all_calls() -> None:
    guard = LoopGuard()
    guard.enter()

    assert guard.close()
    assert guard.is_closed
    for call in (guard.enter, guard.enter_without_loop):
        with pytest.raises(StoreClosedError):
            call()


async def test_only_the_first_task_releases_what_the_store_holds() -> None:
    guard = LoopGuard()

    async def close() -> bool:
        return guard.close()

    assert guard.close()
    assert guard.close(), "the same task may repeat it"
    assert not await asyncio.create_task(close())


async def test_another_task_releases_if_the_first_was_interrupted() -> None:
    guard = LoopGuard()

    async def close() -> bool:
        return guard.close()

    assert await asyncio.create_task(close())
    assert guard.close()


async def test_a_forked_guard_refuses_all_calls() -> None:
    guard = LoopGuard()
    guard.enter()
    guard.mark_forked()

    for call in (guard.enter, guard.enter_without_loop, guard.close):
        with pytest.raises(ForkedStoreError):
            call()


async def test_a_suspended_guard_recovers_before_it_admits() -> None:
    events: list[str] = []
    guard = LoopGuard(recover=lambda: events.append("recover"))
    guard.enter()
    events.clear()
    guard.suspend()
    guard.enter()
    guard.enter()

    assert events == ["recover"]
    guard.suspend()
    guard.resume()
    guard.enter()
    assert events == ["recover"]


async def test_an_interrupted_move_to_a_new_loop_starts_over() -> None:
    attempts: list[int] = []

    def start() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyboardInterrupt

    guard = LoopGuard(start)
    with pytest.raises(KeyboardInterrupt):
        guard.enter()
    guard.enter()

    assert len(attempts) == 2


def test_a_call_without_a_loop_recovers_unless_the_owner_runs_elsewhere() -> None:
    events: list[str] = []
    guard = LoopGuard(recover=lambda: events.append("recover"))
    guard.recover_if_idle()
    assert events == ["recover"]

    async def call_from_another_thread() -> None:
        guard.enter()
        events.clear()
        await asyncio.to_thread(guard.recover_if_idle)
        assert events == []
        guard.recover_if_idle()

    asyncio.run(call_from_another_thread())
    assert events == ["recover"]


def test_closing_again_in_another_loop_forgets_what_was_bound_to_the_first() -> None:
    starts: list[str] = []
    guard = LoopGuard(lambda: starts.append("new loop"))

    async def close_in_a_task_that_is_cancelled() -> None:
        guard.enter()
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
        assert guard.close()
        await asyncio.Event().wait()

    async def close() -> bool:
        return guard.close()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(close_in_a_task_that_is_cancelled())
    assert asyncio.run(close())
    assert len(starts) == 2
