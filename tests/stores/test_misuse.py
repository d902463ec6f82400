"""Writes near the end of the stack are done completely or not at all."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from tests.support.builders import AGENT, TENANT, make_session
from tests.support.stores import check_indexes


def result_at_depth(coroutine: Coroutine[Any, Any, Any], deeper: int) -> Any:
    """Run the coroutine, which waits for nothing, with so many frames below this one in use."""
    if deeper:
        return result_at_depth(coroutine, deeper - 1)
    try:
        coroutine.send(None)
    except StopIteration as result:
        return result.value
    pytest.fail("it waits")


def room(deeper: int = 0) -> int:
    """Return how many frames there are to the end of the stack."""
    try:
        return room(deeper + 1)
    except RecursionError:
        return deeper


async def test_a_write_near_the_end_of_the_stack_is_done_or_not(store: Any) -> None:
    """Wherever within it the stack ends: the store agrees with itself, and the next write works."""
    await store.save(make_session())
    deepest, cut, done = room(), 0, 0
    for left in range(1, 60):
        session = make_session()
        save, delete = partial(store.save, session), partial(store.delete, session.session_id)
        for write, after in ((save, 2), (delete, 1)):
            before = await store.count_by_agent(TENANT, AGENT)
            try:
                result_at_depth(write(), deepest - left)
            except RecursionError:
                cut += 1
                assert await store.count_by_agent(TENANT, AGENT) in {before, after}
            else:
                done += 1
                assert await store.count_by_agent(TENANT, AGENT) == after
            check_indexes(store)
            await write()
            assert await store.count_by_agent(TENANT, AGENT) == after

    assert (cut > 5, done > 5) == (True, True)
