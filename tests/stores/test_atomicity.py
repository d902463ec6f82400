"""Law 5: all or nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex import InMemorySessionStore, InvalidSessionError
from sessiondex.engine.table import Table
from tests.support.builders import AGENT, OTHER_AGENT, TENANT, Clock, at_step, make_session
from tests.support.stores import lock_of


async def test_a_refused_save_changes_nothing(store: Any) -> None:
    session = at_step()
    await store.save(session)
    saved = session.model_copy(deep=True)
    session.agent_id = OTHER_AGENT
    session.variables["x"] = float("inf")
    with pytest.raises(InvalidSessionError):
        await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT) == [saved]
    assert await store.list_by_agent(TENANT, OTHER_AGENT) == []


async def test_a_clock_that_raises_changes_nothing(make_store: Any) -> None:
    def broken() -> Any:
        raise RuntimeError("no time")

    store = make_store(clock=broken)
    with pytest.raises(RuntimeError, match="no time"):
        await store.save(make_session())

    assert await store.list_by_agent(TENANT, AGENT) == []


async def test_a_plan_that_fails_changes_nothing(
    indexed: InMemorySessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All index keys are computed before the first index changes."""
    session = make_session()
    await indexed.save(session)
    saved = session.model_copy(deep=True)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no plan")

    with monkeypatch.context() as patched:
        patched.setattr(Table, "plan_put", broken)
        session.agent_id = OTHER_AGENT
        with pytest.raises(RuntimeError, match="no plan"):
            await indexed.save(session)
        with pytest.raises(RuntimeError, match="no plan"):
            await indexed.save(make_session(agent_id=OTHER_AGENT))

    assert await indexed.list_by_agent(TENANT, AGENT) == [saved]
    assert await indexed.list_by_agent(TENANT, OTHER_AGENT) == []
    assert session.last_activity_at == saved.last_activity_at


async def test_a_write_that_is_cancelled_while_it_waits_changes_nothing(store: Any) -> None:
    """A writer that waits for the lock can be cancelled; the lock is free afterwards."""
    session = make_session()
    assert await store.get(session.session_id) is None  # from here on the store and its lock belong to this loop
    async with lock_of(store):
        writers = [asyncio.ensure_future(store.save(session)), asyncio.ensure_future(store.delete(session.session_id))]
        await asyncio.sleep(0)
        for writer in writers:
            writer.cancel()
        outcomes = await asyncio.gather(*writers, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    assert await store.get(session.session_id) is None
    await store.save(session)
    assert await store.get(session.session_id) == session


async def test_a_write_never_lets_another_task_in(store: Any) -> None:
    """From its first look to its last change a write does not yield to the loop."""
    turns = []

    async def bystander() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    session = at_step()
    watching = asyncio.ensure_future(bystander())
    await store.save(session)
    await store.save(session)
    await store.delete(session.session_id)
    assert turns == []
    await asyncio.sleep(0)
    assert turns == [1]
    watching.cancel()


@pytest.mark.usefixtures("short_slices")
async def test_a_long_answer_lets_others_in_and_stays_as_it_was_found(make_store: Any, clock: Clock) -> None:
    """A result of thousands is copied in slices; what is saved or deleted in between does not show."""
    store = make_store()
    for _ in range(1_500):
        await store.save(at_step())
    expected = await store.list_by_agent(TENANT, AGENT, limit=1_500)
    reading = asyncio.ensure_future(store.list_by_agent(TENANT, AGENT, limit=1_500))
    await asyncio.sleep(0)
    assert not reading.done()
    for found in expected[-100:]:
        await store.delete(found.session_id)
    await store.save(make_session())

    assert await reading == expected
    assert len(await store.list_by_agent(TENANT, AGENT, limit=2_000)) == 1_401


async def test_readers_take_no_lock(store: Any) -> None:
    session = make_session()
    await store.save(session)
    async with lock_of(store):
        assert await store.get(session.session_id) == session
        assert await store.list_by_agent(TENANT, AGENT) == [session]
