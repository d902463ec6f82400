"""`touch` and saves with `touch=False`, beside `update`: what counts as a change, and what as activity."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex import ConflictError
from tests.support.builders import TENANT, make_session


async def saved(store: Any, **fields: Any) -> Any:
    session = make_session(**fields)
    await store.save(session)
    return session


async def test_an_update_is_not_failed_by_a_touch(store: Any) -> None:
    session, touched = await saved(store), []

    async def change(found: Any) -> None:
        found.turn_count += 1
        assert await store.touch(found.session_id)
        await asyncio.sleep(0)
        touched.append(await store.get(found.session_id))

    changed = await store.update(session.session_id, change, attempts=1)

    assert [one.revision for one in touched] == [1]
    assert session.last_activity_at < touched[0].last_activity_at < changed.last_activity_at
    assert (changed.turn_count, changed.revision) == (1, 2)
    assert await store.get(session.session_id) == changed


async def test_an_update_without_touch_keeps_the_stamp_of_a_touch_in_between(store: Any) -> None:
    session, other = await saved(store), await saved(store)

    async def change(found: Any) -> None:
        found.turn_count += 1
        await store.touch(found.session_id)

    changed = await store.update(session.session_id, change, attempts=1, touch=False)
    assert changed.last_activity_at > other.last_activity_at
    assert await store.list_by_tenant(TENANT) == [changed, other]
    unchanged = changed.last_activity_at
    changed = await store.update(session.session_id, lambda _: None, touch=False)

    assert (changed.last_activity_at, changed.revision) == (unchanged, 3)


async def replace_by_a_new_one(store: Any, session: Any, saves: int) -> None:
    """Delete the session, and save another one under its id as often as it was saved."""
    await store.delete(session.session_id)
    new = make_session(session_id=session.session_id, turn_count=10)
    for number in range(saves):
        await store.save(new, touch=number % 2 == 0)
    assert new.revision == session.revision


@pytest.mark.parametrize("saves", [1, 2, 3])
async def test_an_update_fails_if_the_session_was_deleted_and_saved_anew_as_often(store: Any, saves: int) -> None:
    session = make_session()
    for _ in range(saves):
        await store.save(session)

    async def change(found: Any) -> None:
        await replace_by_a_new_one(store, found, saves)
        found.turn_count += 1

    with pytest.raises(ConflictError) as caught:
        await store.update(session.session_id, change, attempts=1)

    assert (caught.value.expected, caught.value.actual) == (saves, saves)
    assert (await store.get(session.session_id)).turn_count == 10


async def test_an_update_starts_over_if_the_session_was_deleted_and_saved_anew_as_often(store: Any) -> None:
    """And changes the new one. A touch of it does not hide that it is another one."""
    session, seen = await saved(store, turn_count=1), []

    async def change(found: Any) -> None:
        seen.append(found.turn_count)
        if len(seen) == 1:
            await store.touch(found.session_id)
            await replace_by_a_new_one(store, found, 1)
            await store.touch(found.session_id)
        found.turn_count += 1

    changed = await store.update(session.session_id, change)

    assert seen == [1, 10]
    assert (changed.turn_count, changed.revision) == (11, 2)
