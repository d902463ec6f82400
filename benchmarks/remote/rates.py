"""How many calls a second many tasks get done, beside a bare client that reads and writes the same bytes.

The lanes take turns, one round after the other, and each is compared with the bare one of the same round: what else the
machine does falls on both.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter, process_time
from typing import NamedTuple

from redis.asyncio import Redis

from benchmarks.operations import change
from benchmarks.progress import Progress
from benchmarks.remote.server import TIMEOUT, bare_client, cpu_seconds, url
from benchmarks.sessions import Population
from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore

TASKS = 50
LIST = 20

GET, SAVE = "get", "save"
BY_CHANNEL, BY_AGENT = "get_by_channel", f"list_by_agent, {LIST}"
BARE_GET, BARE_SET = "bare GET", "bare SET"
GET_AND_LOAD, DUMP_AND_SET = "bare GET, model_validate_json()", "model_dump_json(), bare SET"
BARE = {
    GET: BARE_GET,
    SAVE: BARE_SET,
    BY_CHANNEL: BARE_GET,
    BY_AGENT: BARE_GET,
    GET_AND_LOAD: BARE_GET,
    DUMP_AND_SET: BARE_SET,
}
"""What each call is compared with. The last two are what a dict of sessions on a server would cost at least."""

_LIVE = 2_000  # sessions at hand to save again


@dataclass(frozen=True)
class Rate:
    """What became of one kind of call: the medians of all rounds."""

    call: str
    per_second: float
    of_bare: float | None
    """The rate as a share of the bare one of the same round."""
    client_cpu: float
    server_cpu: float
    """Microseconds that each of the two computes for a call."""


class _Round(NamedTuple):
    per_second: float
    client_cpu: float
    server_cpu: float


Call = Callable[[int], Awaitable[object]]
"""Makes the call that has this number, and comes back when it is answered."""


async def run(
    port: int, size: int, seed: int, *, rounds: int, calls: int, progress: Progress, tasks: int = TASKS
) -> list[Rate]:
    """Make so many rounds of so many calls, of each kind in each."""
    async with bare_client(port) as bare, RedisSessionStore(url(port), prefix="rates") as store:
        sessions = await _populate(store, bare, Population(size, seed))
        lanes = _lanes(store, bare, sessions)
        gc.collect()
        gc.freeze()  # the sessions at hand are the benchmark's own
        try:
            for call in lanes.values():  # connections are made, and functions loaded
                await _round(bare, call, min(calls, 5 * tasks), tasks)
            with progress.stage(f"{tasks} tasks over loopback", rounds) as advance:
                made = []
                for number in range(rounds):
                    made.append(await _each(bare, lanes, number, calls, tasks))
                    advance(1)
        finally:
            gc.unfreeze()
    return [_rate(call, made) for call in lanes]


async def _populate(store: RedisSessionStore[Session], bare: Redis, population: Population) -> list[Session]:
    """Fill both, and return some of the sessions, as the store gives them out."""
    await store.load(population)
    live: list[Session] = []
    for session in islice(population, _LIVE):
        found = await store.get(session.session_id, tenant_id=session.tenant_id)
        assert found is not None
        live.append(found)
        await bare.set(_bare_key(found), _bare_value(found))
    return live


def _lanes(store: RedisSessionStore[Session], bare: Redis, sessions: Sequence[Session]) -> dict[str, Call]:
    count = len(sessions)
    keys = [_bare_key(session) for session in sessions]
    values = [_bare_value(session) for session in sessions]

    async def get(number: int) -> None:
        session = sessions[number % count]
        assert await store.get(session.session_id, tenant_id=session.tenant_id)

    async def save(number: int) -> None:
        session = sessions[number % count]
        change(session)
        await store.save(session)

    async def by_channel(number: int) -> None:
        session = sessions[number % count]
        assert await store.get_by_channel(session.tenant_id, session.channel, session.user_channel_id)

    async def by_agent(number: int) -> None:
        session = sessions[number % count]
        assert await store.list_by_agent(session.tenant_id, session.agent_id, limit=LIST)

    async def bare_get(number: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            assert await bare.get(keys[number % count])

    async def bare_set(number: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            await bare.set(keys[number % count], values[number % count])

    async def get_and_load(number: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            value = await bare.get(keys[number % count])
        assert value is not None
        Session.model_validate_json(value)

    async def dump_and_set(number: int) -> None:
        session = sessions[number % count]
        change(session)
        async with asyncio.timeout(TIMEOUT):
            await bare.set(keys[number % count], _bare_value(session))

    return {
        BARE_GET: bare_get,
        GET: get,
        GET_AND_LOAD: get_and_load,
        BARE_SET: bare_set,
        SAVE: save,
        DUMP_AND_SET: dump_and_set,
        BY_CHANNEL: by_channel,
        BY_AGENT: by_agent,
    }


async def _each(bare: Redis, lanes: dict[str, Call], number: int, calls: int, tasks: int) -> dict[str, _Round]:
    """Make one round of every lane, in every other round from the last to the first."""
    order = list(lanes) if number % 2 else list(reversed(lanes))
    # Of lists, fewer: each takes as long as twenty sessions do.
    share = {name: calls // LIST if name == BY_AGENT else calls for name in lanes}
    return {name: await _round(bare, lanes[name], share[name], tasks) for name in order}


async def _round(bare: Redis, call: Call, calls: int, tasks: int) -> _Round:
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(number)

    server_before = await cpu_seconds(bare)
    start, cpu = perf_counter(), process_time()
    await asyncio.gather(*[work() for _ in range(tasks)])
    seconds, computed = perf_counter() - start, process_time() - cpu
    server = await cpu_seconds(bare) - server_before
    return _Round(calls / seconds, computed / calls * 1e6, server / calls * 1e6)


def _rate(call: str, rounds: Sequence[dict[str, _Round]]) -> Rate:
    bare = BARE.get(call)
    shares = [each[call].per_second / each[bare].per_second for each in rounds] if bare else []
    return Rate(
        call,
        per_second=statistics.median(each[call].per_second for each in rounds),
        of_bare=statistics.median(shares) if shares else None,
        client_cpu=statistics.median(each[call].client_cpu for each in rounds),
        server_cpu=statistics.median(each[call].server_cpu for each in rounds),
    )


def _bare_key(session: Session) -> str:
    return f"bare:{session.session_id.hex}"


def _bare_value(session: Session) -> bytes:
    return session.model_dump_json().encode()
