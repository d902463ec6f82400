"""Attacks on `restore` and `export`: equal stamps, and one id for two tenants. No session is lost or replaced."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessiondex import TenantMismatchError, copy_sessions
from tests.support.builders import AGENT, CUSTOMER, OTHER_TENANT, START, TENANT, Clock, make_session

SOURCE_SIZE = 500


async def merged(make_store: Any) -> Any:
    """Return a store with the sessions of two others, whose clocks showed the same times: each stamp comes twice."""
    target = make_store()
    for _ in range(2):
        clock = Clock()
        source = make_store(clock=clock)
        for _ in range(SOURCE_SIZE):
            await source.save(make_session(customer_profile_id=CUSTOMER))
            clock.move(microseconds=10)
        await copy_sessions(source, target)
    return target


async def exported(store: Any, limit: int) -> list[Any]:
    found, cursor = await store.export(limit=limit)
    while cursor is not None:
        page, cursor = await store.export(cursor=cursor, limit=limit)
        found += page
    return sorted(found, key=lambda session: session.session_id.bytes)


@pytest.mark.parametrize("page_size", [1, 7, 1_000])
async def test_merged_sessions_with_equal_stamps_are_all_listed(make_store: Any, page_size: int) -> None:
    """Iterators give each session once, with any page size, and counts equal the lists."""
    store = await merged(make_store)
    by_agent = [session async for session in store.iter_by_agent(TENANT, AGENT, page_size=page_size)]
    by_customer = [session async for session in store.iter_by_customer(TENANT, CUSTOMER, page_size=page_size)]

    for listed in (by_agent, by_customer):
        assert len({session.session_id for session in listed}) == len(listed) == 2 * SOURCE_SIZE
        assert len({session.last_activity_at for session in listed}) == 2 * SOURCE_SIZE
    assert await store.count_by_agent(TENANT, AGENT) == await store.count_by_customer(TENANT, CUSTOMER) == len(by_agent)


async def test_a_copy_of_a_copy_of_merged_sessions_is_identical(make_store: Any) -> None:
    """Copies have the same sessions with the same stamps and revisions, whatever the page size of the copy."""
    source = await merged(make_store)
    expected = await exported(source, 1_000)
    assert len(expected) == 2 * SOURCE_SIZE

    for page_size in (100, 7):
        copy = make_store()
        await copy_sessions(source, copy, page_size=page_size)
        assert await exported(copy, page_size) == expected
        source = copy


@pytest.mark.parametrize("order", [1, -1], ids=["the later first", "the later last"])
async def test_one_id_for_two_tenants_in_a_batch_is_refused(store: Any, order: int) -> None:
    """Nothing is restored then."""
    mine = make_session(last_activity_at=START, revision=1)
    theirs = mine.model_copy(
        update={"tenant_id": OTHER_TENANT, "last_activity_at": START - timedelta(minutes=1)}, deep=True
    )
    with pytest.raises(TenantMismatchError):
        await store.restore([mine, theirs][::order])

    assert await store.get(mine.session_id) is None
