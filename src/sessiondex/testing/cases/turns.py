"""Law 14: one turn at a time, first come, first served."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

from sessiondex.contract import SessionStore
from sessiondex.errors import ReentryError, StoreClosedError, TurnTimeoutError
from sessiondex.testing.case import case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import ContractViolation, expect, expect_error


async def _enter(
    store: SessionStore[Any],
    session_id: UUID,
    timeout: float | None = None,  # noqa: ASYNC109  # bounds only the wait
) -> None:
    async with store.exclusive(session_id, timeout=timeout):
        pass


@case(14)
async def one_task_at_a_time_holds_the_turn(context: CaseContext) -> None:
    """While one task is inside `exclusive`, no other is, even if the first one yields often."""
    store, session_id = await context.store(), uuid4()
    inside: list[int] = []

    async def work(number: int) -> None:
        async with store.exclusive(session_id):
            inside.append(number)
            if len(inside) != 1:
                raise ContractViolation(f"exclusive: tasks {inside} have the turn at the same time")
            await context.let_others_run(store)
            inside.remove(number)

    for task in [context.task(work(number)) for number in range(6)]:
        await task


@case(14)
async def turns_are_granted_in_order_of_arrival(context: CaseContext) -> None:
    """First come, first served; the session need not exist."""
    store, session_id = await context.store(), uuid4()
    log: list[int] = []

    async def work(number: int) -> None:
        async with store.exclusive(session_id):
            log.append(number)

    tasks = []
    async with store.exclusive(session_id):
        for number in range(5):
            tasks.append(context.task(work(number)))
            await context.let_others_run(store)
        expect(log, [], "the tasks that got the turn while another held it")
    for task in tasks:
        await task
    expect(log, [0, 1, 2, 3, 4], "the order in which tasks had their turns")


@case(14)
async def each_session_has_its_own_turn(context: CaseContext) -> None:
    """A task that holds the turn of one session does not block the turn of another."""
    store, one, other = await context.store(), uuid4(), uuid4()
    async with store.exclusive(one):
        await context.task(_enter(store, other, 0))


@case(14)
async def a_turn_blocks_no_reads_and_saves(context: CaseContext) -> None:
    """Tasks without the turn can read and save the session."""
    store, session = await context.store(), context.session()

    async def work() -> Any:
        await store.save(session)
        return await store.get(session.session_id)

    async with store.exclusive(session.session_id):
        expect(await context.task(work()), session, "get, after a save, while another has the turn")


@case(14)
async def a_turn_that_is_not_free_in_time_is_an_error(context: CaseContext) -> None:
    """`TurnTimeoutError` is raised, and the queue is as if the task had not asked."""
    store, session_id = await context.store(), uuid4()
    async with store.exclusive(session_id):
        for timeout in (0, 0.001):
            with expect_error(
                TurnTimeoutError, f"exclusive with a timeout of {timeout} s, while another has it"
            ) as late:
                await context.task(_enter(store, session_id, timeout))
            expect(
                (late.error.session_id, late.error.timeout),
                (session_id, timeout),
                "session_id and timeout of the error",
            )
    await _enter(store, session_id, 0)


@case(14)
async def a_task_that_asks_for_its_own_turn_is_refused(context: CaseContext) -> None:
    """It gets `ReentryError` and keeps the turn."""
    store, session_id = await context.store(), uuid4()
    async with store.exclusive(session_id):
        with expect_error(ReentryError, "exclusive, by the task that has the turn"):
            await _enter(store, session_id)
        with expect_error(TurnTimeoutError, "exclusive, by another task after that"):
            await context.task(_enter(store, session_id, 0))
    await _enter(store, session_id, 0)


@case(14)
async def an_error_releases_the_turn(context: CaseContext) -> None:
    """An error inside `exclusive` is raised to the caller, and the turn is free."""
    store, session_id = await context.store(), uuid4()
    with expect_error(ZeroDivisionError, "an error within a turn"):
        async with store.exclusive(session_id):
            raise ZeroDivisionError
    await context.task(_enter(store, session_id, 0))


@case(14)
async def a_cancelled_task_releases_the_turn(context: CaseContext) -> None:
    """A task that is cancelled while it waits, holds the turn or just gets it does not block the next one."""
    store, session_id, log = await context.store(), uuid4(), []
    is_within = asyncio.Event()

    async def hold(name: str) -> None:
        async with store.exclusive(session_id):
            log.append(name)
            is_within.set()
            await asyncio.Event().wait()

    within = context.task(hold("within"))
    entered = context.task(is_within.wait())
    await asyncio.wait([within, entered], return_when=asyncio.FIRST_COMPLETED)
    waiting, coming = context.task(hold("waiting")), context.task(hold("coming"))
    await context.let_others_run(store)
    last = context.task(_enter(store, session_id))
    await context.let_others_run(store)
    waiting.cancel()
    within.cancel()
    await asyncio.wait([within])
    coming.cancel()  # it may have got the turn without having run since
    await asyncio.wait([waiting, coming])
    await last
    expect(log[:1], ["within"], "the task that held the turn first")


@case(14)
async def closing_ends_the_wait_for_a_turn(context: CaseContext) -> None:
    """`StoreClosedError` is raised to tasks that wait for a turn, and to later ones."""
    store, session_id = await context.store(), uuid4()
    async with store.exclusive(session_id):
        waiting = context.task(_enter(store, session_id))
        await context.let_others_run(store)
        await store.aclose()
        with expect_error(StoreClosedError, "exclusive, waiting while the store closes"):
            await waiting
    with expect_error(StoreClosedError, "exclusive, of a closed store"):
        await _enter(store, session_id)
