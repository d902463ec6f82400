"""sessiondex, in memory and on a server: the same checks, with another URL."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid5

from benchmarks.features.cells import Cell, absent, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, Checks, customer_of, identity_of
from benchmarks.features.tools import bytecodes, most_at_once
from sessiondex import Channel, ConflictError, Session, SessionStore, open_store

TENANT = UUID(int=1)


class Conversation(Session):
    """A session with the fields that the service adds."""

    name: str
    tags: list[str] = ["new"]
    events: list[str] = []


def _id(name: str) -> UUID:
    return uuid5(TENANT, name)


def _session(number: int) -> Conversation:
    return Conversation(
        session_id=_id(f"session-{number}"),
        tenant_id=TENANT,
        agent_id=UUID(int=2),
        channel=Channel.SLACK,
        user_channel_id=identity_of(number),
        customer_profile_id=_id(customer_of(number)),
        turn_count=number,
        variables={"city": "Lisbon" if number % 2 else "Porto"},
        name=f"session-{number:04}",
    )


class SessiondexChecks(Checks):
    """A store of `open_store`. On a server, `count_steps` counts the keys that are read there."""

    def __init__(
        self,
        url: str,
        unit: str = "bytecodes",
        count_steps: Callable[[Callable[[], Awaitable[Any]]], Awaitable[int]] = bytecodes,
    ) -> None:
        self.unit = unit
        self._url, self._count_steps = url, count_steps
        self._options = {} if url == "memory://" else {"session_classes": [Conversation]}
        self._now = datetime.now(UTC)
        self._store: SessionStore[Conversation] = open_store(url, **self._options)

    async def fill(self, numbers: Iterable[int]) -> None:
        await self._store.load(_session(number) for number in numbers)

    async def read(self, number: int) -> Conversation:
        session = await self._store.get(_id(f"session-{number}"))
        assert session is not None
        return session

    async def write(self, session: Conversation) -> None:
        await self._store.save(session)

    async def touch(self, number: int) -> None:
        await self.write(await self.read(number))

    def tags(self, session: Conversation) -> list[str]:
        return session.tags

    async def of_customer(self, customer: str) -> list[str]:
        return [each.name for each in await self._store.list_by_customer(TENANT, _id(customer))]

    async def of_channel(self, user: str) -> list[str]:
        found = await self._store.get_by_channel(TENANT, Channel.SLACK, user)
        return [found.name] if found else []

    async def steps(self, call: Callable[[], Awaitable[Any]]) -> int:
        return await self._count_steps(call)

    async def pages(self) -> Cell:
        async def page(before: datetime | None) -> tuple[list[str], datetime]:
            found = await self._store.list_by_customer(TENANT, _id(CUSTOMER), limit=4, before=before)
            return [each.name for each in found], found[-1].last_activity_at

        return built_in(*await self._pages(page))

    async def stale(self) -> Cell:
        await self.fill([1])
        mine, other = await self.read(1), await self.read(1)
        await self._store.save(other, expected_revision=other.revision)
        try:
            await self._store.save(mine, expected_revision=mine.revision)
        except ConflictError as error:
            return built_in(True, f"ConflictError: {error}")
        return built_in(False, "the second write replaced the first")

    async def turns(self) -> Cell:
        await self.fill([1])
        most = await most_at_once(lambda: self._store.exclusive(_id("session-1"), timeout=10))
        return built_in(most == 1, f"at most {most} of 5 tasks in `exclusive` at once")

    async def expiry(self) -> Cell:
        await self._store.aclose()
        self._store = open_store(self._url, idle_ttl=timedelta(hours=1), clock=lambda: self._now, **self._options)
        await self.fill([0])
        self._now += timedelta(minutes=61)
        await self.fill([1])
        listed = await self.of_customer(CUSTOMER)
        count = await self._store.count_by_customer(TENANT, _id(CUSTOMER))
        return built_in((listed, count) == (["session-0001"], 1), f"after 61 minutes: {listed}, count {count}")

    async def feed(self) -> Cell:
        changes = self._store.changes()
        await self.fill([0, 1])
        await self._store.delete(_id("session-0"))
        async with asyncio.timeout(10):
            seen = [(await anext(changes)).kind for _ in range(3)]
        return built_in(seen == ["saved", "saved", "deleted"], f"seen: {', '.join(seen)}")

    async def restart(self) -> Cell:
        if self._url != "memory://":
            return await self.sharing()
        with TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/sessions.db"
            async with open_store(url) as first:
                await first.save(_session(1))
            async with open_store(url, session_classes=[Conversation]) as second:
                found = await second.get(_id("session-1"))
        return built_in(found is not None, f"with sqlite://, a second store has {'the' if found else 'no'} session")

    async def sharing(self) -> Cell:
        await self.fill([1])
        async with open_store(self._url, **self._options) as second:
            found = await second.get(_id("session-1"))
        return built_in(found is not None, f"a second store of the same URL has {'the' if found else 'no'} session")

    async def queries(self) -> Cell:
        await self.fill(range(100))
        found = await _scan(self._store, lambda each: each.variables["city"] == "Lisbon" and each.turn_count > 90)
        return by_hand(len(found) == 5, f"{absent(SessionStore, 'where', 'query')}; a scan of `export` works", _scan)

    async def history(self) -> Cell:
        await self.fill([1])
        for state in ("first", "second"):
            await _save_with_event(self._store, await self.read(1), state)
        lack = absent(SessionStore, "history", "event", "past")
        return by_hand(
            (await self.read(1)).events == ["first", "second"], f"{lack}; a list field works", _save_with_event
        )

    def store(self) -> object:
        return self._store

    async def aclose(self) -> None:
        await self._store.aclose()


async def _scan(store: SessionStore[Conversation], matches: Callable[[Conversation], bool]) -> list[Conversation]:
    found, cursor = [], None
    while True:
        page, cursor = await store.export(cursor=cursor)
        found += [each for each in page if matches(each)]
        if cursor is None:
            return found


async def _save_with_event(store: SessionStore[Conversation], session: Conversation, event: str) -> None:
    session.events.append(event)
    await store.save(session)
