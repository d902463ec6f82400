"""Chosen ids whose hashes collide cost nothing, and the garbage collector visits no packed session.

Nothing is timed here: the tests show that the objects that would take the time do not exist.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from uuid import UUID
from weakref import ReferenceType, WeakKeyDictionary, WeakValueDictionary

import pytest
from pydantic_core import SchemaSerializer, SchemaValidator

from sessiondex import InMemorySessionStore
from sessiondex.engine.sharded_dict import ShardedDict
from sessiondex.schema import Declaration
from sessiondex.snapshots.compiled import UUIDCache
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, NotedSession, TaggedSession, at_step

# What a store does not own: code, classes, loops, and what pydantic compiled.
_NOT_OWNED = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    asyncio.AbstractEventLoop,
    SchemaSerializer,
    SchemaValidator,
    UUIDCache,  # bounded
    WeakKeyDictionary,  # registries of classes, by numbers that the codec counts
    WeakValueDictionary,
)


_OWN_KEYS = (type, ReferenceType, Declaration)
"""Classes, references to them, and declarations of indexes: users choose none of these."""


def owned(store: InMemorySessionStore) -> Iterator[Any]:
    """Yield every object that can be reached from the store and is its own."""
    seen, stack = {id(store)}, [store]
    while stack:
        found: Any = stack.pop()
        yield found
        for inner in gc.get_referents(found):
            if id(inner) not in seen and not isinstance(inner, _NOT_OWNED):
                seen.add(id(inner))
                stack.append(inner)


def colliding(count: int, residue: int = 5) -> list[UUID]:
    """Return ids that all have the same hash: that of an int is its remainder by a known prime."""
    return [UUID(int=residue + number * sys.hash_info.modulus) for number in range(1, count + 1)]


def test_ids_that_collide_do_not_as_bytes() -> None:
    """The premise: a `UUID` has a hash that anyone can compute, its bytes have a salted one."""
    ids = colliding(1_000)

    assert len({hash(session_id) for session_id in ids}) == 1
    assert len({hash(session_id.bytes) for session_id in ids}) == 1_000


@pytest.mark.parametrize("cache_size", [0, 10, 10_000])
async def test_ids_with_one_hash_are_keys_of_no_dict(make_indexed: Any, cache_size: int) -> None:
    """After all reads and saves, no dict or set of the store has a key that a user can make collide."""
    store = make_indexed(cache_size=cache_size)
    ids = colliding(100)
    sessions = [
        at_step(
            cls=cls,
            session_id=session_id,
            tenant_id=session_id,
            agent_id=session_id,
            customer_profile_id=session_id,
            active_scenario_id=session_id,
            active_scenario_version=number * sys.hash_info.modulus % 2**63,
        )
        for number, session_id in enumerate(ids)
        for cls in ((NotedSession, TaggedSession)[number % 2],)
    ]
    await store.load(sessions)
    for session in sessions:
        await store.save(session)
        version = session.active_scenario_version
        for _ in range(2):
            assert await store.get(session.session_id) == session
            assert await store.list_by_agent(session.tenant_id, session.agent_id) == [session]
            assert await store.list_by_customer(session.tenant_id, session.session_id) == [session]
            assert await store.get_many([session.session_id] * 2) == [session] * 2
            found = await store.find_sessions_by_step_hash(session.tenant_id, session.session_id, version, "hash-1")
            assert found == [session]
    await store.delete_many(ids[:10])

    keyed_by = {type(key) for container in owned(store) if isinstance(container, dict) for key in container}
    hashed = {type(key) for container in owned(store) if isinstance(container, set | frozenset) for key in container}
    assert bytes in keyed_by
    assert {kind for kind in keyed_by | hashed if not issubclass(kind, _OWN_KEYS)} == {bytes, str}


def shards_of(store: InMemorySessionStore) -> list[dict[bytes, Any]]:
    """Return every part of every sharded dict of the store: rows, and posting lists."""
    return [shard for found in owned(store) if isinstance(found, ShardedDict) for shard in found.shards]


async def filled(store: InMemorySessionStore, count: int) -> int:
    """Fill the store up to so many sessions, read them all, and return how many objects the collector would visit."""
    missing = count - store.stats().sessions
    for number in range(missing):
        session = at_step(
            cls=(NotedSession, TaggedSession)[number % 2],
            user_channel_id=f"user-{number}",
            customer_profile_id=CUSTOMER if number % 3 else UUID(int=number),
            variables={"items": [{"n": number}]},
        )
        if number % 2:
            await store.save(session)
        else:
            await store.load([session])
        found = await store.get(session.session_id)
        assert found is not None
        await store.save(found)
        for _ in range(2):
            await store.get(session.session_id)
    await store.list_by_agent(TENANT, AGENT, limit=count)
    await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1")
    gc.collect()
    return sum(map(gc.is_tracked, owned(store)))


async def test_the_collector_has_no_more_to_visit_of_many_sessions_than_of_few(make_indexed: Any) -> None:
    """Without a cache, ten times as many sessions are ten times as many bytes, and hardly an object more."""
    store = make_indexed(cache_size=0)
    few = await filled(store, 200)
    many = await filled(store, 2_000)

    assert many - few < 20
    shards = shards_of(store)
    assert sum(map(len, shards)) > 4_000
    if sys.version_info < (3, 14):  # which tracks every dict; what a shard holds is still not tracked
        assert not any(map(gc.is_tracked, shards))


async def test_the_collector_visits_no_more_live_sessions_than_the_cache_has(make_indexed: Any) -> None:
    store = make_indexed(cache_size=20)
    few = await filled(store, 200)
    many = await filled(store, 1_000)

    assert store.stats().cached_sessions == 20
    assert abs(many - few) < 100
