"""Law 18: changes come in order, each once, with no gap."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import Change, ChangeKind, ChangesLostError
from tests.support.builders import Clock, NotedSession, TaggedSession, make_session
from tests.support.shuffled_loop import run_interleaved
from tests.support.stores import feed_of
from tests.support.waiting import HANG_SECONDS


async def read(changes: Any, count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(changes), HANG_SECONDS) for _ in range(count)]


async def is_waiting(changes: Any) -> bool:
    """Return whether the reader has seen all changes."""
    waiting = asyncio.ensure_future(anext(changes))
    for _ in range(5):
        await asyncio.sleep(0)
    if waiting.done():
        return False
    waiting.cancel()
    await asyncio.wait([waiting])
    return True


@pytest.mark.parametrize("cls", [NotedSession, TaggedSession])
@pytest.mark.parametrize("saves", [1, 4])
async def test_saved_and_deleted(store: Any, cls: Any, saves: int) -> None:
    """A change has the ids of the session and its version; of a deleted session, the last it had."""
    session = make_session(cls)
    for _ in range(saves):
        await store.save(session)
    ids: dict[str, Any] = {"tenant_id": session.tenant_id, "session_id": session.session_id}
    changes = store.changes()
    await store.save(session)
    second = {"revision": session.revision, "stamp": session.last_activity_at}
    await store.delete(session.session_id)
    await store.save(session)

    assert await read(changes, 3) == [
        Change(sequence=saves + 1, kind=ChangeKind.SAVED, **ids, **second),
        Change(sequence=saves + 2, kind=ChangeKind.DELETED, **ids, **second),
        Change(sequence=saves + 3, kind=ChangeKind.SAVED, **ids, revision=1, stamp=session.last_activity_at),
    ]
    assert await is_waiting(changes) or pytest.fail("there is one more")


async def test_a_change_shows_no_content(store: Any) -> None:
    """So a feed keeps nothing that a person may want erased."""
    changes = store.changes()
    await store.save(make_session(variables={"email": "ann@example.org"}, user_channel_id="ann-1"))
    shown = repr((await read(changes, 1))[0])

    assert "ann" not in shown


async def test_changes_of_many_come_one_by_one(store: Any) -> None:
    changes = store.changes()
    sessions = [make_session() for _ in range(3)]
    await store.save_many([*sessions, sessions[0]])
    await store.delete_many([session.session_id for session in sessions])

    found = await read(changes, 6)
    assert [change.sequence for change in found] == list(range(1, 7))
    assert [change.kind for change in found] == [ChangeKind.SAVED] * 3 + [ChangeKind.DELETED] * 3


async def test_evictions_are_changes(make_store: Any, clock: Clock) -> None:
    store = make_store(max_sessions=2, idle_ttl=timedelta(hours=1))
    changes = store.changes()
    sessions = [make_session() for _ in range(4)]
    await store.save_many(sessions[:3])
    clock.move(hours=2)
    await store.save(sessions[3])

    found = await read(changes, 7)
    assert [change.kind.value for change in found] == ["saved"] * 3 + ["evicted", "saved", "evicted", "evicted"]
    assert [change.session_id for change in found if change.kind is ChangeKind.EVICTED] == [
        session.session_id for session in sessions[:3]
    ]


async def test_a_reader_goes_on_where_another_ended(store: Any) -> None:
    changes = store.changes()
    for _ in range(5):
        await store.save(make_session())
    seen = await read(changes, 2)
    again = store.changes(since=seen[-1].sequence)

    assert [change.sequence for change in await read(again, 3)] == [3, 4, 5]
    assert await read(store.changes(since=0), 5) == [*seen, *await read(changes, 3)]


async def test_what_is_no_longer_kept_is_lost_and_said_to_be(make_store: Any) -> None:
    store = make_store(changes_kept=3)
    changes = store.changes()
    for _ in range(5):
        await store.save(make_session())
    with pytest.raises(ChangesLostError) as lost:
        await anext(changes)
    assert (lost.value.since, lost.value.oldest) == (0, 3)
    with pytest.raises(ChangesLostError):
        store.changes(since=1)
    assert [change.sequence for change in await read(store.changes(since=2), 3)] == [3, 4, 5]


async def test_what_was_before_anybody_asked_is_lost_too(store: Any) -> None:
    await store.save(make_session())
    with pytest.raises(ChangesLostError):
        store.changes(since=0)
    changes = store.changes()
    await store.save(make_session())
    assert (await anext(changes)).sequence == 2


async def test_a_store_that_keeps_none_still_numbers_them(make_store: Any) -> None:
    store = make_store(changes_kept=0)
    changes = store.changes()
    await store.save(make_session())
    with pytest.raises(ChangesLostError):
        await anext(changes)


async def test_nine_of_ten_waiting_readers_are_cancelled(store: Any) -> None:
    """The save fails no one, and the tenth reader gets its change."""
    readers = [asyncio.ensure_future(anext(store.changes())) for _ in range(10)]
    await asyncio.sleep(0)
    for reader in readers[:9]:
        reader.cancel()
    await asyncio.wait(readers[:9])
    await store.save(make_session())

    assert (await readers[9]).sequence == 1


async def test_a_reader_goes_on_after_a_wait_that_was_cancelled(store: Any) -> None:
    changes = store.changes()
    for number in range(1, 4):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.001)
        await store.save(make_session())
        assert (await asyncio.wait_for(anext(changes), HANG_SECONDS)).sequence == number


async def test_what_was_committed_before_the_end_can_still_be_read(store: Any) -> None:
    changes = store.changes()
    await store.save_many([make_session() for _ in range(3)])
    await store.aclose()
    assert [change.sequence async for change in changes] == [1, 2, 3]


def test_a_reader_that_waits_again_in_another_loop_fails_no_write(make_store: Any) -> None:
    store, session = make_store(), make_session()
    changes = store.changes()

    async def begin() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        return task

    one, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    task = one.run_until_complete(begin())
    other.run_until_complete(store.get(session.session_id))
    one.run_until_complete(asyncio.sleep(0))
    one.close()
    other.run_until_complete(store.save(session))
    other.close()
    assert session.revision == 1
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # which it is, on purpose
    task.get_coro().close()


def test_a_reader_in_a_loop_that_ended_fails_no_write(make_store: Any) -> None:
    """The loop was closed, and nobody had cancelled those who waited in it."""
    store, session = make_store(), make_session()
    changes = store.changes()

    async def begin() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    loop.close()

    async def go_on() -> None:
        await store.save(session)
        assert session.revision == 1
        assert (await anext(changes)).session_id == session.session_id

    asyncio.run(go_on())
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # which it is, on purpose
    task.get_coro().close()


async def test_changes_of_a_store_that_nobody_follows(store: Any) -> None:
    """They are numbered and not kept."""
    for _ in range(3):
        await store.save(make_session())
    assert feed_of(store) is None
    changes = store.changes()
    await store.save(make_session())

    assert [change.sequence for change in await read(changes, 1)] == [4]
    assert len(feed_of(store)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_reader_sees_the_same_changes_in_any_order_of_tasks(make_store: Any, seed: int) -> None:
    """Each change follows from the one before: a save has the next revision, a removal the last."""
    store = make_store(max_sessions=5)

    async def write(number: int) -> None:
        session = make_session(user_channel_id=f"user-{number}")
        for turn in range(4):
            session.turn_count = turn
            await (store.save(session) if turn < 3 else store.delete(session.session_id))
            await asyncio.sleep(0)

    async def follow(changes: Any) -> list[Any]:
        return [change async for change in changes]

    async def main() -> None:
        readers = [asyncio.ensure_future(follow(store.changes())) for _ in range(3)]
        await asyncio.gather(*(write(number) for number in range(10)))
        await asyncio.sleep(0)
        await store.aclose()
        logs = await asyncio.gather(*readers)
        assert logs[0] == logs[1] == logs[2]
        assert [change.sequence for change in logs[0]] == list(range(1, len(logs[0]) + 1))
        revisions: dict[Any, int] = {}
        for change in logs[0]:
            last = revisions.pop(change.session_id, 0)
            if change.kind is ChangeKind.SAVED:
                revisions[change.session_id] = last + 1
            assert change.revision == (last + 1 if change.kind is ChangeKind.SAVED else last)

    run_interleaved(main(), seed)


@pytest.mark.parametrize("since", [1, 10**30])
def test_a_place_that_was_never_reached_is_lost(store: Any, since: int) -> None:
    """As one is that another process had reached, before it ended."""
    with pytest.raises(ChangesLostError):
        store.changes(since=since)


async def test_a_reader_can_be_closed(store: Any) -> None:
    async with aclosing(store.changes()) as changes:
        await store.save(make_session())
        assert (await anext(changes)).sequence == 1
    await store.save(make_session())
    with pytest.raises(StopAsyncIteration):
        await anext(changes)
