"""An index entry of a session that now has other index keys: no query finds the session by it.

A server that loses the row of a session loses its old index keys too. A later save then leaves the old entries behind.
"""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import Channel, SessionStatus
from sessiondex.stores.redis import keys
from tests.support.builders import AGENT, CUSTOMER, OTHER_AGENT, OTHER_CUSTOMER, SCENARIO, TENANT, at_step, visit
from tests.support.redis.internals import prefix_of
from tests.support.redis.planted_keys import Planted
from tests.support.redis.servers import Servers
from tests.support.redis.stores import RedisStores

QUERIES: dict[str, Any] = {
    "channel": lambda store: store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
    "agent": lambda store: store.list_by_agent(TENANT, AGENT),
    "status": lambda store: store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
    "customer": lambda store: store.list_by_customer(TENANT, CUSTOMER),
    "step": lambda store: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
}


async def saved_elsewhere(make_redis: RedisStores, servers: Servers) -> tuple[Any, Any]:
    """Return a store, and a session that was lost, then saved with other index keys."""
    store, session = make_redis(), at_step(customer_profile_id=CUSTOMER)
    await store.save(session)
    row = keys.base(prefix_of(store), TENANT) + f"s:{session.session_id.hex}".encode()
    lost = Planted(servers, row)
    lost.client.delete(row)
    session.agent_id, session.customer_profile_id, session.user_channel_id = OTHER_AGENT, OTHER_CUSTOMER, "user-2"
    session.step_history = [visit("hash-2")]
    await store.save(session)
    return store, session


async def test_a_lost_session_that_is_saved_with_other_keys(make_redis: RedisStores, servers: Servers) -> None:
    """Queries find it under the new keys only. They remove the old entries."""
    store, session = await saved_elsewhere(make_redis, servers)
    found = {name: await query(store) for name, query in QUERIES.items()}
    await store.list_by_agent(TENANT, OTHER_AGENT)

    assert found == {"channel": None, "agent": [], "status": [], "customer": [], "step": []}
    assert await store.list_by_agent(TENANT, OTHER_AGENT) == [session]
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-2") == [session]


@pytest.mark.parametrize("name", QUERIES)
async def test_a_stale_entry_before_other_sessions(make_redis: RedisStores, servers: Servers, name: str) -> None:
    """It does not hide them from any query."""
    store, lost = await saved_elsewhere(make_redis, servers)
    session = at_step(customer_profile_id=CUSTOMER)
    await store.save(session)
    await store.save(lost)
    found = await QUERIES[name](store)
    await store.delete(session.session_id)
    for query in QUERIES.values():
        assert not await query(store)

    assert found == (session if name == "channel" else [session])
