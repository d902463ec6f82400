"""Stamps, revisions and change numbers go on across restarts, and so do expiry and the limit of sessions."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sessiondex import ChangeKind, ChangesLostError, EvictionReason, InMemorySessionStore
from sessiondex.stores.sqlite import SQLiteJournal, database
from sessiondex.stores.sqlite.database import STAMPS_AHEAD
from tests.support.builders import START, TENANT, Clock, make_session
from tests.support.stores import check_indexes

HOUR = timedelta(hours=1)


async def restart(make_store: Any, store: Any, **options: Any) -> Any:
    """Close the store, and return one on the same file."""
    await store.aclose()
    return await make_store(store.journal.path, **options)


async def crash(make_store: Any, store: Any, **options: Any) -> Any:
    """Return a store on what a kill would have left of the file after a flush."""
    await store.journal.flush()
    path: Path = store.journal.path
    copy = path.with_name(f"after-{path.name}")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return await make_store(copy, **options)


both_ends = pytest.mark.parametrize("end", [restart, crash])


@both_ends
async def test_what_was_saved_comes_back_with_its_version(make_store: Any, end: Any) -> None:
    store, session = await make_store(), make_session()
    for _ in range(3):
        await store.save(session)
    store = await end(make_store, store)
    found = await store.get(session.session_id)
    assert found == session
    assert found.revision == 3

    await store.save(found, expected_revision=3)
    assert found.revision == 4


@both_ends
async def test_stamps_go_on_though_the_clock_went_back(make_store: Any, end: Any) -> None:
    """Even if the newest session was deleted, so that nothing stored has the last stamp."""
    clock = Clock()
    store = await make_store(clock=clock)
    session, other = make_session(), make_session()
    await store.save(session)
    clock.move(hours=1)
    await store.save(other)
    await store.delete(other.session_id)
    clock.move(hours=-2)
    store = await end(make_store, store, clock=clock)
    await store.save(session)

    assert other.last_activity_at < session.last_activity_at
    ahead = session.last_activity_at - other.last_activity_at
    assert ahead <= timedelta(microseconds=STAMPS_AHEAD + 1)


async def test_an_orderly_restart_wastes_no_stamp(make_store: Any) -> None:
    clock = Clock()
    store, session = await make_store(clock=clock), make_session()
    for _ in range(3):
        await store.save(session)
        store = await restart(make_store, store, clock=clock)
    await store.save(session)

    assert session.last_activity_at == START + timedelta(microseconds=3)


async def test_a_reader_of_changes_goes_on_after_an_orderly_restart(make_store: Any) -> None:
    store, session = await make_store(), make_session()
    reader = store.changes()
    await store.save(session)
    last = (await anext(reader)).sequence
    store = await restart(make_store, store)
    reader = store.changes(since=last)
    await store.delete(session.session_id)
    change = await anext(reader)

    assert (change.sequence, change.kind) == (last + 1, ChangeKind.DELETED)


@both_ends
async def test_a_reader_that_missed_changes_learns_it(make_store: Any, end: Any) -> None:
    """Never gets other changes under numbers that it knows."""
    store, session = await make_store(), make_session()
    reader = store.changes()
    await store.save(session)
    last = (await anext(reader)).sequence
    await store.save(session)
    store = await end(make_store, store)
    for since in (last, last - 1):
        with pytest.raises(ChangesLostError):
            store.changes(since=since)
    await store.save(session)
    with pytest.raises(ChangesLostError):
        store.changes(since=last)


async def test_numbers_that_a_crash_lost_are_not_given_again(make_store: Any) -> None:
    store, session = await make_store(), make_session()
    await store.save(session)
    lost = await crash(make_store, store)  # of what follows, nothing is there
    reader = store.changes()
    await store.save(session)
    last = (await anext(reader)).sequence

    with pytest.raises(ChangesLostError):
        lost.changes(since=last)


async def test_numbers_that_nothing_on_disk_has_are_not_given_again(tmp_path: Path) -> None:
    """A reader saw a change that a crash then lost, before anything was written."""
    journal = SQLiteJournal(tmp_path / "sessions.db", durability="batched", flush_interval=timedelta(hours=1))
    async with InMemorySessionStore[Any](journal=journal) as store:
        reader = store.changes()
        await store.save(make_session())
        last = (await anext(reader)).sequence
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"sessions.db{suffix}", tmp_path / f"copy.db{suffix}")
    async with InMemorySessionStore[Any](journal=SQLiteJournal(tmp_path / "copy.db")) as store:
        await store.save(make_session())
        with pytest.raises(ChangesLostError):
            store.changes(since=last)


async def test_numbers_are_reserved_further_as_the_store_goes_on(
    make_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No change after a crash gets a number of one before it, even if there were more than were reserved at first."""
    monkeypatch.setattr(database, "NUMBERS_AHEAD", 4)
    store, session = await make_store(), make_session()
    reader, last = store.changes(), 0
    for _ in range(9):
        await store.save(session)
        await store.journal.flush()
        last = (await anext(reader)).sequence
    store = await crash(make_store, store)
    reader = store.changes()
    await store.save(session)

    assert (await anext(reader)).sequence > last


@both_ends
async def test_what_expired_in_between_is_gone_and_reported(make_store: Any, end: Any) -> None:
    clock, evicted = Clock(), list[Any]()
    store = await make_store(clock=clock)  # without `idle_ttl`, so that only the next store evicts
    old, new = make_session(), make_session()
    await store.save(old)
    clock.move(minutes=50)
    await store.save(new)
    clock.move(minutes=20)
    store = await end(
        make_store,
        store,
        clock=clock,
        idle_ttl=HOUR,
        on_evict=lambda session, reason: evicted.append((session.session_id, reason)),
    )
    assert await store.get(old.session_id) is None
    assert await store.get(new.session_id) == new
    assert store.stats().sessions == 1
    await store.aclose()
    assert evicted == [(old.session_id, EvictionReason.IDLE)]

    store = await make_store(store.journal.path)
    assert await store.count_by_tenant(TENANT) == 1


@both_ends
async def test_the_limit_of_sessions_is_that_of_the_present_store(make_store: Any, end: Any) -> None:
    evicted = list[Any]()
    store, sessions = await make_store(), [make_session() for _ in range(10)]
    for session in sessions:
        await store.save(session)
    store = await end(make_store, store, max_sessions=4, on_evict=lambda session, _: evicted.append(session.session_id))
    found = await store.list_by_tenant(TENANT, limit=100)
    assert found == sessions[:5:-1]
    check_indexes(store)
    await store.aclose()
    assert evicted == [session.session_id for session in sessions[:6]]

    store = await make_store(store.journal.path)
    assert await store.count_by_tenant(TENANT) == 4


async def test_what_is_touched_keeps_its_new_stamp(make_store: Any) -> None:
    store, session = await make_store(), make_session()
    await store.save(session)
    await store.touch(session.session_id)
    touched = await store.get(session.session_id)
    assert touched.last_activity_at > session.last_activity_at
    store = await restart(make_store, store)

    assert await store.get(session.session_id) == touched


async def test_an_update_from_before_a_restart_conflicts_if_the_session_was_replaced(make_store: Any) -> None:
    """Revisions go on with the session, and begin again with another one of its id."""
    store, session = await make_store(), make_session()
    await store.save(session)
    await store.delete(session.session_id)
    await store.save(session)
    assert session.revision == 1
    store = await restart(make_store, store)

    assert (await store.get(session.session_id)).revision == 1
