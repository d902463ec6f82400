"""Bulk operations beside other tasks: they see all of a batch or nothing, and may cancel it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.builders import (
    make_session,
)
from tests.support.bulk import Ticker, all_of, in_bulk, mixed
from tests.support.exact_values import exact
from tests.support.slice_time import ITEMS_PER_SLICE


@pytest.mark.usefixtures("short_slices")
async def test_readers_see_none_or_all(store: Any) -> None:
    """While they are checked the loop runs, and other tasks see nothing of them; then all at once."""
    known = mixed(3)
    await store.save_many(known)
    async with Ticker(lambda: all_of(store)) as ticker:
        await store.save_many([*mixed(150), *known])

    counts = [len(seen) for seen in ticker.seen]
    assert set(counts) == {3, 153}
    assert counts.count(3) > 150 // ITEMS_PER_SLICE


async def test_readers_see_none_or_all_deleted(store: Any) -> None:
    sessions = mixed(100)
    await store.save_many(sessions)
    async with Ticker(lambda: all_of(store)) as ticker:
        await store.delete_many([session.session_id for session in sessions[10:]])

    assert {len(seen) for seen in ticker.seen} == {10, 100}


@pytest.mark.usefixtures("short_slices")
async def test_another_save_while_many_are_prepared(store: Any) -> None:
    """It does not wait: sessions are prepared without the lock, and stamped together when all are."""
    session, many = make_session(), mixed(100)
    saving = asyncio.ensure_future(store.save_many(many))
    await asyncio.sleep(0)
    await store.save(session)
    assert not saving.done()
    await saving

    assert session.last_activity_at < min(other.last_activity_at for other in many)


@pytest.mark.usefixtures("short_slices")
@in_bulk
@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_cancelled_midway_nothing_is_saved(store: Any, save_all: Any, turns: int) -> None:
    """And the lock is free."""
    sessions = mixed(200)
    before = [exact(session) for session in sessions]
    saving = asyncio.ensure_future(save_all(store, sessions))
    for _ in range(turns):
        await asyncio.sleep(0)
    assert saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving

    assert [exact(session) for session in sessions] == before
    assert await all_of(store) == []
    await store.save_many(sessions)
    assert len(await all_of(store)) == 200


async def test_cancelled_while_it_waits_for_the_lock_nothing_is_changed(store: Any) -> None:
    session = make_session()
    await store.save(session)
    async with store._lock:
        waiting = [
            asyncio.ensure_future(store.save_many([make_session()])),
            asyncio.ensure_future(store.load([make_session()])),
            asyncio.ensure_future(store.delete_many([session.session_id])),
        ]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
    assert await all_of(store) == [session]
