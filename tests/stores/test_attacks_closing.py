"""Attacks on `aclose`, `on_evict` and `create`: calls from child tasks, and saves in progress while a store closes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from sessiondex import Channel, ReentryError, StoreClosedError
from tests.support import virtual_time
from tests.support.builders import TENANT, Clock, make_session
from tests.support.stores import lock_of

CHILD_TASKS: dict[str, Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]] = {
    "create_task": asyncio.create_task,
    "wait_for": lambda work: asyncio.wait_for(asyncio.create_task(work), 60),
    "gather": asyncio.gather,
}
"""Ways to await a coroutine in a task of its own. `wait_for` itself creates one before Python 3.12."""


@pytest.mark.parametrize("in_a_task", CHILD_TASKS.values(), ids=CHILD_TASKS)
def test_aclose_in_a_child_task_of_on_evict_returns(make_store: Any, in_a_task: Any) -> None:
    """It does not wait for the callback, which waits for it. A hang is an error in virtual time."""
    closed = asyncio.Event()

    async def on_evict(_session: Any, _reason: Any) -> None:
        await in_a_task(store.aclose())
        closed.set()

    store = make_store(max_sessions=1, on_evict=on_evict)

    async def main() -> None:
        await store.save_many([make_session(), make_session()])
        await closed.wait()
        assert await store.health_check() is False

    virtual_time.run(main())


@pytest.mark.parametrize("in_a_task", CHILD_TASKS.values(), ids=CHILD_TASKS)
def test_get_or_create_in_a_child_task_of_create_is_refused(make_store: Any, in_a_task: Any) -> None:
    """It would wait for `create`, which waits for it. A hang is an error in virtual time."""
    store, identity = make_store(), (TENANT, Channel.WEBCHAT, "user-1")

    async def create() -> Any:
        await in_a_task(store.get_or_create(*identity, make_session))

    async def main() -> None:
        with pytest.raises(ReentryError):
            await store.get_or_create(*identity, create)
        assert await store.get_or_create(*identity, make_session)  # the lock was released

    virtual_time.run(main())


@pytest.mark.parametrize("options", [{"idle_ttl": timedelta(hours=1)}, {"max_sessions": 1}], ids=["expired", "surplus"])
async def test_a_closed_store_evicts_nothing_more(make_store: Any, clock: Clock, options: dict[str, Any]) -> None:
    """`aclose` returns after the evictions of a bulk save in progress, at whatever turn of the loop it is called."""
    for turns in range(12):
        await close_after(turns, make_store, clock, options)


async def close_after(turns: int, make_store: Any, clock: Clock, options: dict[str, Any]) -> None:
    evicted: list[Any] = []
    store = make_store(**options, on_evict=lambda session, _: evicted.append(session))
    await store.save_many([make_session() for _ in range(400)])
    clock.move(hours=2)
    new_sessions = [make_session() for _ in range(400)]
    saving = asyncio.create_task(store.save_many(new_sessions))
    for _ in range(turns):
        await asyncio.sleep(0)
    await store.aclose()
    count = len(evicted)
    await asyncio.wait([saving])
    for _ in range(50):
        await asyncio.sleep(0)

    assert len(evicted) == count
    assert isinstance(saving.exception(), StoreClosedError | None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in Python 3.12")
def test_on_evict_runs_after_the_save_if_tasks_start_eagerly(make_store: Any) -> None:
    """The save holds no lock any more, so the callback may save, too."""
    steps: list[str] = []

    async def on_evict(_session: Any, _reason: Any) -> None:
        steps.append("on_evict")
        if steps.count("on_evict") == 1:
            await store.save(make_session())

    store = make_store(max_sessions=1, on_evict=on_evict)

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(vars(asyncio)["eager_task_factory"])  # unknown to type checkers
        await store.save(make_session())
        await store.save(make_session())
        steps.append("saved")
        await asyncio.sleep(1)
        await store.aclose()

    virtual_time.run(main())
    assert steps == ["saved", "on_evict", "on_evict"]


async def test_the_last_save_before_the_end_reaches_the_readers(make_store: Any) -> None:
    """A save that waits for the lock when the store is closed is finished, and so is its change."""
    store, session = make_store(), make_session()

    async def read() -> list[UUID]:
        return [change.session_id async for change in store.changes()]

    reading = asyncio.ensure_future(read())
    await store.health_check()
    async with lock_of(store):
        saving = asyncio.ensure_future(store.save(session))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.aclose())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(saving, closing)

    assert await reading == [session.session_id]
