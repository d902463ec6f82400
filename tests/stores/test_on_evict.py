"""Law 17: `on_evict` is called once for each evicted session, in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import EvictionReason, InvalidSessionError
from tests.support.builders import AGENT, TENANT, Clock, TaggedSession, make_session
from tests.support.slice_time import ITEMS_PER_SLICE
from tests.support.stores import lock_of
from tests.support.waiting import until, until_notified

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("cls", [TaggedSession, None])
@pytest.mark.parametrize("is_cached", [False, True])
async def test_on_evict_gets_a_session_of_its_own(make_store: Any, clock: Clock, cls: Any, *, is_cached: bool) -> None:
    evicted: list[Any] = []

    async def on_evict(session: Any, reason: EvictionReason) -> None:
        await asyncio.sleep(0)
        evicted.append((session, reason))

    store = make_store(idle_ttl=HOUR, on_evict=on_evict)
    session = make_session(**({} if cls is None else {"cls": cls}))
    await store.save(session)
    for _ in range(2 if is_cached else 0):
        await store.get(session.session_id)
    clock.move(hours=2)
    await store.save(make_session())

    await until_notified(store)
    assert evicted == [(session, EvictionReason.IDLE)]
    assert evicted[0][0] is not session


async def test_an_error_of_on_evict_is_logged_and_loses_nothing(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> None:
        raise KeyError("mine")

    store = make_store(max_sessions=1, on_evict=failing)
    sessions = [make_session() for _ in range(3)]
    for session in sessions:
        await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT) == sessions[2:]
    await until_notified(store)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("on_evict" in record.message for record in caplog.records)


async def test_on_evict_runs_without_the_lock(make_store: Any) -> None:
    """So it may use the store, also to bring the session back."""
    kept: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        assert not lock_of(store).locked()
        assert await store.get(session.session_id) is None
        if not kept:
            kept.append(session)
            await store.save(session)

    store = make_store(max_sessions=2, on_evict=on_evict)
    sessions = [make_session() for _ in range(3)]
    for session in sessions:
        await store.save(session)
    await until_notified(store)

    assert await store.list_by_agent(TENANT, AGENT) == [kept[0], sessions[2]]


@pytest.mark.usefixtures("short_slices")
async def test_a_save_is_cancelled_while_on_evict_runs(make_store: Any) -> None:
    """Saves do not wait for `on_evict`, and cancel none of its calls."""
    done: list[Any] = []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.append(session)

    store = make_store(max_sessions=1, on_evict=on_evict)
    sessions = [make_session() for _ in range(4)]
    writing = asyncio.ensure_future(store.save_many(sessions))
    await asyncio.sleep(0)
    assert writing.done()
    assert not done
    writing.cancel()
    await until_notified(store)
    assert done == sessions[:3]


def test_a_call_of_on_evict_that_the_end_of_a_loop_cut_off_is_repeated(make_store: Any) -> None:
    begun, done = [], []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        begun.append(session)
        await asyncio.sleep(0.01 if len(begun) > 1 else 3600)
        done.append(session)

    store = make_store(max_sessions=1, on_evict=on_evict)
    sessions = [make_session() for _ in range(3)]

    async def first() -> None:
        await store.save_many(sessions)
        await until(lambda: begun)

    asyncio.run(first())
    asyncio.run(store.aclose())
    assert begun == [sessions[0], *sessions[:2]]
    assert done == sessions[:2]


@pytest.mark.usefixtures("short_slices")
async def test_the_loop_runs_while_on_evict_is_called_for_many(make_store: Any) -> None:
    turns: list[int] = []
    evicted: list[Any] = []

    async def tick() -> None:
        while True:
            turns.append(len(evicted))
            await asyncio.sleep(0)

    store = make_store(max_sessions=1, on_evict=lambda session, _: evicted.append(session))
    ticking = asyncio.ensure_future(tick())
    await store.save_many([make_session() for _ in range(101)])
    await until_notified(store)
    ticking.cancel()
    assert len(evicted) == 100
    assert len(set(turns)) >= 100 // ITEMS_PER_SLICE


async def test_a_refused_save_evicts_nothing_and_a_count_all_that_expired(make_store: Any, clock: Clock) -> None:
    evicted: list[Any] = []
    store = make_store(idle_ttl=HOUR, on_evict=lambda session, _: evicted.append(session))
    sessions = [make_session() for _ in range(50)]
    await store.save_many(sessions)
    clock.move(hours=2)
    sessions[0].variables["x"] = float("nan")
    with pytest.raises(InvalidSessionError):
        await store.save(sessions[0])
    await until_notified(store)
    assert not evicted
    assert await store.count_by_agent(TENANT, AGENT) == 0
    await until_notified(store)
    assert len(evicted) == 50


async def test_a_session_that_expired_and_is_beyond_the_cap(make_store: Any, clock: Clock) -> None:
    evicted: list[Any] = []
    store = make_store(idle_ttl=HOUR, max_sessions=2, on_evict=lambda _, reason: evicted.append(reason))
    await store.save_many([make_session(), make_session()])
    clock.move(hours=2)
    await store.save_many([make_session() for _ in range(3)])
    await until_notified(store)
    assert evicted == [EvictionReason.IDLE, EvictionReason.IDLE, EvictionReason.CAP]


async def test_on_evict_saves_and_so_evicts_more(make_store: Any) -> None:
    """Calls of `on_evict` do not nest, however many follow from one another."""
    depth, deepest, evicted = 0, 0, []

    async def on_evict(session: Any, _: EvictionReason) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        evicted.append(session)
        if len(evicted) < 300:
            await store.save(make_session())
        depth -= 1

    store = make_store(max_sessions=2, on_evict=on_evict)
    for _ in range(300):
        await store.save(make_session())
    await until_notified(store)
    assert deepest == 1
    assert len(evicted) >= 300


async def test_an_on_evict_that_awaits_a_cancelled_future_is_logged(
    make_store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_evict(*_: Any) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    store = make_store(max_sessions=1, on_evict=on_evict)
    for _ in range(3):
        await store.save(make_session())
    await until_notified(store)
    assert caplog.text.count("on_evict was cancelled;") == 2


async def test_closing_waits_for_on_evict(make_indexed: Any, clock: Clock) -> None:
    begun: list[Any] = []
    done: list[Any] = []
    is_closing = asyncio.Event()

    async def on_evict(session: Any, _: EvictionReason) -> None:
        begun.append(session)
        await is_closing.wait()
        done.append(session)

    store = make_indexed(idle_ttl=timedelta(milliseconds=1), on_evict=on_evict)
    sessions = [make_session() for _ in range(3)]
    await store.save_many(sessions)
    async with store:
        clock.move(seconds=1)
        await until(lambda: begun)
        asyncio.get_running_loop().call_soon(is_closing.set)  # by then it is closing
    assert done == sessions
