"""Every method of the Redis store refuses a second running loop, a closed store, and a store of before a fork."""

from __future__ import annotations

import os

import pytest

from sessiondex.stores.redis import RedisSessionStore
from tests.support.builders import TENANT, IndexedSession
from tests.support.every_method import (
    CALLS,
    Call,
    check_a_closed_store_refuses,
    check_a_second_loop_is_refused,
    check_process,
    fork_and_call,
)
from tests.support.redis.servers import OneServer
from tests.support.redis.stores import RedisStores

ALL_CALLS: dict[str, Call] = {
    **CALLS,
    "changes of a tenant": lambda store, _: anext(store.changes(tenant_id=TENANT)),
}

each_method = pytest.mark.parametrize("name", ALL_CALLS)


@pytest.fixture
def servers(standalone: OneServer) -> OneServer:
    return standalone


@each_method
async def test_a_second_running_loop_is_refused(make_redis: RedisStores, name: str) -> None:
    """Nothing changes, and the store goes on in its own loop."""
    await check_a_second_loop_is_refused(make_redis(session_classes=[IndexedSession]), ALL_CALLS[name])


@each_method
async def test_a_closed_store_refuses_all_but_aclose_and_health_check(make_redis: RedisStores, name: str) -> None:
    await check_a_closed_store_refuses(make_redis(session_classes=[IndexedSession]), name, ALL_CALLS[name])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_store_of_before_a_fork_is_refused_in_the_child(servers: OneServer) -> None:
    """By every method, in the parent's loop and in a new one, without hanging. The parent's store goes on."""
    check_process(f"from {__name__} import fork_and_call_all; fork_and_call_all({servers.url!r})")
    servers.flush()


def fork_and_call_all(url: str) -> None:
    """Do what `fork_and_call` does, on a server."""
    fork_and_call(lambda: RedisSessionStore(url, session_classes=[IndexedSession]), ALL_CALLS)
