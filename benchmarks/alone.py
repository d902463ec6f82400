"""One store alone in a process: what its sessions take, of memory and of the event loop's time.

`python -m benchmarks.alone VARIANT SESSIONS SEED SECONDS` prints a `Footprint` as JSON. Each variant has a process of
its own, in which nothing else lives: memory that another store gave back, or garbage of its own, would be counted.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

from benchmarks.collector import CollectorWatch, Pauses, forced_collection
from benchmarks.contestants import INDEXED, REFERENCE, Store
from benchmarks.delays import Delays, Ticker
from benchmarks.reference import ReferenceScan
from benchmarks.sessions import UNIFORM, ZIPF, Population
from benchmarks.traffic import LISTS, Directory, Drive, Traffic
from sessiondex import InMemorySessionStore, Session

NONE_HOT = "indexed, none hot"
"""The indexed store with every session packed."""

VARIANTS: dict[str, Callable[[], Store]] = {
    INDEXED: InMemorySessionStore,
    NONE_HOT: lambda: InMemorySessionStore(hot_sessions=0),
    REFERENCE: ReferenceScan,
}

_PIECE = 20  # sessions made between two turns of the loop
_READS = 60_000  # at 0.99, some thousand sessions are asked for twice among these, and become hot
_IDLE = 2  # seconds
_ENOUGH = 10_000  # sessions; the memory of fewer is lost in what the process itself takes


@dataclass(frozen=True)
class Footprint:
    """What one variant takes, with so many sessions in it."""

    variant: str
    sessions: int
    bytes_per_session: float | None
    """Growth of the resident set while the sessions were loaded and the most wanted read, so many a session. `None` for
    fewer than 10,000 sessions, and where the system does not say what is resident."""
    hot_sessions: int | None
    packed_bytes: int | None
    collection: float
    """Milliseconds of a forced full collection, with the sessions: the median of five."""
    collection_before: float
    """The same, before there was any session: what the imports alone cost."""
    load_seconds: float
    """What loading took, without the making of the sessions."""
    loaded_per_second: float
    loading: Delays
    """Gaps of the loop while the sessions were loaded."""
    loading_pauses: list[Pauses]
    idle: Delays | None
    """Gaps of the loop while it had nothing to do: what the machine adds to all others."""
    traffic: list[Traffic]


class Source:
    """Sessions that come in piece by piece, between turns of the loop, as from a file or a database.

    What it makes it enters in the directory. `seconds` is what making the sessions took: no store has a share in it.
    """

    def __init__(self, population: Population, directory: Directory) -> None:
        self._sessions = iter(population)
        self._directory = directory
        self._first: list[Session] = []
        self.seconds = 0.0

    def prepare(self) -> None:
        """Make the first session, before which all the keys are drawn, of a million sessions for a second or two."""
        self._first = list(islice(self._sessions, 1))

    async def __aiter__(self) -> AsyncIterator[Session]:
        while True:
            start = perf_counter()
            piece = self._first + list(islice(self._sessions, _PIECE))
            self._first = []
            for session in piece:
                self._directory.add(session.session_id, (session.tenant_id, session.agent_id))
            await asyncio.sleep(0)
            self.seconds += perf_counter() - start
            if not piece:
                return
            for session in piece:
                yield session


async def measure(variant: str, size: int, seed: int, seconds: float) -> Footprint:
    """Load the variant, weigh it, and send it traffic for so many seconds with each kind of keys; for 0, none."""
    idle = await _idle(min(seconds, _IDLE)) if seconds else None
    store = VARIANTS[variant]()
    source = Source(Population(size, seed), directory := Directory(size))
    collection_before, resident_before = forced_collection(), resident_bytes()
    source.prepare()
    ticker, watch, start = Ticker(), CollectorWatch(), perf_counter()
    with watch.watching(), ticker.running():
        await asyncio.sleep(0)
        await _load(store, source)
    load_seconds = perf_counter() - start - source.seconds
    await _read(store, directory.places(ZIPF, min(_READS, 6 * size), seed), directory)
    collection, resident = forced_collection(), resident_bytes()
    grown = None if resident is None or resident_before is None else (resident - resident_before) / size
    stats = store.stats() if isinstance(store, InMemorySessionStore) else None
    return Footprint(
        variant=variant,
        sessions=size,
        bytes_per_session=None if grown is None or size < _ENOUGH else round(grown, 1),
        hot_sessions=None if stats is None else stats.hot_sessions,
        packed_bytes=None if stats is None else stats.packed_bytes,
        collection=collection,
        collection_before=collection_before,
        load_seconds=round(load_seconds, 3),
        loaded_per_second=round(size / load_seconds, 1),
        loading=ticker.gaps(),
        loading_pauses=watch.pauses(),
        idle=idle,
        traffic=[await _drive(store, directory, seed, keys, seconds) for keys in (UNIFORM, ZIPF) if seconds],
    )


async def _idle(seconds: float) -> Delays:
    ticker = Ticker()
    with ticker.running():
        await asyncio.sleep(seconds)
    return ticker.gaps()


async def _load(store: Store, source: Source) -> None:
    if isinstance(store, InMemorySessionStore):
        await store.load(source)
    else:
        async for session in source:
            await store.save(session)


async def _read(store: Store, places: Sequence[int], directory: Directory) -> None:
    for place in places:
        await store.get(directory.session_id(place))


async def _drive(store: Store, directory: Directory, seed: int, keys: str, seconds: float) -> Traffic:
    # The reference scan is spared the lists: each is a walk over all sessions, and a gap of its own.
    lists = 0 if isinstance(store, ReferenceScan) else LISTS
    gc.collect()
    return await Drive(store, directory, seed, lists=lists).run(keys, seconds)


def resident_bytes() -> int | None:
    """Return how much of the memory this process has, or `None` where only Linux would say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def main(arguments: Sequence[str]) -> None:
    """Measure what the arguments say, and print what was found."""
    variant, size, seed, seconds = arguments
    found = asyncio.run(measure(variant, int(size), int(seed), float(seconds)))
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
