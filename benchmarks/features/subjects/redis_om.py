"""redis-om: a JsonModel with indexed fields, on Redis with RediSearch and RedisJSON."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aredis_om import Field, JsonModel, Migrator, QueryNotSupportedError, get_redis_connection
from redis.exceptions import ResponseError, WatchError

from benchmarks.features.cells import Cell, absent, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, Checks, record
from benchmarks.features.tools import most_at_once


class Conversation(JsonModel, index=True):  # type: ignore[call-arg]
    """A session, with an index on each field that queries need."""

    id: str
    customer: str = Field(index=True)
    channel: str = Field(index=True)
    user: str = Field(index=True)
    city: str = Field(index=True)
    turns: int = Field(index=True)
    updated: int = Field(index=True, sortable=True)
    tags: list[str]
    revision: int = 0
    events: list[str] = []


def _session(number: int) -> Conversation:
    return Conversation(pk=record(number)["id"], **record(number))


def _use(url: str) -> None:
    # A model is usually bound to its server when the class is made. Here the server starts later.
    Conversation._meta.database = get_redis_connection(url=url, decode_responses=True)  # noqa: SLF001


class RedisOmChecks(Checks):
    """A model class, bound to one server."""

    unit = "steps of RediSearch"

    def __init__(self, url: str, plain_url: str) -> None:
        self._url, self._plain_url = url, plain_url
        _use(url)

    async def fill(self, numbers: Iterable[int]) -> None:
        await Migrator().run()
        await Conversation.add([_session(number) for number in numbers])

    async def read(self, number: int) -> Conversation:
        session: Conversation = await Conversation.get(record(number)["id"])
        return session

    async def write(self, session: Conversation) -> None:
        await session.save()

    async def touch(self, number: int) -> None:
        session = await self.read(number)
        session.updated += 1_000
        await session.save()

    def tags(self, session: Conversation) -> list[str]:
        tags: list[str] = session.tags
        return tags

    async def of_customer(self, customer: str) -> list[str]:
        self._query = Conversation.find(Conversation.customer == customer)
        return [each.id for each in await self._query.all()]

    async def of_channel(self, user: str) -> list[str]:
        self._query = Conversation.find((Conversation.channel == "slack") & (Conversation.user == user))
        return [each.id for each in await self._query.sort_by("-updated").page(0, 1)]

    async def steps(self, call: Callable[[], Awaitable[Any]]) -> int:
        await call()
        index, (_, _, *query) = await self._query.get_query()
        answer = await Conversation.db().execute_command("FT.PROFILE", index, "SEARCH", "QUERY", *query)
        return sum(int(count) for count in re.findall(r"'Counter': (\d+)", str(answer["profile"])))

    async def pages(self) -> Cell:
        async def page(before: int | None) -> tuple[list[str], int]:
            of_customer = Conversation.customer == CUSTOMER
            query = Conversation.find(of_customer & (Conversation.updated < (before or 2**53)))
            found = await query.sort_by("-updated").page(0, 4)
            return [each.id for each in found], found[-1].updated

        return built_in(*await self._pages(page))

    async def stale(self) -> Cell:
        overwritten = await self._overwritten()
        mine, other = await self.read(1), await self.read(1)
        saved = [await _save_if_newest(each) for each in (other, mine)]
        lack = absent(JsonModel, "revision", "expected", "conflict")
        return by_hand(saved == [True, False], f"{overwritten}; {lack}; WATCH and a revision work", _save_if_newest)

    async def turns(self) -> Cell:
        most = await most_at_once(lambda: Conversation.db().lock("turn:session-0001", timeout=10, sleep=0.01))
        return built_in(most == 1, f"with the lock of redis-py, at most {most} of 5 tasks at once")

    async def expiry(self) -> Cell:
        await self.fill([0, 1])
        await (await self.read(0)).expire(1)
        await asyncio.sleep(1.2)
        listed = await self.of_customer(CUSTOMER)
        count = await Conversation.find(Conversation.customer == CUSTOMER).count()
        return built_in((listed, count) == (["session-0001"], 1), f"after its `expire`: {listed}, count {count}")

    async def feed(self) -> Cell:
        await self.fill([])
        for number in (0, 1):
            await _save_and_tell(_session(number))
        await _delete_and_tell("session-0000")
        kinds = [entry["kind"] for _, entry in await Conversation.db().xrange("changes")]
        lack = absent(JsonModel, "changes", "subscribe", "watch")
        return by_hand(
            kinds == ["saved", "saved", "deleted"], f"{lack}; a stream: {kinds}", _save_and_tell, _delete_and_tell
        )

    async def sharing(self) -> Cell:
        await self.fill([1])
        async with get_redis_connection(url=self._url) as second:
            found = await second.exists((await self.read(1)).key())
        return built_in(found == 1, f"a second client sees {found} session of 1")

    async def queries(self) -> Cell:
        await self.fill(range(100))
        query = Conversation.find((Conversation.city == "Lisbon") & (Conversation.turns > 90))
        found = len(await query.all())
        try:
            await Conversation.find(Conversation.revision == 0).all()
            others = "takes other fields too"
        except QueryNotSupportedError:
            others = "refuses fields without an index"
        observed = f"`find` finds {found} of 100, and {others}; {await self._on_plain_server()}"
        return built_in(found == 5, observed, "Of indexed fields, with modules of Redis that Valkey lacks.")

    async def _on_plain_server(self) -> str:
        await Conversation.db().aclose()
        _use(self._plain_url)
        try:
            await _session(1).save()
        except ResponseError as error:
            return f"without the modules, Valkey answers {str(error).partition(',')[0]!r}"
        raise AssertionError("Valkey takes it without the modules: review the note")

    async def history(self) -> Cell:
        overwritten = await self._overwritten()
        for state in ("first", "second"):
            await _save_with_event(await self.read(1), state)
        events = (await self.read(1)).events
        return by_hand(events == ["first", "second"], f"{overwritten}; a list field: {events}", _save_with_event)

    def store(self) -> object:
        return Conversation(pk="none", **record(0))

    async def aclose(self) -> None:
        await Conversation.db().aclose()


async def _save_if_newest(session: Conversation) -> bool:
    async with Conversation.db().pipeline(transaction=True) as pipe:
        await pipe.watch(session.key())
        if (await Conversation.get(session.pk)).revision != session.revision:
            return False
        session.revision += 1
        pipe.multi()
        await session.save(pipeline=pipe)
        try:
            await pipe.execute()
        except WatchError:
            return False
        return True


async def _save_and_tell(session: Conversation) -> None:
    async with Conversation.db().pipeline(transaction=True) as pipe:
        await session.save(pipeline=pipe)
        pipe.xadd("changes", {"kind": "saved", "id": session.pk}, maxlen=1_000)
        await pipe.execute()


async def _delete_and_tell(pk: str) -> None:
    async with Conversation.db().pipeline(transaction=True) as pipe:
        await Conversation.delete(pk, pipeline=pipe)
        pipe.xadd("changes", {"kind": "deleted", "id": pk}, maxlen=1_000)
        await pipe.execute()


async def _save_with_event(session: Conversation, event: str) -> None:
    session.events.append(event)
    await session.save()
