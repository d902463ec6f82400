"""Unusual classes, unusual datetimes and loops that stand still."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, create_model

from sessiondex import InMemorySessionStore, InvalidSessionError, PendingMigration, ScopeFilter, Session, WrongLoopError
from tests.support.builders import AGENT, START, TENANT, at_step, make_session, visit
from tests.support.stores import check_indexes, lock_of


@pytest.mark.parametrize("names", [["order-total"], ["a b"], ["a{}b"], ["ﬁ", "fi"], ["'", '"']])
async def test_fields_may_have_any_names(store: Any, names: list[str]) -> None:
    """Python takes some for one and the same, and others for no names at all."""
    fields: dict[str, Any] = dict.fromkeys(names, (int, 0))
    cls = create_model("Odd", __base__=Session, **fields)
    session = make_session(cls, **{name: number for number, name in enumerate(names, 1)})
    await store.save(session)

    assert await store.get(session.session_id) == session


class Hooked(BaseModel):
    def model_post_init(self, _: Any) -> None:
        self.__dict__["turn_count"] = self.__dict__.get("turn_count", 0) + 1


class HookedBehind(Session, Hooked):
    pass


async def test_a_hook_behind_session_is_seen(store: Any) -> None:
    """It changes what is loaded, so what it was given would not come back."""
    with pytest.raises(InvalidSessionError, match="turn_count"):
        await store.save(make_session(HookedBehind))


class OddDatetime(datetime):
    """Calculates in its own way, as pendulum's does."""

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, timedelta) else "an interval"


async def test_a_clock_may_have_datetimes_of_its_own(make_store: Any) -> None:
    odd = OddDatetime(2026, 3, 1, tzinfo=UTC)
    store = make_store(clock=lambda: odd)
    session = at_step(created_at=odd)
    await store.save(session)
    await store.save_many([session])
    query = session.tenant_id, session.active_scenario_id, 1, "hash-1"

    assert await store.find_sessions_by_step_hash(*query, ScopeFilter(max_session_age_days=1)) == [session]
    assert type(session.last_activity_at) is type(session.created_at) is datetime


@pytest.mark.parametrize("cache_size", [0, 10])
async def test_all_fields_of_what_a_store_gave_count_as_set(cache_size: int) -> None:
    """Those of its visits and its migration as well, whether it is cached or packed."""
    store: InMemorySessionStore = InMemorySessionStore(cache_size=cache_size)
    session = make_session(step_history=[visit()])
    session.pending_migration = PendingMigration(
        target_version=2, anchor_content_hash="hash-1", migration_plan_id=uuid4()
    )
    for _ in range(3):
        await store.save(session)
        found = await store.get(session.session_id)
        found = await store.get(session.session_id)
        assert found is not None
        facts: list[Any] = [*found.step_history, found.pending_migration]
        for fact in facts:
            assert fact.model_fields_set == type(fact).model_fields.keys()
            assert fact.model_dump(exclude_unset=True) == fact.model_dump()
    check_indexes(store)


async def test_a_field_set_during_a_batch_counts_as_set(store: Any) -> None:
    sessions = [make_session() for _ in range(60)]
    saving = asyncio.ensure_future(store.save_many(sessions))
    await asyncio.sleep(0)
    sessions[0].turn_count = 7
    await saving

    assert {"turn_count", "last_activity_at"} <= sessions[0].model_fields_set


# -- a loop that stood still while another one used the store --


@contextmanager
def running_elsewhere(store: Any) -> Iterator[None]:
    """A second loop, in a thread, that has used the store and still runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(store.save(make_session()), loop).result()
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def trickle(go_on: asyncio.Event) -> AsyncIterator[Session]:
    for number in range(8):
        yield make_session()
        if number == 4:
            await go_on.wait()


Start = Callable[[Any, asyncio.Event], Awaitable[Any]]


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize(
    "start",
    [
        lambda store, _: store.save_many([make_session() for _ in range(200)]),
        lambda store, go_on: store.load(trickle(go_on), batch=2),
        lambda store, _: store.list_by_agent(TENANT, AGENT, limit=1_000),
    ],
    ids=["save_many", "load", "list_by_agent"],
)
def test_a_call_that_stood_still_does_not_go_on_beside_another_loop(start: Start) -> None:
    """It would use the store from two threads at once."""
    store: InMemorySessionStore = InMemorySessionStore()
    with asyncio.Runner() as runner:
        runner.run(store.load(make_session(agent_id=AGENT, created_at=START) for _ in range(900)))
        go_on = asyncio.Event()

        async def begin() -> asyncio.Future[Any]:
            call = asyncio.ensure_future(start(store, go_on))
            for _ in range(3):
                await asyncio.sleep(0)
            assert not call.done()
            return call

        async def finish(call: asyncio.Future[Any]) -> None:
            go_on.set()
            await call

        call = runner.run(begin())
        with running_elsewhere(store), pytest.raises(WrongLoopError):
            runner.run(finish(call))
    check_indexes(store)


def test_calls_wait_for_the_lock_of_a_loop_that_stands_still() -> None:
    """None of them changes the store after it has moved to another loop."""
    store: InMemorySessionStore = InMemorySessionStore()
    kept = make_session()
    with asyncio.Runner() as runner:
        runner.run(store.save(kept))

        async def begin() -> list[asyncio.Future[Any]]:
            await lock_of(store).acquire()
            calls: list[Awaitable[Any]] = [
                store.save_many([make_session() for _ in range(200)]),
                store.save(make_session()),
                store.delete(kept.session_id),
                store.delete_many([kept.session_id]),
            ]
            futures: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0)
            return futures

        async def finish(futures: list[asyncio.Future[Any]]) -> list[Any]:
            lock.release()
            return await asyncio.gather(*futures, return_exceptions=True)

        futures, lock = runner.run(begin()), lock_of(store)
        with running_elsewhere(store):
            results = runner.run(finish(futures))
    assert [type(result) for result in results] == [WrongLoopError] * 4
    assert store.stats().sessions == 2
    check_indexes(store)
