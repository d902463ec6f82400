"""Law 18: changes come in order, each once, without a gap."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import (
    Change,
    ChangeKind,
    ChangesLostError,
    Session,
)
from tests.support.builders import Clock, NotedSession, TaggedSession, make_session
from tests.support.shuffled_loop import run_interleaved
from tests.support.stores import feed_of
from tests.support.waiting import HANG_SECONDS


async def read(changes: Any, count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(changes), HANG_SECONDS) for _ in range(count)]


async def is_waiting(changes: Any) -> bool:
    """Return whether the reader has read every change and waits for the next."""
    waiting = asyncio.ensure_future(anext(changes))
    for _ in range(5):
        await asyncio.sleep(0)
    if waiting.done():
        return False
    waiting.cancel()
    await asyncio.wait([waiting])
    return True


def change_of(sequence: int, kind: ChangeKind, session: Session) -> Change:
    """Return the change that the store must publish for the session as it is now."""
    return Change(
        sequence=sequence,
        kind=kind,
        tenant_id=session.tenant_id,
        session_id=session.session_id,
        revision=session.revision,
        stamp=session.last_activity_at,
    )


@pytest.mark.parametrize("cls", [NotedSession, TaggedSession])
@pytest.mark.parametrize("saves", [1, 4])
async def test_each_change_has_ids_revision_and_stamp(store: Any, cls: Any, saves: int) -> None:
    session = make_session(cls)
    for _ in range(saves):
        await store.save(session)
    changes, last = store.changes(), saves
    await store.save(session)
    expected = [change_of(last + 1, ChangeKind.SAVED, session)]
    await store.delete(session.session_id)
    expected.append(change_of(last + 2, ChangeKind.DELETED, session))
    await store.save(session)
    expected.append(change_of(last + 3, ChangeKind.SAVED, session))

    assert await read(changes, 3) == expected
    assert await is_waiting(changes) or pytest.fail("there is one more")


async def test_a_change_shows_no_content(store: Any) -> None:
    """So a feed keeps nothing that a person may want erased."""
    changes = store.changes()
    await store.save(make_session(variables={"email": "ann@example.org"}, user_channel_id="ann-1"))
    shown = repr((await read(changes, 1))[0])

    assert "ann" not in shown


def test_a_change_is_immutable_and_has_no_dict() -> None:
    change = change_of(1, ChangeKind.SAVED, make_session())
    with pytest.raises(AttributeError):
        change.sequence = 2  # type: ignore[misc]  # the mistake
    assert not hasattr(change, "__dict__")


async def test_a_batch_publishes_one_change_per_session(store: Any) -> None:
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
    evicted = [change.session_id for change in found if change.kind is ChangeKind.EVICTED]
    assert evicted == [session.session_id for session in sessions[:3]]


async def test_a_reader_continues_where_another_ended(store: Any) -> None:
    changes = store.changes()
    for _ in range(5):
        await store.save(make_session())
    seen = await read(changes, 2)
    again = store.changes(since=seen[-1].sequence)

    assert [change.sequence for change in await read(again, 3)] == [3, 4, 5]
    assert await read(store.changes(since=0), 5) == [*seen, *await read(changes, 3)]


async def test_a_change_that_is_no_longer_kept_is_an_error(make_store: Any) -> None:
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


async def test_changes_before_the_first_reader_are_not_kept(store: Any) -> None:
    await store.save(make_session())
    with pytest.raises(ChangesLostError):
        store.changes(since=0)
    changes = store.changes()
    await store.save(make_session())
    assert (await anext(changes)).sequence == 2


async def test_a_store_that_keeps_no_changes_numbers_them(make_store: Any) -> None:
    store = make_store(changes_kept=0)
    changes = store.changes()
    await store.save(make_session())
    with pytest.raises(ChangesLostError):
        await anext(changes)


async def test_waiting_readers_leave_nothing_behind(store: Any) -> None:
    readers = [asyncio.ensure_future(anext(store.changes())) for _ in range(10)]
    await asyncio.sleep(0)
    for reader in readers[:9]:
        reader.cancel()
    await asyncio.wait(readers[:9])
    await store.save(make_session())

    assert (await readers[9]).sequence == 1


async def test_a_reader_continues_after_a_cancelled_wait(store: Any) -> None:
    changes = store.changes()
    for number in range(1, 4):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.001)
        await store.save(make_session())
        assert (await asyncio.wait_for(anext(changes), HANG_SECONDS)).sequence == number


async def test_changes_committed_before_the_close_can_still_be_read(store: Any) -> None:
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
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # its loop is closed on purpose
    task.get_coro().close()


def test_a_reader_in_a_loop_that_ended_fails_no_write(make_store: Any) -> None:
    """The loop was closed while a task waited in it."""
    store, session = make_store(), make_session()
    changes = store.changes()

    async def begin() -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        return task

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(begin())
    loop.close()

    async def save_and_read() -> None:
        await store.save(session)
        assert session.revision == 1
        assert await anext(changes) == change_of(1, ChangeKind.SAVED, session)

    asyncio.run(save_and_read())
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # its loop is closed on purpose
    task.get_coro().close()


async def test_a_store_without_readers_keeps_no_changes(store: Any) -> None:
    """They are numbered all the same."""
    for _ in range(3):
        await store.save(make_session())
    assert feed_of(store) is None
    changes = store.changes()
    await store.save(make_session())

    assert [change.sequence for change in await read(changes, 1)] == [4]
    assert len(feed_of(store)) == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_reader_sees_the_same_changes_in_any_order_of_tasks(make_store: Any, seed: int) -> None:
    """Each change follows the revision of the change before it."""
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
        versions: dict[Any, Change] = {}
        for change in logs[0]:
            before = versions.pop(change.session_id, None)
            if change.kind is ChangeKind.SAVED:
                assert change.revision == (1 if before is None else before.revision + 1)
                versions[change.session_id] = change
            else:
                assert before is not None
                assert (change.revision, change.stamp) == (before.revision, before.stamp)

    run_interleaved(main(), seed)


@pytest.mark.parametrize("since", [1, 10**30])
def test_a_sequence_that_was_never_reached_is_refused(store: Any, since: int) -> None:
    """For example one that another process had reached."""
    with pytest.raises(ChangesLostError):
        store.changes(since=since)


async def test_a_reader_can_be_closed(store: Any) -> None:
    async with aclosing(store.changes()) as changes:
        await store.save(make_session())
        assert (await anext(changes)).sequence == 1
    await store.save(make_session())
    with pytest.raises(StopAsyncIteration):
        await anext(changes)
