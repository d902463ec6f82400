"""Laws 15 and 16: pages by an exact cursor, and counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sessiondex import InvalidArgumentError, SessionStatus
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_CUSTOMER,
    OTHER_SCENARIO,
    OTHER_TENANT,
    SCENARIO,
    START,
    TENANT,
    NotedSession,
    at_step,
    make_session,
)


async def filled(store: Any, count: int, **fields: Any) -> list[Any]:
    """Return so many sessions that were saved, the newest first."""
    defaults = {"cls": NotedSession, "note": "same", "customer_profile_id": CUSTOMER}
    sessions = [make_session(**{**defaults, **fields}) for _ in range(count)]
    await store.save_many(sessions)
    return sessions[::-1]


OTHERS: dict[str, Any] = {
    "agent_id": OTHER_AGENT,
    "customer_profile_id": OTHER_CUSTOMER,
    "user_channel_id": "other",
    "status": SessionStatus.IDLE,
    "note": "other",
}
"""Fields of sessions that none of these lists has."""

LISTS: list[Any] = [
    lambda store, **arguments: store.list_by_agent(TENANT, AGENT, **arguments),
    lambda store, **arguments: store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE, **arguments),
    lambda store, **arguments: store.list_by_customer(TENANT, CUSTOMER, **arguments),
    lambda store, **arguments: store.list_by_customer(TENANT, CUSTOMER, status=SessionStatus.ACTIVE, **arguments),
    lambda store, **arguments: store.list_by_tenant(TENANT, status=SessionStatus.ACTIVE, **arguments),
    lambda store, **arguments: store.list_by_channel(TENANT, "webchat", "user-1", **arguments),
    lambda store, **arguments: store.list_by_field(TENANT, "note", "same", **arguments),
]
ITERATORS: list[Any] = [
    lambda store, **arguments: store.iter_by_agent(TENANT, AGENT, **arguments),
    lambda store, **arguments: store.iter_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE, **arguments),
    lambda store, **arguments: store.iter_by_customer(TENANT, CUSTOMER, **arguments),
    lambda store, **arguments: store.iter_by_customer(TENANT, CUSTOMER, status=SessionStatus.ACTIVE, **arguments),
    lambda store, **arguments: store.iter_by_tenant(TENANT, status=SessionStatus.ACTIVE, **arguments),
    lambda store, **arguments: store.iter_by_channel(TENANT, "webchat", "user-1", **arguments),
    lambda store, **arguments: store.iter_by_field(TENANT, "note", "same", **arguments),
]


@pytest.mark.parametrize("listed", LISTS)
@pytest.mark.parametrize(("total", "size"), [(0, 3), (3, 3), (100, 7), (70, 1), (200, 64)])
async def test_pages_are_the_list_in_parts(make_store: Any, listed: Any, total: int, size: int) -> None:
    store = make_store(session_classes=[NotedSession])
    sessions = await filled(store, total)
    await filled(store, 5, **OTHERS)
    pages, before = [], None
    while page := await listed(store, limit=size, before=before):
        pages.append(page)
        before = page[-1].last_activity_at

    assert [session for page in pages for session in page] == sessions
    assert all(len(page) == size for page in pages[:-1])


@pytest.mark.parametrize("listed", LISTS)
async def test_a_cursor_is_exact_whatever_became_of_its_session(store: Any, listed: Any) -> None:
    sessions = await filled(store, 50)
    cursor = sessions[9].last_activity_at
    await store.save(sessions[9].model_copy())
    await store.delete(sessions[10].session_id)

    assert await listed(store, before=cursor) == sessions[11:]


@pytest.mark.parametrize("listed", LISTS)
async def test_cursors_bound_a_list_on_either_side(store: Any, listed: Any) -> None:
    """Neither of the two sessions is in it, it is newest first, and a limit cuts off the oldest."""
    sessions = await filled(store, 50)
    newest, oldest = sessions[9].last_activity_at, sessions[40].last_activity_at

    assert await listed(store, after=oldest) == sessions[:40]
    assert await listed(store, after=oldest, before=newest) == sessions[10:40]
    assert await listed(store, after=oldest, before=newest, limit=7) == sessions[10:17]
    assert (
        await listed(store, after=newest, before=oldest)
        == await listed(store, after=sessions[0].last_activity_at)
        == []
    )


@pytest.mark.parametrize("iterated", ITERATORS)
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_cursors_bound_an_iterator_on_either_side(store: Any, iterated: Any, size: int) -> None:
    sessions = await filled(store, 30)
    newest, oldest = sessions[4].last_activity_at, sessions[20].last_activity_at
    found = iterated(store, page_size=size, after=oldest, before=newest)

    assert [session async for session in found] == sessions[5:20]


@pytest.mark.parametrize("before", [START.replace(tzinfo=None), "2026-03-01", 1_700_000_000, START.date()])
@pytest.mark.parametrize("listed", LISTS)
async def test_an_odd_cursor_is_refused(make_store: Any, listed: Any, before: Any) -> None:
    store = make_store(session_classes=[NotedSession])
    for name in ("before", "after"):
        with pytest.raises(InvalidArgumentError) as caught:
            await listed(store, **{name: before})
        assert caught.value.argument == name


# -- iterators --


@pytest.mark.parametrize("iterated", ITERATORS)
@pytest.mark.parametrize("size", [1, 3, 10, 100])
async def test_an_iterator_goes_over_all_pages(store: Any, iterated: Any, size: int) -> None:
    sessions = await filled(store, 30)

    assert [session async for session in iterated(store, page_size=size)] == sessions


@pytest.mark.parametrize("iterated", ITERATORS)
@pytest.mark.parametrize("size", [1, 2, 7])
async def test_while_all_that_comes_is_saved_each_comes_once(store: Any, iterated: Any, size: int) -> None:
    sessions = await filled(store, 20)
    seen = []
    async for session in iterated(store, page_size=size):
        seen.append(session.session_id)
        session.turn_count += 1
        await store.save(session)

    assert seen == [session.session_id for session in sessions]


@pytest.mark.parametrize("size", [1, 4, 50])
async def test_others_may_write_meanwhile(store: Any, size: int) -> None:
    """None comes twice; none is left out but what was saved or deleted before it came."""
    sessions = await filled(store, 40)
    moved: set[Any] = set()
    gone: set[Any] = set()
    seen = []
    async for session in store.iter_by_agent(TENANT, AGENT, page_size=size):
        seen.append(session.session_id)
        if len(seen) % 3 == 0:
            late = sessions[-len(seen)]
            (moved if len(seen) % 2 else gone).add(late.session_id)
            await (store.save(late) if len(seen) % 2 else store.delete(late.session_id))
            await filled(store, 1)

    assert len(seen) == len(set(seen))
    assert {session.session_id for session in sessions} - set(seen) <= moved | gone


# -- counts --


async def test_counts_are_the_lengths_of_lists(store: Any) -> None:
    sessions = await filled(store, 70)
    for session in sessions[:20]:
        session.status = SessionStatus.IDLE
    await store.save_many(sessions[:20])
    await filled(store, 3, tenant_id=OTHER_TENANT)
    await store.delete_many([session.session_id for session in sessions[60:]])

    assert await store.count_by_agent(TENANT, AGENT) == 60
    assert await store.count_by_agent(TENANT, AGENT, status=SessionStatus.IDLE) == 20
    assert await store.count_by_agent(TENANT, AGENT, status=SessionStatus.CLOSED) == 0
    assert await store.count_by_agent(TENANT, OTHER_AGENT) == 0
    assert await store.count_by_customer(TENANT, CUSTOMER) == 60
    assert await store.count_by_customer(TENANT, CUSTOMER, status=SessionStatus.IDLE) == 20
    assert await store.count_by_tenant(TENANT) == 60
    assert await store.count_by_tenant(TENANT, status=SessionStatus.IDLE) == 20
    assert await store.count_by_tenant(OTHER_TENANT) == 3
    assert await store.count_by_channel(TENANT, "webchat", "user-1") == 60
    assert await store.count_by_channel(TENANT, "webchat", "user-2") == 0
    assert await store.count_by_field(TENANT, "note", "same") == 60
    assert await store.count_by_field(OTHER_TENANT, "note", "same") == 3
    assert await store.count_by_field(TENANT, "note", "other") == 0
    assert await store.count_by_customer(OTHER_TENANT, CUSTOMER) == 3
    assert await store.count_by_customer(TENANT, OTHER_CUSTOMER) == 0


async def test_steps_are_counted(store: Any) -> None:
    for content_hash, count in (("a", 3), ("b", 2), ("", 1), ("\u00e9:", 1)):
        await store.save_many([at_step(content_hash) for _ in range(count)])
    await store.save(at_step("a", active_scenario_version=2))
    await store.save(at_step("a", active_scenario_id=OTHER_SCENARIO))
    await store.save(at_step("a", tenant_id=OTHER_TENANT))
    await store.save(at_step("a", status=SessionStatus.IDLE))
    await store.save(at_step(None))
    moving = at_step("a")
    await store.save(moving)
    moving.step_history = at_step("b").step_history
    await store.save(moving)

    assert await store.count_steps(TENANT, SCENARIO, 1) == {"a": 3, "b": 3, "": 1, "\u00e9:": 1}
    assert await store.count_steps(TENANT, SCENARIO, 2) == {"a": 1}
    assert await store.count_steps(TENANT, SCENARIO, 3) == {}
    assert await store.count_steps(TENANT, SCENARIO, 10**30) == {}
    for content_hash, count in (("a", 3), ("b", 3), ("", 1), ("c", 0)):
        assert await store.count_by_step_hash(TENANT, SCENARIO, 1, content_hash) == count
        found = await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, content_hash)
        assert len(found) == count


async def test_other_tasks_run_between_pages(store: Any) -> None:
    await filled(store, 20)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count_turns())
    assert len([session async for session in store.iter_by_agent(TENANT, AGENT, page_size=2)]) == 20
    counting.cancel()

    assert turns >= 9
