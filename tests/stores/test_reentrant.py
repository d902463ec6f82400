"""Calls that come from within another call of the same store: a handler of a signal, an eager task, `on_evict`."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, StoreClosedError
from sessiondex.stores.commit import Commit
from sessiondex.stores.keyed_locks import KeyedLocks
from tests.support.builders import AGENT, TENANT, Clock, make_session
from tests.support.opcode_faults import Fault, raising
from tests.support.stores import backend_of, check_indexes, feed_of, session_locks_of
from tests.support.waiting import HANG_SECONDS, until


async def test_a_signal_handler_calls_the_store_within_a_commit(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store stays consistent, and the commit is complete."""
    store: InMemorySessionStore = InMemorySessionStore(clock=clock, max_sessions=3)
    backend = backend_of(store)
    apply = backend.apply

    def apply_with_signals(plan: Any) -> None:
        store.stats()
        store.changes()
        apply(plan)
        store.stats()

    monkeypatch.setattr(backend, "apply", apply_with_signals)
    sessions = [make_session() for _ in range(5)]
    for session in sessions:
        await store.save(session)
    await store.delete(sessions[-1].session_id)

    check_indexes(store)
    assert [sessions[3], sessions[2]] == await store.list_by_agent(TENANT, AGENT)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_on_evict_runs_in_an_eager_task(make_store: Any, clock: Clock) -> None:
    """It may use the store, also where it continues what an earlier loop left."""
    evicted: list[Any] = []

    async def on_evict(session: Any, _reason: Any) -> None:
        evicted.append((session.session_id, await store.get(session.session_id)))
        await asyncio.sleep(0)

    store, session = make_store(idle_ttl=timedelta(hours=1), on_evict=on_evict), make_session()

    async def leave_some() -> None:
        await store.save(session)
        clock.move(hours=2)
        asyncio.current_task().cancel()  # type: ignore[union-attr]  # there is one
        await store.count_by_agent(TENANT, AGENT)

    async def go_on() -> None:
        asyncio.get_running_loop().set_task_factory(vars(asyncio)["eager_task_factory"])  # which Python 3.11 has not
        async with asyncio.timeout(HANG_SECONDS):
            await store.count_by_agent(TENANT, AGENT)
            await until(lambda: evicted)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave_some())
    evicted.clear()
    asyncio.run(go_on())

    assert (session.session_id, None) in evicted


async def test_on_evict_may_close_the_store_by_a_task_of_its_own(make_store: Any, clock: Clock) -> None:
    """While the store is being closed, which waits for `on_evict`: neither waits for the other."""

    async def on_evict(_session: Any, _reason: Any) -> None:
        await asyncio.gather(store.aclose())
        ended.set()

    ended, store = asyncio.Event(), make_store(idle_ttl=timedelta(hours=1), on_evict=on_evict)
    await store.save(make_session())
    clock.move(hours=2)
    await store.save(make_session())
    async with asyncio.timeout(HANG_SECONDS):
        await store.aclose()

    assert ended.is_set()


async def test_another_thread_closes_a_store_that_is_being_closed(make_store: Any, clock: Clock) -> None:
    """The second call returns at once: its loop must not wait for the first."""
    release, closed = asyncio.Event(), threading.Event()

    async def on_evict(_session: Any, _reason: Any) -> None:
        await release.wait()

    def close() -> None:
        asyncio.run(store.aclose())
        closed.set()

    store = make_store(idle_ttl=timedelta(hours=1), on_evict=on_evict)
    await store.save(make_session())
    clock.move(hours=2)
    await store.save(make_session())
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    assert await asyncio.to_thread(closed.wait, HANG_SECONDS)
    release.set()
    await closing


def _interrupted(at: int, work: Any) -> str:
    """Have the work interrupted at that opcode, and return where that was, or nothing if it has not so many."""
    fault = Fault(MemoryError, at, in_commit=False, thorough=True)
    with suppress(MemoryError), raising(fault):
        work()
    return fault.where


async def _ends(task: asyncio.Future[Any]) -> None:
    await asyncio.wait([task], timeout=HANG_SECONDS)
    assert task.done(), "it waits for ever"


@pytest.mark.search  # which traces as well
async def test_a_release_is_interrupted() -> None:
    """At any opcode but the few before it begins: the waiter acquires the lock, and it is free in the end."""
    for at in itertools.count():
        locks, entered = KeyedLocks(), asyncio.Event()

        async def enter(locks: KeyedLocks = locks, entered: asyncio.Event = entered) -> None:
            async with locks.hold(b"key"):
                entered.set()

        await locks.acquire(b"key")
        waiting = asyncio.ensure_future(enter())
        await asyncio.sleep(0)
        where = _interrupted(at, lambda locks=locks: locks.release(b"key"))
        if where.endswith(", release"):
            waiting.cancel()
            continue
        await _ends(waiting)
        assert entered.is_set()
        assert not len(locks)
        if not where:
            break


@pytest.mark.search
@pytest.mark.parametrize("what", ["locks", "readers"])
async def test_closing_with_waiting_tasks_is_interrupted(make_indexed: Any, what: str) -> None:
    """At any opcode: a second `aclose` wakes the tasks that still wait."""
    for at in itertools.count():
        store, session = make_indexed(), make_session()
        block, reader = store.exclusive(session.session_id), store.changes()
        await block.__aenter__()
        waits = store.exclusive(session.session_id).__aenter__() if what == "locks" else anext(reader)
        waiting = asyncio.ensure_future(waits)
        await asyncio.sleep(0)
        is_interrupted = _interrupted(at, session_locks_of(store).close if what == "locks" else feed_of(store).close)
        await store.aclose()
        await _ends(waiting)
        with pytest.raises((StoreClosedError, StopAsyncIteration)):
            waiting.result()
        if not is_interrupted:
            break


@pytest.mark.search
async def test_a_publication_is_interrupted(make_indexed: Any) -> None:
    """At any opcode: a waiting reader wakes with the next change at the latest."""
    for at in itertools.count():
        store, session = make_indexed(), make_session()
        waiting = asyncio.ensure_future(anext(store.changes()))
        await asyncio.sleep(0)
        is_interrupted = _interrupted(at, lambda store=store: feed_of(store).on_commit(Commit(1, [])))
        await store.save(session)
        await _ends(waiting)
        assert waiting.result().stamp == session.last_activity_at
        if not is_interrupted:
            break
