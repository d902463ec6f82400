"""Check the recomputation at the end of each test: it finds every kind of wrong index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.support.builders import TENANT, at_step
from tests.support.redis.internals import prefix_of
from tests.support.redis.recount import Contents, contents, differences, row_of
from tests.support.redis.servers import HOST, OneServer
from tests.support.redis.stores import RedisStores

pytestmark = pytest.mark.parametrize("servers", ["standalone"], indirect=True)

BASE = f"{{{TENANT.hex}}}:"


def first(keys: Contents, kind: str) -> str:
    return next(key for key in sorted(keys) if key.startswith(BASE + kind))


FAULTS: dict[str, Callable[[Any, str, Contents], Any]] = {
    "a list is missing": lambda client, prefix, keys: client.delete(prefix + first(keys, "a:")),
    "a list has an extra entry": lambda client, prefix, keys: client.zadd(prefix + first(keys, "u:"), {"0" * 32: 1}),
    "an entry has another stamp": lambda client, prefix, keys: client.zincrby(
        prefix + first(keys, "c:"), 1, next(iter(keys[first(keys, "c:")]))
    ),
    "an extra list": lambda client, prefix, _: client.zadd(f"{prefix}{BASE}w:idle", {"0" * 32: 1}),
    "a version has no steps": lambda client, prefix, keys: client.delete(prefix + first(keys, "v:")),
    "a step has no facets": lambda client, prefix, keys: client.delete(prefix + first(keys, "f:")),
    "a facet has no sessions": lambda client, prefix, keys: client.delete(prefix + first(keys, "t:")),
    "a step has an extra facet": lambda client, prefix, keys: client.sadd(prefix + first(keys, "f:"), "sms:-"),
    "a row is missing": lambda client, prefix, keys: client.delete(prefix + first(keys, "s:")),
    "the list of all sessions is missing": lambda client, prefix, _: client.delete(f"{prefix}{BASE}all"),
    "a locator is missing": lambda client, prefix, keys: client.delete(
        prefix + next(key for key in keys if key[0] == "l")
    ),
    "a locator names another tenant": lambda client, prefix, keys: client.set(
        prefix + next(key for key in keys if key[0] == "l"), f"{'0' * 32}:{2**52}"
    ),
    "a locator has an old token": lambda client, prefix, keys: client.set(
        prefix + next(key for key in keys if key[0] == "l"), f"{TENANT.hex}:1"
    ),
    "a locator without a session": lambda client, prefix, _: client.set(f"{prefix}l:{{{'0' * 32}}}", f"{TENANT.hex}:1"),
    "a lock that is owned": lambda client, prefix, _: client.set(f"{prefix}lock:{{{'0' * 32}}}", "token"),
    "a tenant is not registered": lambda client, prefix, _: client.delete(f"{prefix}tenants"),
    "the last stamp is too early": lambda client, prefix, _: client.hset(f"{prefix}{BASE}meta", "stamp", 1),
    "a gap in the changes": lambda client, prefix, _: client.hincrby(f"{prefix}feed", "sequence", 1),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_found(make_redis: RedisStores, servers: OneServer, name: str) -> None:
    """There are differences while the fault is planted, and none before."""
    store = make_redis()
    store.changes()
    await store.save(at_step(customer_profile_id=TENANT))
    # Names of keys are bytes, which this client takes as text.
    prefix, client = f"{prefix_of(store)}:", redis.Redis(HOST, servers.port, protocol=2, encoding="latin-1")
    before: dict[Any, Any] = {key: client.dump(key) for key in client.keys()}  # noqa: SIM118  # it is a command
    assert not differences(servers, prefix_of(store))
    keys = {key.removeprefix(prefix): value for key, value in contents(servers).items()}

    FAULTS[name](client, prefix, keys)

    assert differences(servers, prefix_of(store))
    client.flushall()
    for key, value in before.items():
        client.restore(key, 0, value)


async def test_rows_with_index_keys_of_any_length(make_redis: RedisStores, servers: OneServer) -> None:
    """The check reads them as the server wrote them."""
    store = make_redis()
    users = ["u" * size for size in (1, 31, 32, 255, 256, 65_535, 65_536)]
    for user in users:
        await store.save(at_step(user_channel_id=user))
    rows = [row_of(TENANT.hex, key[-32:], value) for key, value in contents(servers).items() if f"{BASE}s:" in key]

    assert sorted(row.lists[0] for row in rows) == sorted(f"c:\x07webchat{user}" for user in users)
