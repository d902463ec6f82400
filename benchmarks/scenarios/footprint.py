"""Measure memory, garbage collection and pauses: each store in its own process, one process at a time.

`python -m benchmarks.scenarios.footprint VARIANT SESSIONS SEED SECONDS` prints a `Footprint` as JSON. In a shared
process, freed memory and garbage of other stores would be counted.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, repeat
from time import perf_counter

from pydantic import TypeAdapter

from benchmarks.measure.delays import Delays, Ticker
from benchmarks.measure.machine import full_collection, resident_bytes
from benchmarks.measure.processes import run_module
from benchmarks.measure.progress import Progress
from benchmarks.scenarios.own_fields import CLASSES, with_own_fields
from benchmarks.scenarios.sessions import UNIFORM, ZIPF, Population
from benchmarks.scenarios.traffic import LISTS_PER_SECOND, Directory, Driver, Traffic
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import INDEXED, REFERENCE, Store
from sessiondex import InMemorySessionStore, Session

WITHOUT_CACHE = "indexed, without cache"
"""The indexed store with `cache_size=0`: no session is kept as a live object."""

VARIANTS: dict[str, Callable[[], Store]] = {
    INDEXED: InMemorySessionStore,
    WITHOUT_CACHE: lambda: InMemorySessionStore(cache_size=0),
    REFERENCE: ReferenceScan,
    **dict.fromkeys(CLASSES, InMemorySessionStore),
}

_BATCH_SIZE = 20  # sessions made between two turns of the loop
_READS = 60_000  # skewed: some thousand sessions are read twice, which fills the cache
MIN_WEIGHED = 10_000  # sessions: the memory of fewer is lost in that of the process


@dataclass(frozen=True)
class Footprint:
    """The memory and the pauses of one variant with this many sessions."""

    variant: str
    sessions: int
    bytes_per_session: float | None
    """Growth of the resident memory over loading and reading. `None` below 10,000 sessions and outside Linux."""
    cached_sessions: int | None
    """How many were live objects as well. `None` for stores without a cache."""
    collection: float
    """Milliseconds of a full garbage collection with the sessions."""
    collection_before: float
    """Milliseconds of one before any session was there, for the imports alone."""
    loaded_per_second: float
    """Making the sessions is not counted."""
    loading_pauses: Delays
    traffic: list[Traffic]


async def run(
    sizes: Sequence[int], variants: Sequence[str], seed: int, seconds: float, progress: Progress
) -> list[Footprint]:
    """Measure each variant at each size; at the largest one also send traffic for `seconds` with each kind of keys.

    Raises:
        ProcessFailedError: a process failed; the message holds its error output.
    """
    footprints = []
    with progress.stage("memory and pauses", len(sizes) * len(variants)) as advance:
        for size in sizes:
            for variant in variants:
                footprints.append(await measure_in_process(variant, size, seed, seconds if size == sizes[-1] else 0))
                advance(1)
    return footprints


async def measure_in_process(variant: str, size: int, seed: int, seconds: float) -> Footprint:
    """Measure one variant in its own process, which is killed if this call is cancelled."""
    arguments = variant, size, seed, seconds
    out = await run_module("benchmarks.scenarios.footprint", *arguments, what=f"{variant}, {size:,} sessions")
    return TypeAdapter(Footprint).validate_json(out)


async def measure(variant: str, size: int, seed: int, seconds: float) -> Footprint:
    """Load the variant, weigh it, and send it traffic for `seconds` with each kind of keys; for 0, none."""
    store = VARIANTS[variant]()
    sessions, directory = iter(Population(size, seed)), Directory(size)
    if cls := CLASSES.get(variant):
        sessions = map(with_own_fields, sessions, repeat(cls))
    collection_before, resident_before = full_collection(), resident_bytes()
    # The first session draws the keys of all, which takes a second or two for a million: before the ticker runs.
    batch = list(islice(sessions, 1))
    ticker, load_seconds = Ticker(), 0.0
    with ticker.running():
        while batch:
            for session in batch:
                directory.add(session.session_id, session.tenant_id, session.agent_id)
            start = perf_counter()
            await _load(store, batch)
            load_seconds += perf_counter() - start
            await asyncio.sleep(0)
            batch = list(islice(sessions, _BATCH_SIZE))
    for position in directory.positions(ZIPF, min(_READS, 6 * size), seed):
        await store.get(directory.session_id(position))
    collection, resident = full_collection(), resident_bytes()
    is_weighed = size >= MIN_WEIGHED and resident is not None and resident_before is not None
    stats = store.stats() if isinstance(store, InMemorySessionStore) else None
    return Footprint(
        variant=variant,
        sessions=size,
        bytes_per_session=round(((resident or 0) - (resident_before or 0)) / size, 1) if is_weighed else None,
        cached_sessions=None if stats is None else stats.cached_sessions,
        collection=collection,
        collection_before=collection_before,
        loaded_per_second=round(size / load_seconds, 1),
        loading_pauses=ticker.pauses(),
        traffic=[await _drive(store, directory, seed, keys, seconds) for keys in (UNIFORM, ZIPF) if seconds],
    )


async def _load(store: Store, batch: Sequence[Session]) -> None:
    if isinstance(store, InMemorySessionStore):
        await store.load(batch)
    else:
        for session in batch:
            await store.save(session)


async def _drive(store: Store, directory: Directory, seed: int, keys: str, seconds: float) -> Traffic:
    # No lists from the reference scan: each visits all sessions, and would be the longest pause itself.
    lists = 0 if isinstance(store, ReferenceScan) else LISTS_PER_SECOND
    gc.collect()
    return await Driver(store, directory, seed, lists=lists).run(keys, seconds)


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    found = asyncio.run(measure(name, int(numbers[0]), int(numbers[1]), float(numbers[2])))
    print(json.dumps(asdict(found)))
