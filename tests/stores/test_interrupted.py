"""What was cut short elsewhere than in a write: going over to a loop, closing, telling. The next call does it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import field_validator

from sessiondex import ChangeKind, InMemorySessionStore, InvariantError, Session
from sessiondex.stores import lifecycle, loops
from tests.support.builders import make_session
from tests.support.waiting import HANG_SECONDS, until


def _no_memory() -> Any:
    raise MemoryError


@pytest.mark.parametrize("where", ["Turns", "_used"])
def test_going_over_to_another_loop(make_store: Any, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """It is done again by the next call, which does not wait for locks of the loop before."""
    store, first, second = make_store(), asyncio.new_event_loop(), asyncio.new_event_loop()

    saving = store.save_many([make_session() for _ in range(60)])

    async def begin() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(saving)
        await asyncio.sleep(0)
        return task

    async def save() -> None:
        async with asyncio.timeout(HANG_SECONDS):
            await store.save(make_session())

    task = first.run_until_complete(begin())
    with monkeypatch.context() as patched:
        if where == "Turns":
            patched.setattr(lifecycle, "Turns", _no_memory)
        else:
            patched.setattr(loops._used, "add", lambda _: _no_memory(), raising=False)
        with pytest.raises(MemoryError):
            second.run_until_complete(save())
    second.run_until_complete(save())
    task.cancel()
    for loop in (first, second):
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def test_closing(store: Any) -> None:
    """To close again does what is left: those who wait are told."""
    session = make_session()
    async with store.exclusive(session.session_id):
        waiting = asyncio.ensure_future(store.exclusive(session.session_id).__aenter__())
        await asyncio.sleep(0)
        good, store._turns.close = store._turns.close, _no_memory
        with pytest.raises(MemoryError):
            await store.aclose()
        store._turns.close = good
        await store.aclose()
        done, _ = await asyncio.wait([waiting], timeout=HANG_SECONDS)
    assert done
    assert waiting.exception() is not None


def test_closing_in_another_loop_than_it_was_opened_in(make_store: Any) -> None:
    """Where the first one has ended, with what ran in it."""
    store, loop = make_store(idle_ttl=timedelta(hours=1)), asyncio.new_event_loop()
    loop.run_until_complete(store.__aenter__())
    sweeper = store._sweeper
    loop.run_until_complete(asyncio.sleep(0))
    sweeper.cancel()
    loop.run_until_complete(asyncio.wait([sweeper]))
    loop.close()
    asyncio.run(store.aclose())


def test_telling_goes_on_in_the_next_loop(make_store: Any) -> None:
    """By any call, not only by the next eviction."""
    told: list[Any] = []

    async def on_evict(session: Session, _: Any) -> None:
        await asyncio.sleep(0)
        told.append(session.session_id)

    async def evict() -> None:
        for _ in range(4):
            await store.save(make_session())

    async def look() -> None:
        await store.get(make_session().session_id)
        await until(lambda: len(told) == 2)

    store = make_store(max_sessions=2, on_evict=on_evict)
    asyncio.run(evict())
    asyncio.run(look())


@pytest.mark.parametrize("look", [lambda store: store.changes(), lambda store: store.stats()], ids=["changes", "stats"])
async def test_a_write_that_was_cut_twice_is_done_before_anybody_looks(
    indexed: Any, look: Callable[[Any], Any]
) -> None:
    """Also by what is no coroutine. Who follows changes from then on sees the next one as what it is."""
    session = make_session()
    await indexed.save(session)
    tell, calls = indexed._tell_of, []

    def cut_twice(intent: Any) -> None:
        calls.append(intent)
        if len(calls) <= 2:
            raise MemoryError
        tell(intent)

    indexed._tell_of = cut_twice
    with pytest.raises(MemoryError):
        await indexed.save(session)
    looked = look(indexed)
    assert indexed._intent is None
    changes = indexed.changes() if isinstance(looked, tuple) or not hasattr(looked, "__anext__") else looked
    before = await indexed.get(session.session_id)
    await indexed.save(session)
    change = await asyncio.wait_for(anext(changes), HANG_SECONDS)

    assert (change.kind, change.session_id, change.revision) == (
        ChangeKind.SAVED,
        session.session_id,
        before.revision + 1,
    )


class Moody(Session):
    note: str = ""

    @field_validator("note")
    @classmethod
    def _check(cls, value: str) -> str:
        if MOOD:
            raise ValueError("not any more")
        return value


MOOD: list[int] = []


async def test_debug_tells_a_session_that_no_longer_loads_from_the_one_that_is_saved() -> None:
    """The error is none of the session that was given, which is stored."""
    store, other = InMemorySessionStore[Any](debug=True, cache_size=0), make_session()
    await store.save(make_session(Moody, note="x"))
    MOOD.append(1)
    try:
        with pytest.raises(InvariantError, match="a stored session, when it is loaded"):
            await store.save(other)
        assert await store.get(other.session_id) is not None
    finally:
        MOOD.clear()
