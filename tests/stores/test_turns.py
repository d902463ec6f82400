"""Law 14: `exclusive` admits one task at a time, in the order in which they came."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from sessiondex import ReentryError, TurnTimeoutError
from tests.support.shuffled_loop import run_interleaved
from tests.support.stores import session_locks_of
from tests.support.waiting import HANG_SECONDS

ID = uuid4()


async def test_tasks_enter_in_the_order_in_which_they_came(store: Any) -> None:
    """For a session that does not exist; what each does lets the others run."""
    log: list[int] = []

    async def work(number: int) -> None:
        async with store.exclusive(ID):
            log.append(number)
            await asyncio.sleep(0)
            log.append(number)

    await asyncio.gather(*(work(number) for number in range(10)))
    assert log == [number for number in range(10) for _ in range(2)]
    assert not len(session_locks_of(store))


@pytest.mark.parametrize("seed", range(20))
def test_one_task_at_a_time_in_any_order(make_store: Any, seed: int) -> None:
    """With tasks that are cancelled while they wait, while they work, and just as they acquire the lock."""
    store = make_store()
    inside: set[int] = set()

    async def work(number: int) -> None:
        async with store.exclusive(ID):
            assert not inside
            inside.add(number)
            try:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                inside.remove(number)

    async def main() -> None:
        tasks = [asyncio.ensure_future(work(number)) for number in range(30)]
        for victim in (seed, 3, 7 + seed % 20):
            await asyncio.sleep(0)
            tasks[victim].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(one, asyncio.CancelledError) for one in done) <= 3
        assert not [one for one in done if isinstance(one, Exception)]
        assert not len(session_locks_of(store))

    run_interleaved(main(), seed)


async def test_other_sessions_do_not_wait(store: Any) -> None:
    async with store.exclusive(ID), store.exclusive(uuid4()), store.exclusive(uuid4()):
        assert len(session_locks_of(store)) == 3


async def test_a_task_cancelled_just_as_it_acquires_the_lock_passes_it_on(store: Any) -> None:
    log = []

    async def work(name: str) -> None:
        async with store.exclusive(ID):
            log.append(name)

    async with store.exclusive(ID):
        first, second = (asyncio.ensure_future(work(name)) for name in ("first", "second"))
        await asyncio.sleep(0)
    first.cancel()  # it owns the lock now, and has not run yet
    await asyncio.wait([first, second])

    assert (first.cancelled(), log) == (True, ["second"])
    assert not len(session_locks_of(store))


async def test_owner_and_waiters_are_cancelled_at_once(store: Any) -> None:
    """As when a service shuts down."""
    tasks = [asyncio.ensure_future(hold(store)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in done] == [asyncio.CancelledError] * 3
    assert not len(session_locks_of(store))


async def hold(store: Any) -> None:
    async with store.exclusive(ID):
        await asyncio.Event().wait()


async def test_the_lock_is_not_acquired_in_time(store: Any) -> None:
    async with store.exclusive(ID):
        for timeout in (0, 0.001):
            waiting = asyncio.ensure_future(enter(store, timeout))
            with pytest.raises(TurnTimeoutError) as late:
                await waiting
            assert isinstance(late.value, TimeoutError)
            assert (late.value.session_id, late.value.timeout) == (ID, timeout)
    assert not len(session_locks_of(store))
    await enter(store, 0)


async def enter(store: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109  # it bounds the wait alone
    async with store.exclusive(ID, timeout=timeout):
        pass


async def test_a_task_does_not_wait_for_itself(store: Any) -> None:
    async with store.exclusive(ID):
        with pytest.raises(ReentryError):
            await enter(store)
        with pytest.raises(ReentryError):
            await enter(store, 0)
    await enter(store)


async def test_many_waiters_that_give_up_leave_nothing_behind(store: Any) -> None:
    async with store.exclusive(ID):
        tasks = [asyncio.ensure_future(enter(store)) for _ in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in done) == 50
    assert not len(session_locks_of(store))


def test_a_loop_that_ended_with_a_lock_held_blocks_no_other_loop(make_store: Any) -> None:
    store = make_store()

    async def begin() -> asyncio.Task[None]:
        task = asyncio.ensure_future(hold(store))
        await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    asyncio.run(asyncio.wait_for(enter(store), HANG_SECONDS))
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()
    asyncio.run(asyncio.wait_for(enter(store), HANG_SECONDS))
