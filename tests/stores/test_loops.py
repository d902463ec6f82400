"""Law 12: one loop after another is fine; two running at once raise, always."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import SessionStore, WrongLoopError
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.stores import backend_of, lock_of, sweeper_of
from tests.support.waiting import HANG_SECONDS


def test_a_store_made_before_any_loop_serves_one_after_another(make_store: Any) -> None:
    """As when it is made at import time and a test client starts a loop for each test."""
    store = make_store()
    session = make_session()

    async def contended() -> None:
        # Many writers that wait for the lock bind it to their loop.
        store_lock = lock_of(store)
        await store.get(session.session_id)
        await asyncio.gather(*(store.save(session) for _ in range(5)))
        assert lock_of(store) is not store_lock

    async def wait_for_the_lock() -> None:
        await store.get(session.session_id)
        async with lock_of(store):
            waiting = asyncio.ensure_future(store.save(session))
            await asyncio.sleep(0)
        await waiting

    for _ in range(2):
        asyncio.run(contended())
        asyncio.run(wait_for_the_lock())
    assert asyncio.run(store.get(session.session_id)) == session


@pytest.mark.usefixtures("short_slices")
def test_a_batch_whose_loop_stood_still_while_another_loop_saved(make_store: Any) -> None:
    """Where the other loop no longer runs, it goes on, and replaces what the other loop saved."""
    store, session = make_store(), make_session()
    many = [session.model_copy(deep=True), *(make_session() for _ in range(199))]
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        saving = first.create_task(store.save_many(many))
        first.run_until_complete(asyncio.sleep(0))
        assert not saving.done()
        second.run_until_complete(store.save(session))
        assert len(first.run_until_complete(saving)) == 200

        assert first.run_until_complete(store.get(session.session_id)) == many[0]
        assert (session.revision, many[0].revision) == (1, 2)
        assert first.run_until_complete(store.list_by_agent(TENANT, AGENT, limit=300)) == many[::-1]
    finally:
        first.close()
        second.close()


def test_many_threads_at_once_agree_on_one_owner(make_store: Any) -> None:
    """One loop of many that call the store at once may enter; all others get `WrongLoopError`."""
    store: SessionStore = make_store()
    count = 8
    ready, done = threading.Barrier(count), threading.Barrier(count)

    async def work() -> bool:
        ready.wait()
        try:
            await store.save(make_session())
        except WrongLoopError:
            return False
        finally:
            done.wait()  # every loop is running until all have tried
        return True

    with ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(lambda _: asyncio.run(work()), range(count)))

    assert sum(outcomes) == 1


def in_a_loop_of_its_own(call: Any) -> Any:
    """Return a function that ends a loop which runs in another thread, and uses the store."""
    ready, stop = threading.Event(), threading.Event()

    async def main() -> None:
        await call()
        ready.set()
        await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    ready.wait()

    def end() -> None:
        stop.set()
        thread.join()

    return end


def test_the_store_moves_to_another_loop_while_create_runs(make_store: Any) -> None:
    store, session = make_store(), make_session()
    gate: list[asyncio.Event] = []

    async def create() -> Any:
        gate.append(asyncio.Event())
        await gate[0].wait()
        return session

    async def begin() -> asyncio.Task[Any]:
        identity = session.tenant_id, session.channel, session.user_channel_id
        task: asyncio.Task[Any] = asyncio.ensure_future(store.get_or_create(*identity, create))
        await asyncio.sleep(0)
        return task

    async def finish(task: asyncio.Task[Any]) -> None:
        gate[0].set()
        with pytest.raises(WrongLoopError):
            await task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    end = in_a_loop_of_its_own(lambda: store.save(make_session(user_channel_id="other")))
    loop.run_until_complete(finish(task))
    end()
    loop.close()
    assert session.revision == 0


def test_the_store_moves_to_another_loop_while_the_background_task_waits(make_indexed: Any, clock: Any) -> None:
    store = make_indexed(idle_ttl=timedelta(milliseconds=1))

    async def begin() -> asyncio.Task[Any]:
        await store.__aenter__()
        await store.save(make_session())
        sweeper: asyncio.Task[Any] = sweeper_of(store)
        return sweeper

    loop = asyncio.new_event_loop()
    sweeper = loop.run_until_complete(begin())
    end = in_a_loop_of_its_own(lambda: store.save(make_session()))
    clock.move(seconds=1)
    loop.run_until_complete(asyncio.wait_for(sweeper, HANG_SECONDS))
    assert store.stats().sessions == 2
    end()
    loop.close()


def test_a_loop_that_stood_still_evicts_nothing_beside_the_next_one(make_store: Any, short_slices: Any) -> None:
    """The batch is saved all the same; the store is over its limit until the next save."""
    store = make_store(max_sessions=1)
    loop = asyncio.new_event_loop()
    save = store.save_many([make_session() for _ in range(200)])
    tasks = [loop.create_task(save)]
    while len(backend_of(store)) in {0, 200}:
        loop.run_until_complete(asyncio.sleep(0))
    size = len(backend_of(store))
    assert not tasks[0].done()
    end = in_a_loop_of_its_own(store.health_check)
    loop.run_until_complete(tasks[0])
    end()
    loop.close()

    assert 1 < len(backend_of(store)) == size
