"""Law 12: loops. Also the life cycle: opening, closing and the health check."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from inspect import isawaitable
from typing import Any, TypeVar

from sessiondex.contract import SessionStore
from sessiondex.errors import StoreClosedError, WrongLoopError
from sessiondex.models import Channel, Session
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import Marked
from sessiondex.testing.expectations import expect, expect_error

T = TypeVar("T")

CALLS: Mapping[str, Callable[[Any, Session], Awaitable[Any]]] = {
    "get": lambda store, session: store.get(session.session_id),
    "save": lambda store, session: store.save(session),
    "delete": lambda store, session: store.delete(session.session_id),
    "save_many": lambda store, session: store.save_many([session]),
    "delete_many": lambda store, session: store.delete_many([session.session_id]),
    "load": lambda store, session: store.load([session]),
    "get_by_channel": lambda store, session: store.get_by_channel(session.tenant_id, Channel.SMS, "u"),
    "list_by_agent": lambda store, session: store.list_by_agent(session.tenant_id, session.agent_id),
    "list_by_customer": lambda store, session: store.list_by_customer(session.tenant_id, session.agent_id),
    "iter_by_agent": lambda store, session: anext(store.iter_by_agent(session.tenant_id, session.agent_id)),
    "iter_by_customer": lambda store, session: anext(store.iter_by_customer(session.tenant_id, session.agent_id)),
    "count_by_agent": lambda store, session: store.count_by_agent(session.tenant_id, session.agent_id),
    "count_by_customer": lambda store, session: store.count_by_customer(session.tenant_id, session.agent_id),
    "get_many": lambda store, session: store.get_many([session.session_id]),
    "list_by_channel": lambda store, session: store.list_by_channel(session.tenant_id, Channel.SMS, "u"),
    "list_by_tenant": lambda store, session: store.list_by_tenant(session.tenant_id),
    "iter_by_channel": lambda store, session: anext(store.iter_by_channel(session.tenant_id, Channel.SMS, "u")),
    "iter_by_tenant": lambda store, session: anext(store.iter_by_tenant(session.tenant_id)),
    "count_by_channel": lambda store, session: store.count_by_channel(session.tenant_id, Channel.SMS, "u"),
    "count_by_tenant": lambda store, session: store.count_by_tenant(session.tenant_id),
    "touch": lambda store, session: store.touch(session.session_id),
    "delete_by_tenant": lambda store, session: store.delete_by_tenant(session.tenant_id),
    "delete_by_customer": lambda store, session: store.delete_by_customer(session.tenant_id, session.agent_id),
    "delete_by_channel": lambda store, session: store.delete_by_channel(
        session.tenant_id, session.channel, session.user_channel_id
    ),
    "get_by_field": lambda store, session: store.get_by_field(session.tenant_id, "mark", "x"),
    "list_by_field": lambda store, session: store.list_by_field(session.tenant_id, "mark", "x"),
    "iter_by_field": lambda store, session: anext(store.iter_by_field(session.tenant_id, "mark", "x")),
    "count_by_field": lambda store, session: store.count_by_field(session.tenant_id, "mark", "x"),
    "count_by_step_hash": lambda store, session: store.count_by_step_hash(session.tenant_id, session.agent_id, 1, "h"),
    "count_steps": lambda store, session: store.count_steps(session.tenant_id, session.agent_id, 1),
    "find_sessions_by_step_hash": lambda store, session: store.find_sessions_by_step_hash(
        session.tenant_id, session.agent_id, 1, "h"
    ),
    "update": lambda store, session: store.update(session.session_id, lambda _: None),
    "get_or_create": lambda store, session: store.get_or_create(
        session.tenant_id, Channel.SMS, "user-1", lambda: session
    ),
    "exclusive": lambda store, session: store.exclusive(session.session_id).__aenter__(),
    "changes": lambda store, _: anext(store.changes()),
}
"""A valid call of each operation, which a closed store or a second loop must refuse."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "reads": (
        "get",
        "get_many",
        "get_by_channel",
        *("list_by_agent", "list_by_customer", "list_by_channel", "list_by_tenant"),
        "find_sessions_by_step_hash",
    ),
    "iterators": ("iter_by_agent", "iter_by_customer", "iter_by_channel", "iter_by_tenant"),
    "counts": (
        *("count_by_agent", "count_by_customer", "count_by_channel", "count_by_tenant"),
        "count_by_step_hash",
        "count_steps",
    ),
    "writes": ("save", "delete", "touch"),
    "erasures": ("delete_by_tenant", "delete_by_customer", "delete_by_channel"),
    "own fields": ("get_by_field", "list_by_field", "iter_by_field", "count_by_field"),
    "bulk writes": ("save_many", "delete_many", "load"),
    "composed writes": ("update", "get_or_create"),
    "turns": ("exclusive",),
    "changes": ("changes",),
}


def _closed_case(group: str, operations: tuple[str, ...]) -> Case:
    async def run(context: CaseContext) -> None:
        store, session = await context.store(), context.session(Marked, mark="x")
        await store.save(session)
        await store.aclose()
        for operation in operations:
            with expect_error(StoreClosedError, f"{operation}, of a closed store"):
                await CALLS[operation](store, session)

    case_name = f"a-closed-store-refuses-{group.replace(' ', '-')}"
    return case(None, name=case_name, promise="A closed store raises `StoreClosedError`.")(run)


