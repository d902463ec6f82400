"""Call every method of the contract validly, and check which calls a store refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sessiondex import Channel, ForkedStoreError, StoreClosedError, WrongLoopError
from sessiondex.stores import loop_guard
from sessiondex.testing.cases.life_cycle import in_a_thread
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session
from tests.support.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]

Call = Callable[[Any, Any], Awaitable[Any]]


async def _enter_and_exit(block: Any) -> None:
    async with block:
        pass


async def _first(iterator: Any) -> Any:
    return await anext(iterator)


CALLS: Mapping[str, Call] = {
    "get": lambda store, session: store.get(session.session_id),
    "get_many": lambda store, session: store.get_many([session.session_id]),
    "save": lambda store, session: store.save(session),
    "touch": lambda store, session: store.touch(session.session_id),
    "delete": lambda store, session: store.delete(session.session_id),
    "save_many": lambda store, session: store.save_many([session]),
    "delete_many": lambda store, session: store.delete_many([session.session_id]),
    "delete_by_tenant": lambda store, _: store.delete_by_tenant(TENANT),
    "delete_by_customer": lambda store, _: store.delete_by_customer(TENANT, CUSTOMER),
    "delete_by_channel": lambda store, _: store.delete_by_channel(TENANT, Channel.SMS, "u"),
    "load": lambda store, session: store.load([session]),
    "get_by_channel": lambda store, _: store.get_by_channel(TENANT, Channel.SMS, "u"),
    "list_by_channel": lambda store, _: store.list_by_channel(TENANT, Channel.SMS, "u"),
    "iter_by_channel": lambda store, _: _first(store.iter_by_channel(TENANT, Channel.SMS, "u")),
    "count_by_channel": lambda store, _: store.count_by_channel(TENANT, Channel.SMS, "u"),
    "list_by_agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "list_by_customer": lambda store, _: store.list_by_customer(TENANT, CUSTOMER),
    "list_by_tenant": lambda store, _: store.list_by_tenant(TENANT),
    "iter_by_agent": lambda store, _: _first(store.iter_by_agent(TENANT, AGENT)),
    "iter_by_customer": lambda store, _: _first(store.iter_by_customer(TENANT, CUSTOMER)),
    "iter_by_tenant": lambda store, _: _first(store.iter_by_tenant(TENANT)),
    "count_by_agent": lambda store, _: store.count_by_agent(TENANT, AGENT),
    "count_by_customer": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count_by_tenant": lambda store, _: store.count_by_tenant(TENANT),
    "get_by_field": lambda store, _: store.get_by_field(TENANT, "email", "a"),
    "list_by_field": lambda store, _: store.list_by_field(TENANT, "email", "a"),
    "iter_by_field": lambda store, _: _first(store.iter_by_field(TENANT, "email", "a")),
    "count_by_field": lambda store, _: store.count_by_field(TENANT, "email", "a"),
    "count_by_step_hash": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "h"),
    "count_steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "find_sessions_by_step_hash": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h"),
    "update": lambda store, session: store.update(session.session_id, lambda _: None),
    "get_or_create": lambda store, _: store.get_or_create(TENANT, Channel.WEBCHAT, "user-1", make_session),
    "exclusive": lambda store, session: _enter_and_exit(store.exclusive(session.session_id)),
    "changes": lambda store, _: _first(store.changes()),
    "export": lambda store, _: store.export(),
    "restore": lambda store, _: store.restore([]),
    "reindex": lambda store, _: store.reindex(),
    "health_check": lambda store, _: store.health_check(),
    "aclose": lambda store, _: store.aclose(),
    "async with": lambda store, _: _enter_and_exit(store),
}
"""By name of the method: a call with a store that knows `IndexedSession`, and a session that is saved there."""


async def check_a_second_loop_is_refused(store: Any, call: Call) -> None:
    """Check that the call raises in a second running loop, changes nothing, and that the store continues in its own."""
    session = make_session()
    await store.save(session)
    saved = session.model_copy(deep=True)

    def call_elsewhere() -> None:
        with pytest.raises(WrongLoopError):
            asyncio.run(_await(call, store, session))

    await in_a_thread(call_elsewhere)
    assert await store.list_by_agent(TENANT, AGENT) == [saved]
    assert await store.health_check() is True
    await store.aclose()


async def check_a_closed_store_refuses(store: Any, name: str, call: Call) -> None:
    """Check that the call raises after `aclose`, unless it is one of the two that a closed store takes."""
    session = make_session()
    async with store as opened:
        assert opened is store
        await store.save(session)
    if name in {"aclose", "health_check"}:
        assert not await call(store, session)
    else:
        with pytest.raises(StoreClosedError):
            await call(store, session)


def check_process(program: str) -> None:
    """Run the program in a process of its own, and check that it succeeds and prints nothing."""
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=False, cwd=ROOT
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def fork_and_call(make: Callable[[], Any], calls: Mapping[str, Call] = CALLS) -> None:
    """Fork, call every method of a store in the child, and print those that are not refused. For a new process."""
    used, unused, loop = make(), make(), asyncio.new_event_loop()
    session = make_session()
    loop.run_until_complete(used.save(session))
    lock = loop_guard._handover_lock
    lock.acquire()  # as another thread may have, at that moment
    child = os.fork()
    if child == 0:
        status = 1
        try:
            accepted = [
                name
                for name, call in calls.items()
                for a_loop in (loop, asyncio.new_event_loop())
                if not _is_refused(a_loop, call, used)
            ]
            sys.stdout.write("\n".join(accepted))
            asyncio.run(_save_and_close(unused))  # a store that no loop has used yet is not bound to the parent
            status = len(accepted)
        finally:
            sys.stdout.flush()
            os._exit(status)
    lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.run_until_complete(used.get(session.session_id, tenant_id=TENANT)) == session
    loop.run_until_complete(used.aclose())
    loop.close()


async def _save_and_close(store: Any) -> None:
    await store.save(make_session())
    await store.aclose()


def _is_refused(loop: asyncio.AbstractEventLoop, call: Call, store: Any) -> bool:
    try:
        loop.run_until_complete(_await(call, store, make_session()))
    except ForkedStoreError:
        return True
    return False


async def _await(call: Call, store: Any, session: Any) -> Any:
    return await call(store, session)
