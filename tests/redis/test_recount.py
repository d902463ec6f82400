"""What every test of this folder relies on: an index that is not as it should be is found when the test has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.builders import TENANT, at_step
from tests.support.redis.recount import Contents, contents, differences, row_of
from tests.support.redis.servers import OneServer
from tests.support.redis.stores import RedisStores

pytestmark = pytest.mark.parametrize("servers", ["standalone"], indirect=True)

BASE = f"{{{TENANT.hex}}}:"


def first(keys: Contents, kind: str) -> str:
    return next(key for key in sorted(keys) if key.startswith(BASE + kind))


SPOILS: dict[str, Callable[[Any, str, Contents], Any]] = {
    "an entry is gone": lambda client, prefix, keys: client.delete(prefix + first(keys, "a:")),
    "an entry is too many": lambda client, prefix, keys: client.zadd(prefix + first(keys, "u:"), {"0" * 32: 1}),
    "a stamp is another": lambda client, prefix, keys: client.zincrby(
        prefix + first(keys, "o:"), 1, next(iter(keys[first(keys, "o:")]))
    ),
    "a list is too many": lambda client, prefix, _: client.zadd(f"{prefix}{BASE}b:{'0' * 32}:idle", {"0" * 32: 1}),
    "a step is gone": lambda client, prefix, keys: client.delete(prefix + first(keys, "v:")),
    "a facet is gone": lambda client, prefix, keys: client.delete(prefix + first(keys, "f:")),
    "an age is gone": lambda client, prefix, keys: client.delete(prefix + first(keys, "t:")),
    "a facet is too many": lambda client, prefix, keys: client.sadd(prefix + first(keys, "f:"), "sms:-"),
    "a row is gone": lambda client, prefix, keys: client.delete(prefix + first(keys, "s:")),
    "all are not all": lambda client, prefix, _: client.delete(f"{prefix}{BASE}all"),
    "no locator": lambda client, prefix, keys: client.delete(prefix + next(key for key in keys if key[0] == "l")),
    "another's locator": lambda client, prefix, keys: client.set(
        prefix + next(key for key in keys if key[0] == "l"), f"{'0' * 32}:{2**52}"
    ),
    "an old locator": lambda client, prefix, keys: client.set(
        prefix + next(key for key in keys if key[0] == "l"), f"{TENANT.hex}:1"
    ),
    "a locator of nothing": lambda client, prefix, _: client.set(f"{prefix}l:{{{'0' * 32}}}", f"{TENANT.hex}:1"),
    "a turn that goes on": lambda client, prefix, _: client.set(f"{prefix}turn:{{{'0' * 32}}}", "token"),
    "an unknown tenant": lambda client, prefix, _: client.delete(f"{prefix}tenants"),
    "an early stamp": lambda client, prefix, _: client.hset(f"{prefix}{BASE}meta", "stamp", 1),
    "a gap in the changes": lambda client, prefix, _: client.hincrby(f"{prefix}feed", "sequence", 1),
}


@pytest.mark.parametrize("name", SPOILS)
async def test_what_is_spoilt_is_found(make_redis: RedisStores, servers: OneServer, name: str) -> None:
    """And told, key by key; once it is as it was, there is nothing to tell."""
    store = make_redis()
    store.changes()
    await store.save(at_step(customer_profile_id=TENANT))
    prefix, client = f"{store._prefix}:", servers.client()
    before = {key: client.dump(key) for key in client.keys()}  # noqa: SIM118  # it is a command
    assert not differences(servers, store._prefix)
    keys = {key.removeprefix(prefix): value for key, value in contents(servers).items()}

    SPOILS[name](client, prefix, keys)

    assert differences(servers, store._prefix)
    client.flushall()
    for key, value in before.items():
        client.restore(key, 0, value)


async def test_a_row_is_read_as_the_server_wrote_it(make_redis: RedisStores, servers: OneServer) -> None:
    """With long texts, of which a server keeps the length in another way."""
    store = make_redis()
    users = ["u" * size for size in (1, 31, 32, 255, 256, 65_535, 65_536)]
    for user in users:
        await store.save(at_step(user_channel_id=user))
    rows = [row_of(TENANT.hex, key[-32:], value) for key, value in contents(servers).items() if f"{BASE}s:" in key]

    assert sorted(row.entries[0] for row in rows) == sorted(f"o:webchat:{user}" for user in users)
