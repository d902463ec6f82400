"""Law 7 on a server that all tenants share: the calls and the walk of `tests.stores.test_canaries`, on Redis.

The contents of the server are checked too: a value with a tenant's mark must be under a key of that tenant.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any
from uuid import UUID

import pytest

from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore
from sessiondex.stores.redis.codec import SessionCodec
from sessiondex.stores.redis.tenant_client import Keyspace
from tests.stores import test_canaries as local
from tests.support.builders import Clock, NotedSession
from tests.support.redis.failures import failure
from tests.support.redis.internals import prefix_of
from tests.support.redis.planted_keys import Planted
from tests.support.redis.recount import contents
from tests.support.redis.servers import Servers
from tests.support.redis.stores import RedisStores
from tests.support.two_tenants import A, B, trace_in
from tests.support.two_tenants_walk import LeakError, Walk

SEED = int(os.environ.get("SESSIONDEX_SEED", "7"))
STEPS = 2_500


@pytest.fixture
def store(make_redis: RedisStores) -> Any:
    return make_redis(clock=Clock(), session_classes=[NotedSession])


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Record all log messages, including those of redis-py and asyncio."""
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("name", local.CALLS)
async def test_no_answer_shows_another_tenant(store: Any, name: str, logged: pytest.LogCaptureFixture) -> None:
    """No error, cause, log record or warning shows it either, and its sessions stay as they are."""
    await local.furnish(store)
    before = await local.all_of_b(store)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        answer, trace = await local.asked(store, name)

    assert trace is None
    assert all(trace_in(record, B) is None for record in logged.records)
    assert all(trace_in(warning.message, B) is None for warning in warned)
    assert await local.all_of_b(store) == before
    if name in local.FOUND:
        assert answer


async def test_the_answers_are_those_of_a_store_without_the_other_tenant(store: Any, make_redis: RedisStores) -> None:
    """The exception are calls with an id that the other tenant has: these raise."""
    await local.furnish(store)
    alone = make_redis(clock=Clock())
    for number in range(12):
        await alone.save(A.session(number, (Session, NotedSession)[number % 2]))
    await alone.save(A.session(1))
    for name in local.CALLS:
        if name in local.ERRORS:
            assert isinstance((await local.asked(store, name))[0], local.ERRORS[name]), name
        elif name not in {"repr", "stats"}:
            answer, expected = [(await local.asked(one, name))[0] for one in (store, alone)]
            assert local.bare(answer) == local.bare(expected), name


@pytest.mark.search
async def test_random_operations_of_two_tenants_do_not_interfere(store: Any, logged: pytest.LogCaptureFixture) -> None:
    """Each tenant sees exactly its own sessions, and no operation of the other changes them."""
    walk = Walk(store, SEED)
    await walk.go(STEPS)

    assert not [record for record in logged.records if trace_in(record, A) or trace_in(record, B)]
    assert sum(walk.done.values()) == STEPS
    assert min(walk.done.values()) > STEPS // 100, walk.done
    assert walk.refused > STEPS // 50


async def test_sessions_are_stored_under_keys_of_their_tenant(store: Any, servers: Servers) -> None:
    """No key of another tenant contains them."""
    await Walk(store, SEED).go(300)
    held = contents(servers)
    for marked in (A, B):
        where = [key for key, value in held.items() if marked.mark in repr((key, value))]

        assert where
        assert not [key for key in where if marked.tenant.hex not in key]


READS: dict[str, Any] = {
    "get": lambda store: store.get(A.id(101), tenant_id=A.tenant),
    "get without a tenant": lambda store: store.get(A.id(101)),
    "get_by_channel": lambda store: store.get_by_channel(A.tenant, "webchat", f"user-{A.mark}-1"),
    "list_by_agent": lambda store: store.list_by_agent(A.tenant, A.id(2)),
    "find": lambda store: store.find_sessions_by_step_hash(A.tenant, A.id(4), 1, f"hash-{A.mark}"),
    "export": lambda store: store.export(),
}


@pytest.mark.parametrize("name", READS)
async def test_a_row_under_the_key_of_another_tenant(make_redis: RedisStores, servers: Servers, name: str) -> None:
    """No store writes this. The session is withheld, and the error does not show it."""
    store = make_redis()
    for marked in (A, B):
        await store.save(marked.session(1))
    held = contents(servers)
    ours, theirs = (f"{prefix_of(store)}:{{{marked.tenant.hex}}}:s:{marked.id(101).hex}" for marked in (A, B))
    planted = Planted(servers, ours.encode())
    planted.client.set(planted.key, _head(held[ours]) + held[theirs].removeprefix(_head(held[theirs])))
    error = await failure(READS[name](store))
    planted.take_out()

    assert trace_in(error, B) is None


def _head(row: bytes) -> bytes:
    """Return the part of a row before the value."""
    return row[: 32 + int.from_bytes(row[24:28], "big")]


# -- controls: the checks find planted faults --


class ForgetsTheTenant(RedisSessionStore[Any]):
    async def get(self, session_id: Any, *, tenant_id: Any = None) -> Any:  # noqa: ARG002  # the contract's signature
        return await super().get(session_id)


class OneTenant(Keyspace):
    def of_tenant(self, _tenant_id: UUID) -> list[bytes]:
        return super().of_tenant(A.tenant)


class UncheckedCodec(SessionCodec[Any]):
    def decode(self, row: bytes, _tenant_id: UUID) -> Any:
        return self._load(row)


class MergesTheTenants(RedisSessionStore[Any]):
    """Stores all sessions under one tenant, and does not check the tenant of a row."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._codec, self._keyspace = UncheckedCodec((), ""), OneTenant("sessiondex", is_cluster=False)


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
@pytest.mark.parametrize("cls", [ForgetsTheTenant, MergesTheTenants])
async def test_the_walk_finds_a_leak(servers: Servers, cls: Any) -> None:
    async with cls(servers.url, clock=Clock()) as store:
        with pytest.raises(LeakError, match=rf"operation \d+ of seed {SEED}"):
            await Walk(store, SEED).go(STEPS)
    servers.flush()


@pytest.mark.parametrize("servers", ["standalone"], indirect=True)
async def test_the_trace_finds_a_leak_in_an_answer(servers: Servers) -> None:
    async with ForgetsTheTenant(servers.url, clock=Clock()) as store:
        await local.furnish(store)
        _, trace = await local.asked(store, "get")
    servers.flush()

    assert trace is not None
