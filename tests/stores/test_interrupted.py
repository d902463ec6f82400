"""Interruptions outside commits: moving to another loop, closing, publishing. The next call starts over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import field_validator

from sessiondex import ChangeKind, InMemorySessionStore, InvariantError, Session
from tests.support.builders import make_session
from tests.support.stores import session_locks_of, sweeper_of, writer_of
from tests.support.waiting import HANG_SECONDS, until


def _no_memory(*_: Any) -> Any:
    raise MemoryError


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("where", ["base.KeyedLocks", "local.LocalSessionStore._on_new_loop"])
def test_a_move_to_another_loop_is_interrupted(make_store: Any, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The next call moves again, and waits for no lock of the loop before."""
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
        patched.setattr(f"sessiondex.stores.{where}", _no_memory)
        with pytest.raises(MemoryError):
            second.run_until_complete(save())
    second.run_until_complete(save())
    task.cancel()
    for loop in (first, second):
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


async def test_closing_is_interrupted(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `aclose` does the rest: tasks that wait for a lock get an error."""
    session = make_session()
    async with store.exclusive(session.session_id):
        waiting = asyncio.ensure_future(store.exclusive(session.session_id).__aenter__())
        await asyncio.sleep(0)
        with monkeypatch.context() as patched:
            patched.setattr(session_locks_of(store), "close", _no_memory)
            with pytest.raises(MemoryError):
                await store.aclose()
        await store.aclose()
        done, _ = await asyncio.wait([waiting], timeout=HANG_SECONDS)
    assert done
    assert waiting.exception() is not None


def test_closing_in_another_loop_than_it_was_opened_in(make_store: Any) -> None:
    """Where the first one has ended, with what ran in it."""
    store, loop = make_store(idle_ttl=timedelta(hours=1)), asyncio.new_event_loop()
    loop.run_until_complete(store.__aenter__())
    sweeper = sweeper_of(store)
    loop.run_until_complete(asyncio.sleep(0))
    sweeper.cancel()
    loop.run_until_complete(asyncio.wait([sweeper]))
    loop.close()
    asyncio.run(store.aclose())


def test_calls_of_on_evict_continue_in_the_next_loop(make_store: Any) -> None:
    """Any call starts them, not only the next eviction."""
    evicted: list[Any] = []

    async def on_evict(session: Session, _: Any) -> None:
        await asyncio.sleep(0)
        evicted.append(session.session_id)

    async def evict() -> None:
        for _ in range(4):
            await store.save(make_session())

    async def look() -> None:
        await store.get(make_session().session_id)
        await until(lambda: len(evicted) == 2)

    store = make_store(max_sessions=2, on_evict=on_evict)
    asyncio.run(evict())
    asyncio.run(look())


class RaisesTwice:
    """A commit listener that raises an error the first two times."""

    def __init__(self) -> None:
        self.calls = 0

    def on_commit(self, _: Any) -> None:
        self.calls += 1
        if self.calls <= 2:
            raise MemoryError


@pytest.mark.parametrize("look", ["changes", "stats"])
async def test_a_commit_is_interrupted_twice(indexed: Any, look: str) -> None:
    """It is finished before the next call answers, also one that is no coroutine."""
    session, listener = make_session(), RaisesTwice()
    await indexed.save(session)
    writer_of(indexed).subscribe(listener)
    with pytest.raises(MemoryError):
        await indexed.save(session)
    assert (listener.calls, writer_of(indexed).last_sequence) == (2, 1)
    looked = getattr(indexed, look)()
    assert (listener.calls, writer_of(indexed).last_sequence) == (3, 2)
    changes = looked if look == "changes" else indexed.changes()
    await indexed.save(session)
    change = await asyncio.wait_for(anext(changes), HANG_SECONDS)

    assert (change.sequence, change.kind, change.revision) == (3, ChangeKind.SAVED, 3)


class Changing(Session):
    note: str = ""

    @field_validator("note")
    @classmethod
    def _check(cls, value: str) -> str:
        if VERDICTS:
            raise ValueError("not any more")
        return value


VERDICTS: list[int] = []


async def test_debug_finds_a_stored_session_that_no_longer_loads() -> None:
    """The error is not about the given session, which is stored."""
    store, other = InMemorySessionStore[Any](debug=True, cache_size=0), make_session()
    await store.save(make_session(Changing, note="x"))
    VERDICTS.append(1)
    try:
        with pytest.raises(InvariantError, match="a stored session, when it is loaded"):
            await store.save(other)
        assert await store.get(other.session_id) is not None
    finally:
        VERDICTS.clear()
