"""Attacks on the loop and on memory: large sessions, and classes that are created at run time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable
from typing import Any

import pytest

from sessiondex import Session
from tests.support.builders import AGENT, CUSTOMER, TENANT, at_step, make_session

COUNT = 100  # the default limit of lists
MIN_TURNS = 5


def make_large_session() -> Any:
    """Return a session of 482 KB as JSON."""
    variables = {f"key {number}": [number, "x" * 600] for number in range(770)}
    session = at_step(customer_profile_id=CUSTOMER, variables=variables)
    assert 470_000 < len(session.model_dump_json()) < 500_000
    return session


async def count_turns(work: Awaitable[Any]) -> int:
    """Return how many turns of the loop another task has while the work is done."""
    task, turns = asyncio.ensure_future(work), 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    return turns


@pytest.fixture(scope="module")
def large_sessions() -> list[Any]:
    large = make_large_session()
    return [large.model_copy(update={"session_id": make_session().session_id}) for _ in range(COUNT)]


async def test_other_tasks_run_during_a_list_of_large_sessions(make_store: Any, large_sessions: list[Any]) -> None:
    """A list of a hundred sessions is no single step if they are large, nor is a bulk save."""
    store = make_store()
    step = large_sessions[0].active_scenario_id, 1, "hash-1"

    assert await count_turns(store.save_many(large_sessions)) >= MIN_TURNS
    for work in (
        store.list_by_agent(TENANT, AGENT),
        store.list_by_customer(TENANT, CUSTOMER),
        store.find_sessions_by_step_hash(TENANT, *step),
        store.export(limit=COUNT),
    ):
        assert await count_turns(work) >= MIN_TURNS


def make_class(number: int) -> type[Session]:
    return type(f"Made{number}", (Session,), {"__annotations__": {"extra": str}, "extra": "x", "__module__": __name__})


async def save_and_remove(store: Any, cls: type[Session], removal: str) -> weakref.ref[type[Session]]:
    session = make_session(cls)
    await store.save(session)
    for _ in range(3):  # so that it is cached
        assert await store.get(session.session_id) == session
    assert await store.list_by_agent(TENANT, AGENT) == [session]
    if removal == "replace":
        await store.save(make_session(session_id=session.session_id))
    if removal != "evict":
        await store.delete(session.session_id)
    return weakref.ref(cls)


@pytest.mark.parametrize("removal", ["delete", "replace", "evict"])
async def test_a_class_is_collected_when_its_sessions_are_gone(make_store: Any, removal: str) -> None:
    """Classes that are created at run time do not accumulate. The store forgets them when it meets another one."""
    store = make_store(max_sessions=1 if removal == "evict" else None)
    refs = [await save_and_remove(store, make_class(number), removal) for number in range(5)]
    for number in (5, 6):  # at the first the last of them may still be stored
        await store.save(make_session(make_class(number)))
    gc.collect()

    assert [number for number, ref in enumerate(refs) if ref() is not None] == []
