"""Law 19: an erasure repeats until a pass finds nothing, and lets others run in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.builders import CUSTOMER, OTHER_TENANT, TENANT, make_session

ERASURES: dict[str, Callable[[Any], Any]] = {
    "delete_by_tenant": lambda store: store.delete_by_tenant(TENANT),
    "delete_by_customer": lambda store: store.delete_by_customer(TENANT, CUSTOMER),
    "delete_by_channel": lambda store: store.delete_by_channel(TENANT, "webchat", "user-1"),
}


@pytest.mark.parametrize("name", ERASURES)
async def test_sessions_that_are_saved_meanwhile_are_erased_too(
    store: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("sessiondex.stores.slices.SLICE_SECONDS", -1)  # others run after each step
    await store.save_many([make_session(customer_profile_id=CUSTOMER) for _ in range(170)])
    others = [make_session(tenant_id=OTHER_TENANT, customer_profile_id=CUSTOMER) for _ in range(5)]
    await store.save_many(others)
    erasing = asyncio.ensure_future(ERASURES[name](store))
    for _ in range(6):
        await asyncio.sleep(0)
        assert not erasing.done()
        await store.save(make_session(customer_profile_id=CUSTOMER))

    assert await erasing == 170 + 6
    assert await store.list_by_tenant(TENANT) == []
    assert await store.list_by_tenant(OTHER_TENANT) == list(reversed(others))


@pytest.mark.parametrize("name", ERASURES)
async def test_a_callback_that_waits_gets_no_erased_session(make_store: Any, name: str) -> None:
    """`on_evict` is called for an evicted session before it is erased, or never."""
    seen: list[Any] = []
    store = make_store(max_sessions=1, on_evict=lambda session, _: seen.append(session.session_id))
    other = make_session(tenant_id=OTHER_TENANT, user_channel_id="user-2")
    for session in (other, make_session(customer_profile_id=CUSTOMER), make_session(customer_profile_id=CUSTOMER)):
        await store.save(session)
    await ERASURES[name](store)
    await store.aclose()  # which waits for the callbacks

    assert seen == [other.session_id]
