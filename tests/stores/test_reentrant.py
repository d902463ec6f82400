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
from sessiondex.stores.turns import Turns

from sessiondex import InMemorySessionStore, StoreClosedError
from tests.support.builders import AGENT, TENANT, Clock, make_session
from tests.support.opcode_faults import Fault, raising
from tests.support.stores import check_indexes
from tests.support.waiting import HANG_SECONDS, until


class _AsksWithin(InMemorySessionStore[Any]):
    """As a handler of a signal would, that comes in the middle of a commit."""

    def _apply(self, plan: Any) -> None:
        self.stats()
        self.changes()
        super()._apply(plan)
        self.stats()


async def test_stats_in_the_middle_of_a_commit(clock: Clock) -> None:
    """They take the commit for none that was interrupted, and leave it alone."""
    store = _AsksWithin(clock=clock, max_sessions=3)
    sessions = [make_session() for _ in range(5)]
    for session in sessions:
        await store.save(session)
    await store.delete(sessions[-1].session_id)

    check_indexes(store)
    assert [sessions[3], sessions[2]] == await store.list_by_agent(TENANT, AGENT)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_task_may_use_the_store_that_tells_it(make_store: Any, clock: Clock) -> None:
    """What a loop before was told of and left is told in a task that begins at once."""
    told: list[Any] = []

    async def on_evict(session: Any, _reason: Any) -> None:
        told.append((session.session_id, await store.get(session.session_id)))
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
            await until(lambda: told)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(leave_some())
    told.clear()
    asyncio.run(go_on())

    assert (session.session_id, None) in told


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


async def test_closing_from_another_thread_what_is_being_closed(make_store: Any, clock: Clock) -> None:
    """It was closed already, and that other loop waits for nothing of this one."""
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
async def test_a_turn_is_passed_on_though_that_was_interrupted() -> None:
    """At any opcode of passing on, but the few before it has begun: who waits gets it, and nobody has it in the end."""
    for at in itertools.count():
        turns, entered = Turns(), asyncio.Event()

        async def enter(turns: Turns = turns, entered: asyncio.Event = entered) -> None:
            async with turns.turn(b"key"):
                entered.set()

        await turns.take(b"key")
        waiting = asyncio.ensure_future(enter())
        await asyncio.sleep(0)
        where = _interrupted(at, lambda turns=turns: turns.pass_on(b"key"))
        if where.endswith(", pass_on"):
            waiting.cancel()
            continue
        await _ends(waiting)
        assert entered.is_set()
        assert not len(turns)
        if not where:
            break


@pytest.mark.search
@pytest.mark.parametrize("what", ["turns", "readers"])
async def test_who_waits_is_told_of_the_end_though_that_was_interrupted(make_indexed: Any, what: str) -> None:
    """At any opcode: to close again tells those who were not told."""
    for at in itertools.count():
        store, session = make_indexed(), make_session()
        turn, reader = store.exclusive(session.session_id), store.changes()
        await turn.__aenter__()
        waits = store.exclusive(session.session_id).__aenter__() if what == "turns" else anext(reader)
        waiting = asyncio.ensure_future(waits)
        await asyncio.sleep(0)
        is_interrupted = _interrupted(at, store._turns.close if what == "turns" else store._feed.close)
        await store.aclose()
        await _ends(waiting)
        with pytest.raises((StoreClosedError, StopAsyncIteration)):
            waiting.result()
        if not is_interrupted:
            break


@pytest.mark.search
async def test_who_waits_for_a_change_gets_it_though_telling_was_interrupted(make_indexed: Any) -> None:
    """At any opcode: with the next change at the latest."""
    for at in itertools.count():
        store, session = make_indexed(), make_session()
        waiting = asyncio.ensure_future(anext(store.changes()))
        await asyncio.sleep(0)
        is_interrupted = _interrupted(at, store._feed._wake)
        await store.save(session)
        await _ends(waiting)
        assert waiting.result().stamp == session.last_activity_at
        if not is_interrupted:
            break
