"""An entry that leads to a session which is filed elsewhere by now: nobody finds the session by it.

So it is when a server lost the row of a session, and the session was saved anew: what it was filed under before, nobody
knew any more.
"""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import Channel, SessionStatus
from sessiondex.stores.redis import keys
from tests.support.builders import AGENT, CUSTOMER, OTHER_AGENT, OTHER_CUSTOMER, SCENARIO, TENANT, at_step, visit
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


async def refiled(make_redis: RedisStores, servers: Servers) -> tuple[Any, Any]:
    """Return a store, and a session that was lost, and then saved under other keys."""
    store, session = make_redis(), at_step(customer_profile_id=CUSTOMER)
    await store.save(session)
    row = keys.base(store._prefix, TENANT) + f"s:{session.session_id.hex}".encode()
    lost = Planted(servers, row)
    lost.client.delete(row)
    session.agent_id, session.customer_profile_id, session.user_channel_id = OTHER_AGENT, OTHER_CUSTOMER, "user-2"
    session.step_history = [visit("hash-2")]
    await store.save(session)
    return store, session


async def test_a_lost_session_that_is_saved_elsewhere(make_redis: RedisStores, servers: Servers) -> None:
    """Is found there, and not where it was; once that was asked for, its entries there are gone."""
    store, session = await refiled(make_redis, servers)
    found = {name: await query(store) for name, query in QUERIES.items()}
    await store.list_by_agent(TENANT, OTHER_AGENT)

    assert found == {"channel": None, "agent": [], "status": [], "customer": [], "step": []}
    assert await store.list_by_agent(TENANT, OTHER_AGENT) == [session]
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-2") == [session]


@pytest.mark.parametrize("name", QUERIES)
async def test_an_entry_of_another_time_hides_none(make_redis: RedisStores, servers: Servers, name: str) -> None:
    """Who asks for the latest, or for a page, gets those that are there."""
    store, lost = await refiled(make_redis, servers)
    session = at_step(customer_profile_id=CUSTOMER)
    await store.save(session)
    await store.save(lost)
    found = await QUERIES[name](store)
    await store.delete(session.session_id)
    for query in QUERIES.values():
        assert not await query(store)

    assert found == (session if name == "channel" else [session])
