"""Law 12: one loop after another is fine; two running at once raise, always."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sessiondex import Channel, SessionStore, WrongLoopError
from tests.builders import AGENT, SCENARIO, TENANT, make_session


def test_a_store_made_before_any_loop_serves_one_after_another(make_store: Any) -> None:
    """As when it is made at import time and a test client starts a loop for each test."""
    store = make_store()
    session = make_session()

    async def contended() -> None:
        # Many writers that wait for the lock bind it to their loop.
        store_lock = store._lock
        await store.get(session.session_id)
        await asyncio.gather(*(store.save(session) for _ in range(5)))
        assert store._lock is not store_lock

    async def wait_for_the_lock() -> None:
        await store.get(session.session_id)
        async with store._lock:
            waiting = asyncio.ensure_future(store.save(session))
            await asyncio.sleep(0)
        await waiting

    for _ in range(2):
        asyncio.run(contended())
        asyncio.run(wait_for_the_lock())
    assert asyncio.run(store.get(session.session_id)) == session


CALLS: list[Any] = [
    lambda store, session: store.get(session.session_id),
    lambda store, session: store.save(session),
    lambda store, session: store.save_many([session]),
    lambda store, session: store.load([session]),
    lambda store, session: store.delete(session.session_id),
    lambda store, session: store.delete_many([session.session_id]),
    lambda store, _: store.get_by_channel(TENANT, Channel.SMS, "u"),
    lambda store, _: store.list_by_agent(TENANT, AGENT),
    lambda store, _: store.list_by_customer(TENANT, AGENT),
    lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_second_running_loop_is_refused_without_contention(store: Any, call: Any) -> None:
    """Every method raises, reads included, though nobody holds the lock; the store is as before."""
    session = make_session()
    await store.save(session)
    saved = session.model_copy(deep=True)

    def elsewhere() -> None:
        asyncio.run(call(store, make_session(session_id=session.session_id)))

    with ThreadPoolExecutor(1) as pool, pytest.raises(WrongLoopError, match="another event loop"):
        await asyncio.wrap_future(pool.submit(elsewhere))
    assert await store.get(session.session_id) == saved


def test_a_loop_that_paused_may_go_on_after_another_has_had_its_turn(make_store: Any) -> None:
    store, session = make_store(), make_session()
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(store.save(session))
        second.run_until_complete(store.save(session))
        assert first.run_until_complete(store.get(session.session_id)) == session
    finally:
        first.close()
        second.close()


def test_a_batch_whose_loop_stood_still_while_another_wrote_is_refused(make_store: Any) -> None:
    """It was checked against what is no longer stored; nothing of it is saved, and the store goes on."""
    store, session = make_store(), make_session()
    many = [session.model_copy(deep=True), *(make_session() for _ in range(199))]
    before = [other.last_activity_at for other in many]
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        saving = first.create_task(store.save_many(many))
        first.run_until_complete(asyncio.sleep(0))
        assert not saving.done()
        second.run_until_complete(store.save(session))
        with pytest.raises(WrongLoopError):
            first.run_until_complete(saving)

        assert first.run_until_complete(store.list_by_agent(TENANT, AGENT)) == [session]
        assert [other.last_activity_at for other in many] == before
        assert len(first.run_until_complete(store.save_many(many))) == 200
    finally:
        first.close()
        second.close()


def test_many_threads_at_once_agree_on_one_owner(make_store: Any) -> None:
    """Of many threads whose loops meet the store at once, one gets in and all others are told."""
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
