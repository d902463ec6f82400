"""The same query in populations of every size, by turns: what a query costs with more sessions around it.

A run that times one size after the other sees the machine's moods as growth. Here all populations live side by side,
and the lanes of an operation, one for each size, take turns. The result is as long at every size, and the cost is given
for each session of it.

Each operation asks for other sessions than the one before: what that has read is in the processor's cache.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from uuid import UUID

from benchmarks.alone import NONE_HOT
from benchmarks.contestants import INDEXED
from benchmarks.controls import DICT_READ, DICT_READS, read_each
from benchmarks.measure import TURNS, Budget, Lane, Sample, interleave, listen, timed, timed_at_once
from benchmarks.operations import (
    BY_AGENT,
    BY_AGENT_STATUS,
    BY_CHANNEL,
    BY_CUSTOMER,
    BY_STEP,
    GET,
    READS,
    Bind,
    sessions_in,
)
from benchmarks.progress import Progress
from benchmarks.results import Cell
from benchmarks.sessions import UNIFORM, ZIPF, Population, SessionKeys, keys_of
from benchmarks.traffic import Directory
from sessiondex import InMemorySessionStore, Session, SessionStatus

UNPACK = "model_validate_json() and model_copy()"
"""What a packed read is compared to: the session from its JSON, and a copy of it."""

DISTRIBUTIONS = (UNIFORM, ZIPF)
_SETTINGS = {INDEXED: 10_000, NONE_HOT: 0}
_DRAWS = 2_048  # for each operation
_DICT_DRAWS = 1_000 * DICT_READS
_BATCH = 500

QUERIES: dict[str, Bind] = {
    GET: READS[GET],
    BY_CHANNEL: READS[BY_CHANNEL],
    BY_AGENT: lambda store, keys: partial(store.list_by_agent, keys.tenant_id, keys.agent_id, limit=10),
    BY_AGENT_STATUS: lambda store, keys: partial(
        store.list_by_agent, keys.tenant_id, keys.agent_id, status=SessionStatus.ACTIVE, limit=5
    ),
    BY_CUSTOMER: lambda store, keys: partial(store.list_by_customer, keys.tenant_id, keys.customer_profile_id, limit=1),
    BY_STEP: READS[BY_STEP],
}
"""With limits that an agent and a customer reach in a population of a thousand."""


@dataclass
class _Wanted:
    """A session to ask for, and its JSON."""

    keys: SessionKeys
    json: bytes


@dataclass
class _Populated:
    """One population: the stores that hold it, a dict of its ids, and what to ask for."""

    size: int
    stores: dict[str, InMemorySessionStore[Session]]
    directory: Directory
    by_id: dict[UUID, int] = field(default_factory=dict)
    wanted: dict[int, _Wanted] = field(default_factory=dict)
    """By the place in the population."""

    def pool(self, operation: str, keys: str, seed: int) -> Sequence[int]:
        """Return the places of the sessions that the operation asks for."""
        start = list(QUERIES).index(operation) * _DRAWS
        return self.directory.places(keys, _DRAWS * len(QUERIES), seed)[start : start + _DRAWS]


async def run(sizes: Sequence[int], seed: int, budget: Budget, progress: Progress) -> list[Cell]:
    """Return the cells of all queries at all sizes, and of the controls.

    The indexed store takes part twice, with its default settings and with no session hot.
    """
    populated = [await _populate(Population(size, seed), seed, progress) for size in sizes]
    gc.collect()
    gc.freeze()  # the ids in the dicts and the keys to ask for are the benchmark's own; no store has them
    try:
        return await _time(populated, seed, budget, progress)
    finally:
        gc.unfreeze()


async def _populate(population: Population, seed: int, progress: Progress) -> _Populated:
    size = population.size
    stores = {name: InMemorySessionStore[Session](hot_sessions=hot) for name, hot in _SETTINGS.items()}
    here = _Populated(size, stores, Directory(size))
    sessions = iter(population)
    with progress.stage(f"{size:,} by its side: load", size) as advance:
        while batch := list(islice(sessions, _BATCH)):
            for store in stores.values():
                await store.load(batch)
            for session in batch:
                here.directory.add(session.session_id, (session.tenant_id, session.agent_id))
                here.by_id[UUID(bytes=session.session_id.bytes)] = 1
            advance(len(batch))
            await listen()
    await _prepare(here, seed)
    return here


async def _prepare(here: _Populated, seed: int) -> None:
    """Read the sessions that will be asked for, once: their keys are what a caller has."""
    store = here.stores[NONE_HOT]
    for place in {place for keys in DISTRIBUTIONS for query in QUERIES for place in here.pool(query, keys, seed)}:
        session = await store.get(here.directory.session_id(place))
        assert session is not None
        here.wanted[place] = _Wanted(keys_of(session), session.model_dump_json().encode())


async def _time(populated: Sequence[_Populated], seed: int, budget: Budget, progress: Progress) -> list[Cell]:
    cells: list[Cell] = []
    contests = [(query, keys) for query in QUERIES for keys in DISTRIBUTIONS]
    with progress.stage("side by side: time", TURNS * len(contests)) as advance:
        for query, keys in contests:
            lanes = {(here.size, name): lane for here in populated for name, lane in _lanes(here, query, keys, seed)}
            summaries = await interleave(list(lanes.values()), budget, partial(advance, 1))
            cells += [Cell(size, query, keys, name, summaries[lane.name]) for (size, name), lane in lanes.items()]
    return cells


def _lanes(here: _Populated, query: str, keys: str, seed: int) -> list[tuple[str, Lane]]:
    pool = here.pool(query, keys, seed)
    # The second store begins elsewhere: what the first asked for is in the cache, keys and all.
    half = len(pool) // 2
    pools = [pool, [*pool[half:], *pool[:half]]]
    lanes = [(name, _query_lane(here, name, query, of)) for name, of in zip(here.stores, pools, strict=True)]
    if query == GET:
        lanes += [(DICT_READ, _dict_lane(here, keys, seed)), (UNPACK, _unpack_lane(here, pool))]
    return lanes


def _query_lane(here: _Populated, name: str, query: str, pool: Sequence[int]) -> Lane:
    store, bind = here.stores[name], QUERIES[query]

    async def once(position: int) -> Sample:
        nanoseconds, answer = await timed(bind(store, here.wanted[pool[position % len(pool)]].keys))
        return Sample(nanoseconds, len(sessions_in(answer)))

    return Lane(f"{here.size} {name}", once)


def _unpack_lane(here: _Populated, pool: Sequence[int]) -> Lane:
    async def once(position: int) -> Sample:
        json = here.wanted[pool[position % len(pool)]].json
        nanoseconds, _ = timed_at_once(lambda: Session.model_validate_json(json).model_copy())
        return Sample(nanoseconds, 1)

    return Lane(f"{here.size} {UNPACK}", once)


def _dict_lane(here: _Populated, keys: str, seed: int) -> Lane:
    # Many places, or else the entries of the few would soon all be in the cache; and new ids, as a request has them.
    places = here.directory.places(keys, _DICT_DRAWS, seed + 1)

    async def once(position: int) -> Sample:
        start = position * DICT_READS % len(places)
        ids = [here.directory.session_id(place) for place in places[start : start + DICT_READS]]
        nanoseconds, _ = timed_at_once(partial(read_each, here.by_id, ids))
        return Sample(nanoseconds, DICT_READS)

    return Lane(f"{here.size} {DICT_READ}", once)
