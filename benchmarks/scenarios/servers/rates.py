"""Measure the calls per second of many tasks, beside a bare client that reads and writes the same bytes.

The lanes take turns, and each is compared with the bare lane of the same round, so that noise affects both.
"""

import asyncio
import gc
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from time import perf_counter, process_time
from typing import NamedTuple, TypeAlias

from redis.asyncio import Redis

from benchmarks.measure.progress import Progress
from benchmarks.scenarios.operations import change
from benchmarks.scenarios.servers.server import TIMEOUT_SECONDS, bare_client, cpu_seconds, url
from benchmarks.scenarios.sessions import Population, keys_of
from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore

TASKS = 50
LIST = 20

GET, SAVE = "get", "save"
BY_CHANNEL, BY_AGENT, BY_CUSTOMER = "get_by_channel", f"list_by_agent, {LIST}", "list_by_customer"
BARE_GET, BARE_SET = "bare GET", "bare SET"
GET_AND_LOAD, DUMP_AND_SET = "bare GET, model_validate_json()", "model_dump_json(), bare SET"
BARE = {
    GET: BARE_GET,
    SAVE: BARE_SET,
    BY_CHANNEL: BARE_GET,
    BY_AGENT: BARE_GET,
    BY_CUSTOMER: BARE_GET,
    GET_AND_LOAD: BARE_GET,
    DUMP_AND_SET: BARE_SET,
}
"""The bare call that each call is compared with. The last two are the least that sessions on a server cost."""

_ONE_TASK_SHARE = 10  # a single task makes a tenth of the calls
_LIVE_SESSIONS = 2_000  # kept in memory, to be saved again


@dataclass(frozen=True)
class Rate:
    """One kind of call, the medians of all rounds; `of_bare` is the share of the bare rate in the same round.

    Processor times of client and server are in microseconds per call, as is the time of a call of a single task.
    """

    call: str
    per_second: float
    of_bare: float | None
    client_cpu: float
    server_cpu: float
    one_task: float


class _Round(NamedTuple):
    per_second: float
    client_cpu: float
    server_cpu: float
    one_task: float


Call: TypeAlias = Callable[[Session], Awaitable[object]]


async def run(  # noqa: PLR0917  # as `Extent` has them
    port: int, size: int, seed: int, rounds: int, calls: int, progress: Progress
) -> list[Rate]:
    """Make some rounds, each with `calls` calls of each kind."""
    async with bare_client(port) as bare, RedisSessionStore(url(port), prefix="rates") as store:
        population = Population(size, seed)
        await store.load(population)
        # As the store returns them: checking a session that it has not seen before costs twice as much.
        some = islice(population, _LIVE_SESSIONS)
        found = [await store.get(session.session_id, tenant_id=session.tenant_id) for session in some]
        sessions = [session for session in found if session]
        lanes = _lanes(store, bare)
        gc.collect()
        gc.freeze()  # the live sessions belong to the benchmark
        try:
            for call in (BARE_SET, *lanes):  # opens connections, loads functions and fills the bare keys
                await _round(bare, lanes[call], sessions, min(calls, len(sessions)))
            made = []
            with progress.stage(f"server: {TASKS} tasks", rounds) as advance:
                for number in range(rounds):
                    order = list(lanes) if number % 2 else list(reversed(lanes))
                    # Fewer lists: each takes as long as twenty sessions.
                    counts = {name: calls // LIST if name == BY_AGENT else calls for name in order}
                    made.append({name: await _round(bare, lanes[name], sessions, counts[name]) for name in order})
                    advance(1)
        finally:
            gc.unfreeze()
    return [_rate(call, made) for call in lanes]


def _lanes(store: RedisSessionStore[Session], bare: Redis) -> dict[str, Call]:
    values: dict[str, bytes] = {}

    async def save(session: Session) -> None:
        change(session)
        await store.save(session)

    async def bare_get(session: Session) -> bytes:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            value = await bare.get(_bare_key(session))
        assert isinstance(value, bytes)
        return value

    async def bare_set(session: Session) -> None:
        key = _bare_key(session)
        value = values.get(key) or values.setdefault(key, session.model_dump_json().encode())
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await bare.set(key, value)

    async def get_and_load(session: Session) -> None:
        Session.model_validate_json(await bare_get(session))

    async def dump_and_set(session: Session) -> None:
        change(session)
        value = session.model_dump_json().encode()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await bare.set(_bare_key(session), value)

    return {
        BARE_GET: bare_get,
        GET: lambda session: store.get(session.session_id, tenant_id=session.tenant_id),
        GET_AND_LOAD: get_and_load,
        BARE_SET: bare_set,
        SAVE: save,
        DUMP_AND_SET: dump_and_set,
        BY_CHANNEL: lambda session: store.get_by_channel(session.tenant_id, session.channel, session.user_channel_id),
        BY_AGENT: lambda session: store.list_by_agent(session.tenant_id, session.agent_id, limit=LIST),
        BY_CUSTOMER: lambda session: store.list_by_customer(session.tenant_id, keys_of(session).customer_profile_id),
    }


async def _round(bare: Redis, call: Call, sessions: Sequence[Session], calls: int) -> _Round:
    server_before = await cpu_seconds(bare)
    cpu = process_time()
    seconds = await _work(call, sessions, calls, TASKS)
    client, server = process_time() - cpu, await cpu_seconds(bare) - server_before
    alone = ceil(calls / _ONE_TASK_SHARE)
    one_task = await _work(call, sessions, alone, 1) / alone
    return _Round(calls / seconds, client / calls * 1e6, server / calls * 1e6, one_task * 1e6)


async def _work(call: Call, sessions: Sequence[Session], calls: int, tasks: int) -> float:
    """Make the calls in some tasks; return the seconds."""
    numbers = iter(range(calls))

    async def work() -> None:
        for number in numbers:
            await call(sessions[number % len(sessions)])

    start = perf_counter()
    await asyncio.gather(*[work() for _ in range(tasks)])
    return perf_counter() - start


def _rate(call: str, rounds: Sequence[dict[str, _Round]]) -> Rate:
    bare = BARE.get(call)
    shares = [each[call].per_second / each[bare].per_second for each in rounds] if bare else []
    per_second, client_cpu, server_cpu, one_task = (
        round(statistics.median(values), 1) for values in zip(*[each[call] for each in rounds], strict=True)
    )
    of_bare = round(statistics.median(shares), 4) if shares else None
    return Rate(call, per_second, of_bare, client_cpu, server_cpu, one_task)


def _bare_key(session: Session) -> str:
    return f"bare:{session.session_id.hex}"
