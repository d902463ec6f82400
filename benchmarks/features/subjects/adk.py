"""google-adk: `InMemorySessionService`. A user of the service is a customer; the app is the tenant."""

import copy
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.adk.agents import BaseAgent, InvocationContext
from google.adk.errors import StaleSessionError
from google.adk.events import Event, EventActions
from google.adk.runners import Runner
from google.adk.sessions import BaseSessionService, InMemorySessionService, Session
from google.adk.sessions.sqlite_session_service import SqliteSessionService
from google.genai import types

from benchmarks.features.cells import YES, Cell, absent, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, ONE_KEY, Checks, customer_of, record
from benchmarks.features.subjects.adk_by_hand import (
    APP,
    TellingService,
    append_copy,
    append_if_newest,
    forget,
    page,
    scan,
)


async def _create(service: BaseSessionService, number: int) -> Session:
    session = record(number)
    return await service.create_session(
        app_name=APP, user_id=session["customer"], session_id=session["id"], state=session
    )


def _change(session: Session, timestamp: float | None = None, **state: Any) -> Event:
    time = session.last_update_time + 1 if timestamp is None else timestamp
    return Event(author="user", timestamp=time, actions=EventActions(state_delta=state))


class AdkChecks(Checks):
    """A service in memory."""

    def __init__(self, folder: Path) -> None:
        self._service = InMemorySessionService()
        self._path = folder / "adk.db"

    async def fill(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            await _create(self._service, number)

    async def read(self, number: int) -> Session:
        return await self._service.get_session(
            app_name=APP, user_id=customer_of(number), session_id=record(number)["id"]
        )

    async def write(self, session: Session) -> None:
        await self._service.append_event(session, _change(session, tags=session.state["tags"]))

    async def touch(self, number: int) -> None:
        await self.write(await self.read(number))

    def tags(self, session: Session) -> list[str]:
        tags: list[str] = session.state["tags"]
        return tags

    async def of_customer(self, customer: str) -> list[str]:
        found = await self._service.list_sessions(app_name=APP, user_id=customer)
        return [each.id for each in found.sessions]

    async def of_channel(self, user: str) -> list[str]:
        found = await self._service.list_sessions(app_name=APP)
        return [each.id for each in found.sessions if (each.state["channel"], each.state["user"]) == ("slack", user)]

    async def channel(self) -> Cell:
        return replace(await super().channel(), note=ONE_KEY)

    async def isolation(self) -> Cell:
        shared = await super().isolation()
        self._service = InMemorySessionService()
        await self.fill([1])
        session = await self.read(1)
        self.tags(session).append("changed after the read")
        session = await self.read(1)
        await append_copy(self._service, session, _change(session, tags=session.state["tags"]))
        self.tags(session).append("changed after the save")
        is_own = self.tags(await self.read(1)) == ["new"]
        note = "Values of appended events are shared."
        return shared if shared.outcome == YES else by_hand(is_own, shared.observed, append_copy, note=note)

    async def pages(self) -> Cell:
        async def next_page(before: float | None) -> tuple[list[str], float]:
            found = await page(self._service, CUSTOMER, before, 4)
            return [each.id for each in found], found[-1].last_update_time

        lack = absent(InMemorySessionService, "limit", "page", "cursor")
        holds, observed = await self._pages(next_page)
        return by_hand(holds, f"{lack}; {observed}", page, note="Reads all sessions for each page.")

    async def stale(self) -> Cell:
        await self.fill([1])
        mine, other = await self.read(1), await self.read(1)
        await self.write(other)
        await self.write(mine)
        both = len((await self.read(1)).events)
        mine, other = await self.read(1), await self.read(1)
        saved = [await append_if_newest(self._service, each, _change(each, city="Faro")) for each in (other, mine)]
        observed = f"{both} of 2 appends accepted; a comparison works"
        note = f"Its services on a database {await self._stale_on_sqlite()}."
        return by_hand(saved == [True, False], observed, append_if_newest, note=note)

    async def _stale_on_sqlite(self) -> str:
        service = SqliteSessionService(str(self._path))
        first = await _create(service, 2)
        stale = copy.deepcopy(first)
        await service.append_event(first, _change(first, city="Faro"))
        try:
            await service.append_event(stale, _change(stale, city="Braga"))
        except StaleSessionError:
            return "refuse it"
        return "accept it too"

    async def turns(self) -> Cell:
        return await self._turns_by_locks(InMemorySessionService)

    async def expiry(self) -> Cell:
        await self.fill([0, 1])
        session = await self.read(0)
        await self._service.append_event(session, _change(session, session.last_update_time - 3_660))
        before = await self.of_customer(CUSTOMER)
        await forget(self._service, CUSTOMER, (await self.read(1)).last_update_time - 3_600)
        listed = await self.of_customer(CUSTOMER)
        lack = absent(InMemorySessionService, "ttl", "expire", "idle")
        return by_hand(listed == ["session-0001"], f"{lack}; listed {before}, after a sweep {listed}", forget)

    async def feed(self) -> Cell:
        self._service = telling = TellingService()
        await self.fill([0])
        await self.touch(0)
        await self._service.delete_session(app_name=APP, user_id=CUSTOMER, session_id="session-0000")
        seen = [kind for kind, _ in telling.changes]
        lack = absent(InMemorySessionService, "changes", "subscribe", "watch")
        return by_hand(seen == ["saved", "saved", "deleted"], f"{lack}; a subclass: {seen}", TellingService)

    async def sharing(self) -> Cell:
        await self.fill([1])
        self._service = InMemorySessionService()
        found = await self.read(1)
        self._path.unlink(missing_ok=True)
        await _create(SqliteSessionService(str(self._path)), 1)
        kept = await SqliteSessionService(str(self._path)).get_session(
            app_name=APP, user_id=customer_of(1), session_id="session-0001"
        )
        assert kept is not None
        return built_in(
            found is not None,
            "a second service is empty; one of SQLite has the session",
            note="Its database services do.",
        )

    async def queries(self) -> Cell:
        await self.fill(range(100))
        found = await scan(self._service, lambda state: state["city"] == "Lisbon" and state["turns"] > 90)
        lack = absent(InMemorySessionService, "filter", "query", "where")
        return by_hand(len(found) == 5, f"{lack}; a loop over all finds {len(found)} of 100", scan)

    async def history(self) -> Cell:
        await self.fill([1])
        for city in ("Lisbon", "Faro"):
            session = await self.read(1)
            await self._service.append_event(session, _change(session, city=city))
        cities = [event.actions.state_delta["city"] for event in (await self.read(1)).events]
        return built_in(
            cities == ["Lisbon", "Faro"], f"events: {cities}", note="ADK keeps events, LangGraph checkpoints."
        )

    async def framework(self) -> Cell:
        await self.fill([1])
        runner = Runner(app_name=APP, agent=_Echo(name="echo"), session_service=self._service)
        message = types.Content(role="user", parts=[types.Part(text="hello")])
        answers = [
            event.author
            async for event in runner.run_async(user_id=customer_of(1), session_id="session-0001", new_message=message)
        ]
        return built_in(answers == ["echo"], f"an agent answered: {answers}")

    def store(self) -> object:
        return self._service


class _Echo(BaseAgent):
    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncIterator[Event]:
        yield Event(author=self.name, invocation_id=ctx.invocation_id, content=ctx.user_content)
