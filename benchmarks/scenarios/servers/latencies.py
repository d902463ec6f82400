"""Time single calls on the Redis store, beside the store in memory and a bare client."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from benchmarks.measure.clock import SteppedClock
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import TURNS, Budget, Lane, Sample, interleave, timed
from benchmarks.scenarios.lookups import Cell
from benchmarks.scenarios.operations import GET, OPERATIONS, SAVE, once, sessions_in
from benchmarks.scenarios.servers.server import bare_client, url
from benchmarks.scenarios.sessions import UNIFORM, Population, SessionKeys, keys_of
from benchmarks.stores.subjects import INDEXED, Subject
from sessiondex import InMemorySessionStore, Session, SessionStore
from sessiondex.stores.redis import RedisSessionStore

REDIS, BARE = "Redis store", "bare GET or SET"
GET_OF_TENANT = "get, tenant given"
NAMES = (GET_OF_TENANT, *OPERATIONS)


async def run(port: int, size: int, seed: int, budget: Budget, progress: Progress) -> list[Cell]:
    """Time each operation on both stores in turns, one call at a time."""
    clock = SteppedClock()
    async with (
        bare_client(port) as bare,
        RedisSessionStore(url(port), prefix="latencies") as store,
        InMemorySessionStore[Session](clock=clock) as indexed,
    ):
        population = Population(size, seed)
        sessions = list(population)
        await store.load(sessions)
        await indexed.load(sessions)
        pool = [keys_of(sessions[position]) for position in population.draws[UNIFORM]]
        json = sessions[0].model_dump_json().encode()
        await bare.set("bare", json)
        set_bare = partial(bare.set, "bare", json)
        bare_calls: dict[str, Callable[[], Awaitable[object]]] = dict.fromkeys(
            (GET_OF_TENANT, GET), partial(bare.get, "bare")
        )
        bare_calls[SAVE] = set_bare
        cells: list[Cell] = []
        with progress.stage("server: one task", TURNS * len(NAMES)) as advance:
            for name in NAMES:
                gc.collect()
                lanes = [
                    _lane(name, Subject(INDEXED, indexed, clock), pool),
                    _lane(name, Subject(REDIS, store, clock), pool),
                ]
                if name in bare_calls:
                    lanes.append(_bare_lane(bare_calls[name]))
                summaries = await interleave(lanes, budget, partial(advance, 1))
                cells += [Cell(size, name, UNIFORM, lane, summary) for lane, summary in summaries.items()]
    return cells


def _lane(name: str, subject: Subject, pool: Sequence[SessionKeys]) -> Lane:
    async def get_of_tenant(position: int) -> Sample:
        assert isinstance(subject.store, SessionStore)
        keys = pool[position % len(pool)]
        get = partial(subject.store.get, keys.session_id, tenant_id=keys.tenant_id)
        nanoseconds, answer = await timed(get)
        return Sample(nanoseconds, len(sessions_in(answer)))

    if name == GET_OF_TENANT:
        return Lane(subject.name, get_of_tenant)
    return Lane(subject.name, lambda position: once(name, subject, pool[position % len(pool)]))


def _bare_lane(call: Callable[[], Awaitable[object]]) -> Lane:
    async def once_bare(_: int) -> Sample:
        nanoseconds, answer = await timed(call)
        assert answer
        return Sample(nanoseconds, 1)

    return Lane(BARE, once_bare)
