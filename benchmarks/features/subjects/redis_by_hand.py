"""redis-py on Valkey: a JSON string for each session, and a sorted set for each list."""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import WatchError

from benchmarks.features.cells import YES, Cell, built_in, by_hand
from benchmarks.features.checks import CUSTOMER, Checks, record
from benchmarks.features.servers import keys_read
from benchmarks.features.tools import most_at_once


class RedisChecks(Checks):
    """A key for each session, and two sorted sets by last activity: of the customer, and of the channel identity."""

    unit = "keys read"

    def __init__(self, url: str) -> None:
        self._url = url
        self._redis: Any = Redis.from_url(url, decode_responses=True)

    async def fill(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            await self.write(record(number))

    async def read(self, number: int) -> dict[str, Any]:
        session: dict[str, Any] = json.loads(await self._redis.get(record(number)["id"]))
        return session

    async def write(self, session: dict[str, Any]) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(session["id"], json.dumps(session))
            pipe.zadd(f"of:{session['customer']}", {session["id"]: session["updated"]})
            pipe.zadd(f"of:{session['channel']}:{session['user']}", {session["id"]: session["updated"]})
            await pipe.execute()

    async def touch(self, number: int) -> None:
        session = await self.read(number)
        await self.write(session | {"updated": session["updated"] + 1_000})

    async def _newest(self, key: str, limit: int, before: str = "+inf") -> list[dict[str, Any]]:
        ids = await self._redis.zrevrangebyscore(key, before, "-inf", start=0, num=limit)
        return [json.loads(body) for body in await self._redis.mget(ids) if body] if ids else []

    async def of_customer(self, customer: str) -> list[str]:
        return [each["id"] for each in await self._newest(f"of:{customer}", 100)]

    async def of_channel(self, user: str) -> list[str]:
        return [each["id"] for each in await self._newest(f"of:slack:{user}", 1)]

    async def customer(self) -> Cell:
        return self._indexed_by_hand(await super().customer())

    async def channel(self) -> Cell:
        return self._indexed_by_hand(await super().channel())

    def _indexed_by_hand(self, found: Cell) -> Cell:
        return by_hand(found.outcome == YES, found.observed, RedisChecks.write, RedisChecks._newest)

    async def steps(self, call: Callable[[], Awaitable[Any]]) -> int:
        return await keys_read(self._redis, call)

    async def pages(self) -> Cell:
        async def page(before: int | None) -> tuple[list[str], int]:
            found = await self._newest(f"of:{CUSTOMER}", 4, "+inf" if before is None else f"({before}")
            return [each["id"] for each in found], found[-1]["updated"]

        return by_hand(*await self._pages(page), RedisChecks.write, RedisChecks._newest)

    async def stale(self) -> Cell:
        overwritten = await self._overwritten()
        mine = other = record(1) | {"revision": 0}
        await self.write(mine)
        saved = [await _save_if_newest(self._redis, each) for each in (other, mine)]
        return by_hand(saved == [True, False], f"{overwritten}; WATCH and a revision work", _save_if_newest)

    async def turns(self) -> Cell:
        most = await most_at_once(lambda: self._redis.lock("turn:session-0001", timeout=10, sleep=0.01))
        return built_in(most == 1, f"with the lock of redis-py, at most {most} of 5 tasks at once")

    async def expiry(self) -> Cell:
        await self.fill([0])
        await self.write(record(1) | {"updated": record(1)["updated"] + 3_600_000_000})
        await self._redis.delete("session-0000")  # as EXPIRE would
        key = f"of:{CUSTOMER}"
        stale = await self._redis.zcard(key)
        await _forget(self._redis, key, record(0)["updated"] + 1)
        left = await self._redis.zrange(key, 0, -1)
        return by_hand(left == ["session-0001"], f"EXPIRE leaves {stale} in the list; a sweep: {left}", _forget)

    async def feed(self) -> Cell:
        for number in (0, 1):
            await _save_and_tell(self._redis, record(number))
        await _delete_and_tell(self._redis, record(0))
        kinds = [entry["kind"] for _, entry in await self._redis.xrange("changes")]
        return by_hand(
            kinds == ["saved", "saved", "deleted"],
            f"a stream, written with each change: {kinds}",
            _save_and_tell,
            _delete_and_tell,
        )

    async def sharing(self) -> Cell:
        await self.fill([1])
        async with Redis.from_url(self._url) as second:
            found = await second.exists("session-0001")
        return built_in(found == 1, f"a second client sees {found} session of 1")

    async def queries(self) -> Cell:
        await self.fill(range(100))
        found = await _scan(self._redis, lambda each: each["city"] == "Lisbon" and each["turns"] > 90)
        lacks = "FT.SEARCH" not in {name.upper() for name in await self._redis.command_list()}
        return by_hand(len(found) == 5 and lacks, "the server has no FT.SEARCH; SCAN and a loop work", _scan)

    async def history(self) -> Cell:
        overwritten = await self._overwritten()
        for city in ("Lisbon", "Faro"):
            await _save_and_keep(self._redis, record(1) | {"city": city})
        cities = [json.loads(body)["city"] for body in await self._redis.lrange("history:session-0001", 0, -1)]
        return by_hand(cities == ["Lisbon", "Faro"], f"{overwritten}; a list: {cities}", _save_and_keep)

    def store(self) -> object:
        return self._redis

    async def aclose(self) -> None:
        await self._redis.aclose()


async def _save_if_newest(redis: Any, session: dict[str, Any]) -> bool:
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch(session["id"])
        stored = json.loads(await pipe.get(session["id"]))
        if stored["revision"] != session["revision"]:
            return False
        pipe.multi()
        pipe.set(session["id"], json.dumps(session | {"revision": session["revision"] + 1}))
        try:
            await pipe.execute()
        except WatchError:
            return False
        return True


async def _forget(redis: Any, key: str, idle_before: int) -> None:
    ids = await redis.zrangebyscore(key, "-inf", f"({idle_before}")
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete("", *ids)
        pipe.zremrangebyscore(key, "-inf", f"({idle_before}")
        await pipe.execute()


async def _save_and_tell(redis: Any, session: dict[str, Any]) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.set(session["id"], json.dumps(session))
        pipe.xadd("changes", {"kind": "saved", "id": session["id"]}, maxlen=1_000)
        await pipe.execute()


async def _delete_and_tell(redis: Any, session: dict[str, Any]) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.delete(session["id"])
        pipe.xadd("changes", {"kind": "deleted", "id": session["id"]}, maxlen=1_000)
        await pipe.execute()


async def _scan(redis: Any, matches: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    found = [json.loads(await redis.get(key) or "{}") async for key in redis.scan_iter("session-*")]
    return [each for each in found if each and matches(each)]


async def _save_and_keep(redis: Any, session: dict[str, Any]) -> None:
    async with redis.pipeline(transaction=True) as pipe:
        pipe.set(session["id"], json.dumps(session))
        pipe.rpush(f"history:{session['id']}", json.dumps(session))
        await pipe.execute()