async def in_a_thread(work: Callable[[], T]) -> T:
    """Call the function in a new daemon thread, which cannot block the exit if it hangs, and return its result."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(answer: T | None, error: BaseException | None) -> None:
        if not done.done():
            if error is None:
                done.set_result(answer)  # type: ignore[arg-type]  # without an error there is an answer
            else:
                done.set_exception(error)

    def main() -> None:
        answer, error = None, None
        try:
            answer = work()
        except BaseException as raised:  # noqa: BLE001  # raised in the waiting task
            error = raised
        loop.call_soon_threadsafe(finish, answer, error)

    threading.Thread(target=main, daemon=True).start()
    return await done


def _run_call(call: Callable[[Any, Session], Awaitable[Any]], store: SessionStore[Any], session: Session) -> Any:
    return asyncio.run(_await(call(store, session)))


async def _await(value: Awaitable[T]) -> T:
    return await value


def _second_loop_case(group: str, operations: tuple[str, ...]) -> Case:
    async def run(context: CaseContext) -> None:
        store, session = await context.store(), context.session(Marked, mark="x")
        await store.save(session)
        saved = session.model_copy(deep=True)
        for operation in operations:
            with expect_error(WrongLoopError, f"{operation}, from a second running loop"):
                await in_a_thread(partial(_run_call, CALLS[operation], store, session))
        expect(await store.get(session.session_id), saved, "get, after calls from another loop")

    case_name = f"a-second-running-loop-is-refused-{group.replace(' ', '-')}"
    promise = (
        "A call from a second running loop raises `WrongLoopError` and changes nothing, even if none is in progress."
    )
    return case(12, name=case_name, promise=promise)(run)


CLOSED = tuple(_closed_case(group, operations) for group, operations in GROUPS.items())
ELSEWHERE = tuple(_second_loop_case(group, operations) for group, operations in GROUPS.items())


@case(12)
async def a_store_serves_one_loop_after_another(context: CaseContext) -> None:
    """A store may be created before any loop runs, and be used by tasks of one loop after another."""
    session = context.session()

    async def write(store: SessionStore[Any]) -> None:
        await asyncio.gather(*(store.save(session) for _ in range(5)))

    async def read_and_close(store: SessionStore[Any]) -> Any:
        try:
            return await store.get(session.session_id)
        finally:
            await store.aclose()

    def work() -> Any:
        made = context.call_make_store()
        store = asyncio.run(_await(made)) if isawaitable(made) else made
        for _ in range(2):
            asyncio.run(write(store))
        return asyncio.run(read_and_close(store))

    expect(await in_a_thread(work), session, "get, in the last of several loops")
    expect(session.revision, 10, "the revision after five saves in each of two loops")


@case(12)
async def a_paused_loop_may_continue_after_another(context: CaseContext) -> None:
    """Two loops may use a store alternately, as long as only one runs at a time."""
    session = context.session()

    def work() -> Any:
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
        try:
            store = first.run_until_complete(context.store())
            first.run_until_complete(store.save(session))
            second.run_until_complete(store.save(session))
            found = first.run_until_complete(store.get(session.session_id))
            first.run_until_complete(store.aclose())
            return found
        finally:
            first.close()
            second.close()

    expect(await in_a_thread(work), session, "get, in the first of two loops that took turns")


@case(None)
async def a_store_may_be_opened_and_closed(context: CaseContext) -> None:
    """`async with` returns the store itself, which is healthy until the block ends."""
    store, session = await context.store(), context.session()
    async with store as opened:
        expect(opened is store, True, "whether async with gives the store")
        await opened.save(session)
        expect(await opened.health_check(), True, "health_check of an open store")
    expect(await store.health_check(), False, "health_check of a closed store")


@case(None)
async def a_store_need_not_be_opened(context: CaseContext) -> None:
    """A store works and is healthy without `async with`."""
    store = await context.store()
    expect(await store.health_check(), True, "health_check of a store that was not opened")
    await store.save(context.session())
    expect(await store.health_check(), True, "health_check of a store that is in use")


@case(None)
async def closing_twice_does_nothing(context: CaseContext) -> None:
    """`aclose` of a closed store returns without an error."""
    store = await context.store()
    await store.save(context.session())
    for _ in range(3):
        await store.aclose()
    expect(await store.health_check(), False, "health_check of a closed store")


@case(None)
async def an_error_inside_async_with_closes_the_store(context: CaseContext) -> None:
    """The error is raised to the caller, and the store is closed."""
    store = await context.store()
    with expect_error(ZeroDivisionError, "an error within async with"):
        async with store:
            raise ZeroDivisionError
    expect(await store.health_check(), False, "health_check after that")


@case(None)
async def closing_ends_the_wait_for_a_session_to_be_created(context: CaseContext) -> None:
    """`StoreClosedError` is raised to the callers that wait for `create`, and to the one that runs it."""
    store, is_made = await context.store(), asyncio.Event()

    async def create() -> Session:
        await is_made.wait()
        return context.session()

    identity = context.tenant_id, Channel.WEBCHAT, "user-1"
    calls = [context.task(store.get_or_create(*identity, create)) for _ in range(2)]
    await context.let_others_run(store)
    await store.aclose()
    is_made.set()
    for call in calls:
        with expect_error(StoreClosedError, "get_or_create, while the store closes"):
            await call
