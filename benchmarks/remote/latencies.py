"""What one task waits for each operation, beside the store in memory and the bare server."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from benchmarks.clock import SteppedClock
from benchmarks.contestants import INDEXED, Contestant
from benchmarks.measure import TURNS, Budget, Lane, Sample, interleave, timed
from benchmarks.operations import GET, OPERATIONS, SAVE, once, sessions_in
from benchmarks.progress import Progress
from benchmarks.remote.server import bare_client, url
from benchmarks.results import Cell
from benchmarks.sessions import UNIFORM, Population, SessionKeys, keys_of
from sessiondex import InMemorySessionStore, Session, SessionStore
from sessiondex.stores.redis import RedisSessionStore

REDIS, BARE = "Redis store", "bare GET or SET"
GET_OF_TENANT = "get, tenant given"
NAMES = (GET_OF_TENANT, *OPERATIONS)

Once = Callable[[int], Awaitable[Sample]]


async def run(port: int, size: int, seed: int, budget: Budget, progress: Progress) -> list[Cell]:
    """Time each operation on both stores by turns, one call at a time, with so many sessions in each."""
    clock = SteppedClock()
    async with (
        bare_client(port) as bare,
        RedisSessionStore(url(port), prefix="latencies") as store,
        InMemorySessionStore[Session](clock=clock) as indexed,
    ):
        population = Population(size, seed)
        keys, json = await _populate([store, indexed], population)
        pool = [keys[place] for place in population.draws[UNIFORM]]
        await bare.set("bare", json)
        field = [Contestant(INDEXED, indexed, clock), Contestant(REDIS, store, clock)]
        bare_calls: dict[str, Callable[[], Awaitable[object]]] = {
            GET_OF_TENANT: partial(bare.get, "bare"),
            GET: partial(bare.get, "bare"),
            SAVE: partial(bare.set, "bare", json),
        }
        cells: list[Cell] = []
        with progress.stage("one task over loopback", TURNS * len(NAMES)) as advance:
            for name in NAMES:
                gc.collect()
                lanes = [Lane(each.name, _once(name, each, pool)) for each in field]
                if name in bare_calls:
                    lanes.append(Lane(BARE, _bare_once(bare_calls[name])))
                summaries = await interleave(lanes, budget, partial(advance, 1))
                cells += [Cell(size, name, UNIFORM, lane, summary) for lane, summary in summaries.items()]
    return cells


async def _populate(stores: Sequence[SessionStore[Session]], population: Population) -> tuple[list[SessionKeys], bytes]:
    """Fill the stores; return the keys of all sessions, and one of them as JSON."""
    sessions = list(population)
    for store in stores:
        await store.load(sessions)
    return [keys_of(session) for session in sessions], sessions[0].model_dump_json().encode()


def _once(name: str, contestant: Contestant, pool: Sequence[SessionKeys]) -> Once:
    async def get(position: int) -> Sample:
        keys, store = pool[position % len(pool)], contestant.store
        assert isinstance(store, SessionStore)
        nanoseconds, answer = await timed(partial(store.get, keys.session_id, tenant_id=keys.tenant_id))
        return Sample(nanoseconds, len(sessions_in(answer)))

    if name == GET_OF_TENANT:
        return get
    return lambda position: once(name, contestant, pool[position % len(pool)])


def _bare_once(call: Callable[[], Awaitable[object]]) -> Once:
    async def once_bare(_: int) -> Sample:
        nanoseconds, answer = await timed(call)
        assert answer
        return Sample(nanoseconds, 1)

    return once_bare
