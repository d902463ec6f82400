"""Law 15: pages with an exact cursor, and iterators over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sessiondex.contract import SessionStore
from sessiondex.models import Session, SessionStatus
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.expectations import expect

PAGED: Mapping[str, Callable[..., Any]] = {
    "list_by_agent": lambda context, store, **arguments: store.list_by_agent(
        context.tenant_id, context.agent_id, **arguments
    ),
    "list_by_agent of a status": lambda context, store, **arguments: store.list_by_agent(
        context.tenant_id, context.agent_id, status=SessionStatus.ACTIVE, **arguments
    ),
    "list_by_customer": lambda context, store, **arguments: store.list_by_customer(
        context.tenant_id, context.customer_id, **arguments
    ),
}
ITERATED: Mapping[str, Callable[..., AsyncIterator[Any]]] = {
    "iter_by_agent": lambda context, store, **arguments: store.iter_by_agent(
        context.tenant_id, context.agent_id, **arguments
    ),
    "iter_by_agent of a status": lambda context, store, **arguments: store.iter_by_agent(
        context.tenant_id, context.agent_id, status=SessionStatus.ACTIVE, **arguments
    ),
    "iter_by_customer": lambda context, store, **arguments: store.iter_by_customer(
        context.tenant_id, context.customer_id, **arguments
    ),
}


async def _fill(context: CaseContext, store: SessionStore[Any], count: int) -> list[Session]:
    """Save `count` sessions, each followed by one that is in none of the lists; return them, newest first."""
    sessions = [context.session(customer_profile_id=context.customer_id) for _ in range(count)]
    for session in sessions:
        await store.save(session)
        await store.save(
            context.session(agent_id=context.other_agent_id, customer_profile_id=context.other_customer_id)
        )
    return sessions[::-1]


async def take(count: int, sessions: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yield at most `count` sessions: no timeout ends a faulty iterator that never ends nor yields to the loop."""
    async for session in sessions:
        yield session
        count -= 1
        if not count:
            return


def _case_name(name: str, rest: str) -> str:
    return f"{name.replace(' ', '-').replace('_', '-')}-{rest}"


def _pages_case(name: str, page: Callable[..., Any]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 20)
        for size in (1, 7, 10, 20):
            seen: list[Any] = []
            before = None
            while found := await page(context, store, limit=size, before=before):
                seen += found
                before = found[-1].last_activity_at
                if len(seen) > len(sessions):
                    break
            expect(seen, sessions, f"{name}, all pages of {size}")

    promise = "Pages that each start before the last session of the previous one add up to the list."
    return case(15, name=_case_name(name, "continues-page-by-page"), promise=promise)(run)


def _cursor_case(name: str, page: Callable[..., Any]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 12)
        cursor = sessions[4].last_activity_at
        expect(await page(context, store, before=cursor), sessions[5:], f"{name}, before a stored session")
        await store.save(sessions[4].model_copy())
        await store.delete(sessions[5].session_id)
        expect(
            await page(context, store, before=cursor), sessions[6:], f"{name}, before a session that was saved again"
        )
        gone = sessions[5].last_activity_at
        expect(await page(context, store, before=gone), sessions[6:], f"{name}, before a deleted session")

    promise = "A cursor is exact and excludes its own session, also after that was saved again or deleted."
    return case(15, name=_case_name(name, "takes-any-sessions-stamp-as-a-cursor"), promise=promise)(run)


def _instants_case(name: str, page: Callable[..., Any]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 3)
        middle = sessions[1].last_activity_at.astimezone(timezone(timedelta(hours=5)))
        later = middle + timedelta(microseconds=1)
        expect(await page(context, store, before=middle), sessions[2:], f"{name}, before an instant of another zone")
        expect(await page(context, store, before=later), sessions[1:], f"{name}, before a microsecond after that")
        expect(await page(context, store, before=datetime(1, 1, 1, tzinfo=UTC)), [], f"{name}, before the year 1")
        latest = datetime.max.replace(tzinfo=UTC)
        expect(await page(context, store, before=latest), sessions, f"{name}, before the end of the calendar")

    promise = "A cursor may be any aware datetime, in any time zone."
    return case(15, name=_case_name(name, "takes-any-instant-as-a-cursor"), promise=promise)(run)


def _iterator_case(name: str, iterated: Callable[..., AsyncIterator[Any]]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 10)
        for size in (1, 3, 10, 100):
            seen = [session async for session in take(20, iterated(context, store, page_size=size))]
            expect(seen, sessions, f"{name}, pages of {size}")

    promise = "An iterator gives all sessions, newest first, with any page size."
    return case(15, name=_case_name(name, "gives-all"), promise=promise)(run)


def _saves_case(name: str, iterated: Callable[..., AsyncIterator[Any]]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 10)
        for size in (1, 3, 10):
            seen = []
            async for session in take(20, iterated(context, store, page_size=size)):
                seen.append(session.session_id)
                session.turn_count += 1
                await store.save(session)
            expect(seen, [session.session_id for session in sessions], f"{name}, pages of {size}, each saved at once")
            sessions.reverse()  # each was saved again, so the last one is the newest now

    promise = "If each session is saved again when it comes, each still comes exactly once."
    return case(15, name=_case_name(name, "repeats-no-session-saved-during-the-iteration"), promise=promise)(run)


PAGES = tuple(make(name, page) for make in (_pages_case, _cursor_case, _instants_case) for name, page in PAGED.items())
ITERATORS = tuple(make(name, pages) for make in (_iterator_case, _saves_case) for name, pages in ITERATED.items())


@case(15)
async def an_iterator_allows_deletes_and_saves_during_the_iteration(context: CaseContext) -> None:
    """No session comes twice, no deleted one comes after its deletion, and no other one is missing."""
    store = await context.store()
    sessions = await _fill(context, store, 12)
    gone, seen = [], []
    async for session in take(20, store.iter_by_agent(context.tenant_id, context.agent_id, page_size=2)):
        seen.append(session.session_id)
        if len(seen) in {2, 4}:  # at the end of a page
            gone.append(sessions[-len(seen)].session_id)
            await store.delete(gone[-1])
            await store.save(context.session())
    expected = [session.session_id for session in sessions if session.session_id not in gone]
    expect(seen, expected, "ids from iter_by_agent, with two deletions and two new sessions")
