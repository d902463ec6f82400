"""Every method refuses a second running loop, a closed store, and a store of before a fork."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sessiondex import ForkedStoreError, InMemorySessionStore, ScanSessionStore, StoreClosedError, WrongLoopError
from sessiondex.stores import loop_guard
from sessiondex.testing.cases.life_cycle import in_a_thread
from tests.support.builders import AGENT, TENANT, make_session
from tests.support.contract_methods import missing_in
from tests.support.every_method import CALLS, Call
from tests.support.waiting import HANG_SECONDS

STORES: dict[str, Any] = {"indexed": InMemorySessionStore, "scan": ScanSessionStore}
"""By name: a class, or a function, that returns a new store."""

ROOT = Path(__file__).parents[2]

each_store = pytest.mark.parametrize("make", STORES.values(), ids=STORES)
each_method = pytest.mark.parametrize("name", CALLS)


def test_every_method_of_the_contract_is_called() -> None:
    assert missing_in(set(CALLS)) == set()


@each_store
@each_method
async def test_a_second_running_loop_is_refused(make: Any, name: str) -> None:
    """Nothing changes, and the store goes on in its own loop."""
    store, session = make(), make_session()
    await store.save(session)
    saved = session.model_copy(deep=True)

    def call_elsewhere() -> None:
        with pytest.raises(WrongLoopError):
            asyncio.run(_await(CALLS[name], store, session))

    await in_a_thread(call_elsewhere)
    assert await store.list_by_agent(TENANT, AGENT) == [saved]
    assert await store.health_check() is True
    await store.aclose()


@each_store
@each_method
async def test_a_closed_store_refuses_all_but_aclose_and_health_check(make: Any, name: str) -> None:
    store, session = make(), make_session()
    async with store as opened:
        assert opened is store
        await store.save(session)
    if name in {"aclose", "health_check"}:
        assert not await CALLS[name](store, session)
    else:
        with pytest.raises(StoreClosedError):
            await CALLS[name](store, session)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("store_name", STORES)
def test_a_store_of_before_a_fork_is_refused_in_the_child(store_name: str) -> None:
    """By every method, in the parent's loop and in a new one, without hanging. The parent's store goes on."""
    program = f"from {__name__} import fork_and_call; fork_and_call({store_name!r})"
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS, check=False, cwd=ROOT
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def fork_and_call(store_name: str) -> None:
    """Fork, call every method of a store in the child, and print those that are not refused. For a new process."""
    used, unused, loop = STORES[store_name](), STORES[store_name](), asyncio.new_event_loop()
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
                for name, call in CALLS.items()
                for a_loop in (loop, asyncio.new_event_loop())
                if not _is_refused(a_loop, call, used)
            ]
            sys.stdout.write("\n".join(accepted))
            asyncio.run(unused.save(make_session()))  # a store that no loop has used yet is not bound to the parent
            status = len(accepted)
        finally:
            sys.stdout.flush()
            os._exit(status)
    lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.run_until_complete(used.list_by_agent(TENANT, AGENT)) == [session]
    loop.close()


def _is_refused(loop: asyncio.AbstractEventLoop, call: Call, store: Any) -> bool:
    try:
        loop.run_until_complete(_await(call, store, make_session()))
    except ForkedStoreError:
        return True
    return False


async def _await(call: Call, store: Any, session: Any) -> Any:
    return await call(store, session)
