"""Misuse fails loudly: after a fork, and near the end of the stack. Loops and closed stores have tests of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from tests.support.builders import AGENT, TENANT, make_session
from tests.support.contract_methods import missing_in
from tests.support.stores import check_indexes
from tests.support.waiting import HANG_SECONDS

FORKED = """
import asyncio, os, sys, threading
from uuid import uuid4

import sessiondex
from sessiondex import Channel, Session
from sessiondex.stores import loop_guard

made = lambda: Session(tenant_id=tenant, agent_id=tenant, channel=Channel.SMS, user_channel_id="u")
tenant = uuid4()

async def within(manager):
    async with manager:
        pass

async def first(iterator):
    return await anext(iterator)

calls = {
    "get": lambda store: store.get(tenant),
    "save": lambda store: store.save(made()),
    "save_many": lambda store: store.save_many([made()]),
    "load": lambda store: store.load([made()]),
    "delete": lambda store: store.delete(tenant),
    "delete_many": lambda store: store.delete_many([tenant]),
    "get_by_channel": lambda store: store.get_by_channel(tenant, Channel.SMS, "u"),
    "list_by_agent": lambda store: store.list_by_agent(tenant, tenant),
    "list_by_customer": lambda store: store.list_by_customer(tenant, tenant),
    "iter_by_agent": lambda store: first(store.iter_by_agent(tenant, tenant)),
    "iter_by_customer": lambda store: first(store.iter_by_customer(tenant, tenant)),
    "count_by_agent": lambda store: store.count_by_agent(tenant, tenant),
    "count_by_customer": lambda store: store.count_by_customer(tenant, tenant),
    "count_by_step_hash": lambda store: store.count_by_step_hash(tenant, tenant, 1, "h"),
    "count_steps": lambda store: store.count_steps(tenant, tenant, 1),
    "find_sessions_by_step_hash": lambda store: store.find_sessions_by_step_hash(tenant, tenant, 1, "h"),
    "update": lambda store: store.update(tenant, lambda _: None),
    "get_or_create": lambda store: store.get_or_create(tenant, Channel.SMS, "u", made),
    "exclusive": lambda store: within(store.exclusive(tenant)),
    "changes": lambda store: first(store.changes()),
    "export": lambda store: store.export(),
    "restore": lambda store: store.restore([]),
    "health_check": lambda store: store.health_check(),
    "aclose": lambda store: store.aclose(),
    "async with": lambda store: within(store),
}

used, unused, loop = sessiondex.{cls}(), sessiondex.{cls}(), asyncio.new_event_loop()
loop.run_until_complete(used.save(made()))
loop_guard._handover_lock.acquire()  # as another thread might have, at that moment
child = os.fork()
if child == 0:
    status = 1
    try:
        for name, call in calls.items():
            for a_loop in (loop, asyncio.new_event_loop()):
                try:
                    a_loop.run_until_complete(call(used))
                except sessiondex.ForkedStoreError:
                    pass
                else:
                    print(name, "worked in the child")
                    os._exit(1)
        asyncio.run(unused.save(made()))
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)
loop_guard._handover_lock.release()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert loop.run_until_complete(used.count_by_agent(tenant, tenant)) == 1
"""


def test_every_method_is_called_in_the_child() -> None:
    assert missing_in(set(re.findall(r'^    "(\w+)": lambda store', FORKED, re.MULTILINE))) == set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("cls", ["InMemorySessionStore", "ScanSessionStore"])
def test_a_store_that_was_used_before_a_fork_is_refused_in_the_child(cls: str) -> None:
    """By every method, in the parent's loop as in one of its own, and never by hanging. The parent's goes on."""
    script = FORKED.replace("{cls}", cls)
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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
