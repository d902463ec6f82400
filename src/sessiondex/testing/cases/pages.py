"""Law 15: pages with an exact cursor, and iterators over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sessiondex.contract import SessionStore
from sessiondex.models import Channel, Session, SessionStatus
from sessiondex.testing.case import Case, case
from sessiondex.testing.case_context import CaseContext
from sessiondex.testing.cases.all_queries import Marked
from sessiondex.testing.expectations import expect


def _keys(context: CaseContext) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return the arguments of each list and iterator: which sessions they are for."""
    of_status = {"status": SessionStatus.ACTIVE}
    agent, customer = (context.tenant_id, context.agent_id), (context.tenant_id, context.customer_id)
    return {
        "agent": (agent, {}),
        "agent of a status": (agent, of_status),
        "customer": (customer, {}),
        "customer of a status": (customer, of_status),
        "channel": ((context.tenant_id, Channel.WEBCHAT, "user-1"), {}),
        "tenant": ((context.tenant_id,), {}),
        "tenant of a status": ((context.tenant_id,), of_status),
        "field": ((context.tenant_id, "mark", "x"), {}),
    }


KINDS = (
    *("agent", "agent of a status", "customer", "customer of a status"),
    *("channel", "tenant", "tenant of a status", "field"),
)


def _calls(operation: str) -> dict[str, Callable[..., Any]]:
    """Return the list or the iterator of each kind, as a function of context, store and options."""

    def make(kind: str) -> Callable[..., Any]:
        def call(context: CaseContext, store: SessionStore[Any], **options: Any) -> Any:
            keys, more = _keys(context)[kind]
            return getattr(store, f"{operation}_by_{kind.partition(' ')[0]}")(*keys, **more, **options)

        return call

    return {f"{operation}_by_{kind}": make(kind) for kind in KINDS}


PAGED: Mapping[str, Callable[..., Any]] = _calls("list")
ITERATED: Mapping[str, Callable[..., AsyncIterator[Any]]] = _calls("iter")


async def _fill(context: CaseContext, store: SessionStore[Any], count: int, name: str) -> list[Session]:
    """Save `count` sessions, each followed by one that is not in the list of that name; return them, newest first."""
    sessions = [context.session(Marked, customer_profile_id=context.customer_id, mark="x") for _ in range(count)]
    others: dict[str, Any] = {
        "agent_id": context.other_agent_id,
        "customer_profile_id": context.other_customer_id,
        "user_channel_id": "user-2",
    }
    if name.endswith("of a status"):
        others = {"status": SessionStatus.CLOSED, "customer_profile_id": context.customer_id}
    elif name.endswith("by_tenant"):
        others = {"tenant_id": context.other_tenant_id}
    for session in sessions:
        await store.save(session)
        await store.save(context.session(**others))
    return list(sessions[::-1])


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
        sessions = await _fill(context, store, 20, name)
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
        sessions = await _fill(context, store, 12, name)
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
        sessions = await _fill(context, store, 3, name)
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
        sessions = await _fill(context, store, 10, name)
        for size in (1, 3, 10, 100):
            seen = [session async for session in take(20, iterated(context, store, page_size=size))]
            expect(seen, sessions, f"{name}, pages of {size}")

    promise = "An iterator gives all sessions, newest first, with any page size."
    return case(15, name=_case_name(name, "gives-all"), promise=promise)(run)


def _saves_case(name: str, iterated: Callable[..., AsyncIterator[Any]]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 10, name)
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


def _after_case(name: str, page: Callable[..., Any]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 12, name)
        newer, older = sessions[2].last_activity_at, sessions[8].last_activity_at
        expect(await page(context, store, after=older), sessions[:8], f"{name}, after a stored session")
        found = await page(context, store, after=older, limit=3)
        expect(found, sessions[:3], f"{name}, after a stored session, limit 3: the newest")
        found = await page(context, store, after=older, before=newer)
        expect(found, sessions[3:8], f"{name}, between two stored sessions")
        found = await page(context, store, after=older, before=newer, limit=2)
        expect(found, sessions[3:5], f"{name}, between two stored sessions, limit 2: the newest")
        for after, before in ((newer, older), (older, older)):
            found = await page(context, store, after=after, before=before)
            expect(found, [], f"{name}, where no stamp is between the bounds")
        earlier = (older - timedelta(microseconds=1)).astimezone(timezone(timedelta(hours=-7)))
        expect(await page(context, store, after=earlier), sessions[:9], f"{name}, after an instant of another zone")
        expect(await page(context, store, after=datetime(1, 1, 1, tzinfo=UTC)), sessions, f"{name}, after the year 1")
        latest = datetime.max.replace(tzinfo=UTC)
        expect(await page(context, store, after=latest), [], f"{name}, after the end of the calendar")
        await store.delete(sessions[8].session_id)
        expect(await page(context, store, after=older), sessions[:8], f"{name}, after a deleted session")

    promise = "`after` excludes its own instant and all before it; with `before`, the page is what lies between."
    return case(15, name=_case_name(name, "is-bounded-by-after"), promise=promise)(run)


def _bounds_case(name: str, iterated: Callable[..., AsyncIterator[Any]]) -> Case:
    async def run(context: CaseContext) -> None:
        store = await context.store()
        sessions = await _fill(context, store, 12, name)
        newer, older = sessions[2].last_activity_at, sessions[8].last_activity_at
        for size in (1, 4, 5, 100):
            for bounds, expected in (
                ({"before": newer}, sessions[3:]),
                ({"after": older}, sessions[:8]),
                ({"before": newer, "after": older}, sessions[3:8]),
                ({"before": older, "after": newer}, []),
            ):
                seen = [session async for session in take(20, iterated(context, store, page_size=size, **bounds))]
                expect(seen, expected, f"{name}, with {' and '.join(bounds)}, pages of {size}")

    promise = "An iterator gives what lies between `before` and `after`, with any page size."
    return case(15, name=_case_name(name, "is-bounded-by-before-and-after"), promise=promise)(run)


PAGES = tuple(make(name, page) for make in (_pages_case, _cursor_case, _instants_case) for name, page in PAGED.items())
BOUNDED = tuple(_after_case(name, page) for name, page in PAGED.items())
ITERATORS = tuple(make(name, pages) for make in (_iterator_case, _saves_case) for name, pages in ITERATED.items())
BOUNDED_ITERATORS = tuple(_bounds_case(name, pages) for name, pages in ITERATED.items())


@case(15)
async def an_iterator_allows_deletes_and_saves_during_the_iteration(context: CaseContext) -> None:
    """No session comes twice, no deleted one comes after its deletion, and no other one is missing."""
    store = await context.store()
    sessions = await _fill(context, store, 12, "iter_by_agent")
    gone, seen = [], []
    async for session in take(20, store.iter_by_agent(context.tenant_id, context.agent_id, page_size=2)):
        seen.append(session.session_id)
        if len(seen) in {2, 4}:  # at the end of a page
            gone.append(sessions[-len(seen)].session_id)
            await store.delete(gone[-1])
            await store.save(context.session())
    expected = [session.session_id for session in sessions if session.session_id not in gone]
    expect(seen, expected, "ids from iter_by_agent, with two deletions and two new sessions")
