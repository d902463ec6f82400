"""A value of a foreign type under a key of the store: a save or delete that meets it changes nothing.

Redis does not roll back a function that fails. So functions check the types of all keys before the first write.
"""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from sessiondex import Indexed, Session, SessionStatus
from sessiondex.stores.redis import keys
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_CUSTOMER,
    SCENARIO,
    TENANT,
    at_step,
    make_session,
    visit,
)
from tests.support.redis.failures import failure
from tests.support.redis.internals import feed_base_of, prefix_of
from tests.support.redis.planted_keys import Planted
from tests.support.redis.recount import contents
from tests.support.redis.servers import Servers
from tests.support.redis.stores import RedisStores


class Ticket(Session):
    email: Annotated[str, Indexed()] = "ann@example.org"


VERSION = SCENARIO.bytes + b"%016x:"
CURRENT_KEYS = {
    "row": b"s:{id}",
    "fence": b"fence:{id}",
    "identity": b"c:\x07webchatuser-1",
    "agent and status": b"a:" + AGENT.bytes + b"active",
    "customer": b"u:" + CUSTOMER.bytes,
    "tenant and status": b"w:active",
    "own field": b"x:\0\x05emailsann@example.org",
    "all": b"all",
    "version": b"v:" + VERSION % 1,
    "step": b"f:" + VERSION % 1 + b":hash-1",
    "facet": b"t:" + VERSION % 1 + b":6:hash-1:7:webchat:+pay",
}
"""Keys that contain the stored session."""
NEW_KEYS = {
    "its identity": b"c:\x07webchatuser-2",
    "its closed identity": b"c:\xff\x07webchatuser-2",
    "its agent and status": b"a:" + OTHER_AGENT.bytes + b"active",
    "its customer": b"u:" + OTHER_CUSTOMER.bytes,
    "its own field": b"x:\0\x05emailsbob@example.org",
    "its version": b"v:" + VERSION % 2,
    "its step": b"f:" + VERSION % 2 + b":hash-2",
    "its facet": b"t:" + VERSION % 2 + b":6:hash-2:7:webchat:+ask",
    "the last stamp": b"meta",
}
"""Keys that contain the session after it was changed."""
FEED = {"the feed": "feed", "the changes": "changes"}


def changed(session: Any, name: str) -> Any:
    """Return the session with other index keys."""
    return session.model_copy(
        update={
            "user_channel_id": "user-2",
            "agent_id": OTHER_AGENT,
            "customer_profile_id": OTHER_CUSTOMER,
            "email": "bob@example.org",
            "active_scenario_version": 2,
            "step_history": [visit("hash-2", "ask")],
            "status": SessionStatus.CLOSED if "closed" in name else SessionStatus.ACTIVE,
        }
    )


def key_of(store: Any, name: str, session: Any) -> bytes:
    if name in FEED:
        return bytes(feed_base_of(store, TENANT)) + FEED[name].encode()
    kinds = CURRENT_KEYS | NEW_KEYS
    return keys.base(prefix_of(store), TENANT) + kinds[name].replace(b"{id}", session.session_id.hex.encode())


async def prepared(make_redis: RedisStores) -> tuple[Any, Any]:
    """Return a store that keeps changes, and a session in it."""
    store, session = make_redis(), at_step(cls=Ticket, customer_profile_id=CUSTOMER)
    store.changes(tenant_id=TENANT)
    await store.save(session)
    return store, session


@pytest.mark.parametrize("name", [*CURRENT_KEYS, *NEW_KEYS, *FEED])
async def test_a_save_that_meets_a_foreign_value(make_redis: RedisStores, servers: Servers, name: str) -> None:
    """It raises and changes nothing, whichever key has the value: a current key, a new one, or the feed."""
    store, session = await prepared(make_redis)
    planted = Planted(servers, key_of(store, name, session))
    held = contents(servers)
    given = changed(session, name)
    error = await failure(store.save(given))
    after = contents(servers)
    planted.take_out()

    assert (
        error.reason
        == "it holds something else under a key of this store (WRONGTYPE); give the store a prefix of its own"
    )
    assert not error.is_outcome_unknown
    assert after == held
    assert (given.revision, given.last_activity_at) == (1, session.last_activity_at)
    await store.save(given)


@pytest.mark.parametrize("name", [*CURRENT_KEYS, *FEED])
@pytest.mark.parametrize("is_many", [False, True])
async def test_a_delete_that_meets_a_foreign_value(
    make_redis: RedisStores, servers: Servers, name: str, *, is_many: bool
) -> None:
    """It raises and deletes nothing, of one session or of several."""
    store, session = await prepared(make_redis)
    others = [make_session() for _ in range(3)] if is_many else []
    for other in others:
        await store.save(other)
    planted = Planted(servers, key_of(store, name, session))
    held = contents(servers)
    ids = [one.session_id for one in (*others, session)]
    error = await failure(store.delete_many(ids, tenant_id=TENANT))
    after = contents(servers)
    planted.take_out()

    assert "WRONGTYPE" in error.reason
    assert not error.is_outcome_unknown
    assert after == held
    assert await store.delete_many(ids, tenant_id=TENANT) == len(ids)


async def test_a_batch_that_meets_a_foreign_value(make_redis: RedisStores, servers: Servers) -> None:
    """None of its sessions is saved."""
    store, session = await prepared(make_redis)
    planted = Planted(servers, key_of(store, "its customer", session))
    held = contents(servers)
    given = [make_session(), changed(session, ""), make_session()]
    error = await failure(store.save_many(given))
    await store.aclose()  # waits until the claims are released
    after = contents(servers)
    planted.take_out()

    assert "WRONGTYPE" in error.reason
    assert {key: value for key, value in after.items() if ":fence:" not in key} == held
    assert [one.revision for one in given] == [0, 1, 0]


@pytest.mark.parametrize("value", [b"", b"no row", b"\0" * 27, b"\xff" * 40])
async def test_a_malformed_row(make_redis: RedisStores, servers: Servers, value: bytes) -> None:
    """Writes that read it raise, and change nothing."""
    store, session = await prepared(make_redis)
    planted = Planted(servers, key_of(store, "row", session))
    planted.client.set(planted.key, value)
    held = contents(servers)
    errors = [await failure(call) for call in (store.save(session), store.delete(session.session_id, tenant_id=TENANT))]
    after = contents(servers)
    planted.take_out()

    assert not any(error.is_outcome_unknown for error in errors)
    assert after == held
