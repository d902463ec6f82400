"""Law 19 on a server: an erasure leaves no key with contents, and a tenant is registered again afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.builders import CUSTOMER, OTHER_TENANT, TENANT, at_step, make_session
from tests.support.redis.internals import prefix_of, registered_tenants
from tests.support.redis.planted_keys import has_key
from tests.support.redis.recount import contents
from tests.support.redis.servers import Servers
from tests.support.waiting import until

LEFT_FOR_AN_HOUR = ("fence:", "meta")
"""Keys of a tenant without contents: tokens by which late saves are refused, and the last stamp."""


def kinds_of(servers: Servers, store: Any) -> set[str]:
    """Return the keys of the erased tenant but those of its change feed, and the locators of the store."""
    prefix, tenant = f"{prefix_of(store)}:", f"{{{TENANT.hex}}}:"
    names = {key.removeprefix(prefix) for key in contents(servers) if key.startswith(prefix)}
    of_tenant = {name.removeprefix(tenant) for name in names if name.startswith(tenant)}
    return {name for name in names if name.startswith("l:")} | of_tenant - {"feed", "changes"}


async def test_an_erased_tenant_leaves_nothing_readable(make_redis: Any, servers: Servers) -> None:
    store = make_redis()
    await store.save_many([at_step(customer_profile_id=CUSTOMER) for _ in range(250)])
    assert await store.delete_by_tenant(TENANT) == 250
    left = kinds_of(servers, store)

    assert left
    assert all(name.startswith(LEFT_FOR_AN_HOUR) for name in left)
    assert await registered_tenants(store) == []
    for node in servers.nodes:
        for key in node.client().scan_iter(match=f"{prefix_of(store)}:{{{TENANT.hex}}}:[fm]e*", count=1_000):
            if key.endswith(b"feed"):
                continue
            assert 0 < node.client().ttl(key) <= 3_600


async def test_a_save_after_an_erasure_begins_anew(make_redis: Any, servers: Servers) -> None:
    """The tenant is registered again, stamps go on, and the last stamp stays as long as there are sessions."""
    store, first, second = make_redis(), make_session(), make_session()
    await store.save(first)
    await store.delete_by_tenant(TENANT)
    await store.save(second)

    assert second.last_activity_at > first.last_activity_at
    assert second.revision == 1
    assert await registered_tenants(store) == [TENANT]
    meta = f"{prefix_of(store)}:{{{TENANT.hex}}}:meta".encode()
    assert [node.client().ttl(meta) for node in servers.nodes if has_key(node, meta)] == [-1]


async def test_sessions_of_others_stay(make_redis: Any) -> None:
    store, other = make_redis(), make_session(tenant_id=OTHER_TENANT, customer_profile_id=CUSTOMER)
    mine = [make_session(customer_profile_id=CUSTOMER), make_session(user_channel_id="user-2")]
    await store.save_many([other, *mine])

    assert await store.delete_by_customer(TENANT, CUSTOMER) == 1
    assert await store.delete_by_channel(TENANT, "webchat", "user-2") == 1
    assert await store.list_by_tenant(TENANT) == []
    assert await store.list_by_tenant(OTHER_TENANT) == [other]


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_callback_that_waits_gets_no_erased_session(make_redis: Any, *, is_whole: bool) -> None:
    """The first callback has begun before the erasure, and holds up the others."""
    seen: list[Any] = []
    may_end = asyncio.Event()

    async def on_evict(session: Any, _: Any) -> None:
        seen.append(session.session_id)
        await may_end.wait()

    store = make_redis(max_sessions=1, on_evict=on_evict)
    sessions = [make_session(customer_profile_id=CUSTOMER) for _ in range(3)]
    for session in sessions:
        await store.save(session)
    await until(lambda: seen)
    erased = await (store.delete_by_tenant(TENANT) if is_whole else store.delete_by_customer(TENANT, CUSTOMER))
    may_end.set()
    await store.aclose()  # which waits for the callbacks

    assert erased == 1
    assert seen == [sessions[0].session_id]
