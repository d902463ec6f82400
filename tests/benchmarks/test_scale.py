"""Scale: small populations, measured in every way; what is counted, never how long it took."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import asdict, replace

import pytest
from pydantic import TypeAdapter

from benchmarks import alone, paired, scale
from benchmarks.alone import NONE_HOT, VARIANTS, Footprint, Source
from benchmarks.collector import CollectorWatch
from benchmarks.contestants import INDEXED, REFERENCE
from benchmarks.controls import DICT_READ
from benchmarks.delays import Ticker, delays
from benchmarks.measure import Budget
from benchmarks.progress import QuietProgress
from benchmarks.scale import AloneFailedError
from benchmarks.sessions import UNIFORM, ZIPF, Population
from benchmarks.traffic import LISTS, SAVES, Directory, Drive
from sessiondex import InMemorySessionStore, Session

SIZE = 60
BUDGET = Budget(seconds=1, most_calls=2, least_calls=1)


async def test_all_queries_side_by_side() -> None:
    """Each query is timed at each size with both kinds of keys, in both settings; controls stand beside `get`."""
    cells = await paired.run([30, SIZE], 1, BUDGET, QuietProgress())
    timed = {(cell.sessions, cell.operation, cell.keys, cell.contestant) for cell in cells}

    assert timed == {
        (size, query, keys, name)
        for size in (30, SIZE)
        for query in paired.QUERIES
        for keys in (UNIFORM, ZIPF)
        for name in (INDEXED, NONE_HOT, *((DICT_READ, paired.UNPACK) if query == "get" else ()))
    }
    assert len(cells) == len(timed)
    assert all(cell.summary.results > 0 for cell in cells)


async def test_results_are_as_long_at_every_size() -> None:
    """From a thousand sessions on a list is as long as its limit, whatever the size: what grows is only the store."""
    cells = await paired.run([1_000, 2_000], 1, Budget(seconds=1, most_calls=20), QuietProgress())
    lengths = {
        (cell.sessions, cell.operation): cell.summary.results
        for cell in cells
        if (cell.keys, cell.contestant) == (UNIFORM, INDEXED)
    }

    for query, length in (("get", 1), ("get_by_channel", 1), ("list_by_customer", 1), ("list_by_agent", 10)):
        for size in (1_000, 2_000):
            assert lengths[size, query] == pytest.approx(length, rel=0.1)


@pytest.mark.parametrize("variant", VARIANTS)
async def test_alone(variant: str) -> None:
    """A variant in a process of its own is weighed, and sent traffic with both kinds of keys."""
    footprint = await scale.alone(variant, SIZE, 1, 0.2)

    assert (variant, SIZE) == (footprint.variant, footprint.sessions)
    assert [traffic.keys for traffic in footprint.traffic] == [UNIFORM, ZIPF]
    lists = 0 if variant == REFERENCE else LISTS
    assert all(traffic.late.count == (SAVES + lists) * 0.2 for traffic in footprint.traffic)
    assert (footprint.hot_sessions is None) == (variant == REFERENCE)
    assert footprint.collection > 0
    assert footprint.bytes_per_session is None  # of too few to say


async def test_failing_process() -> None:
    """A process that fails ends the run, with what it said."""
    with pytest.raises(AloneFailedError, match=r"alone in a process[^$]*KeyError: 'nobody'"):
        await scale.alone("nobody", SIZE, 1, 0)


async def test_cancelled_process() -> None:
    """A run that is stopped leaves no process behind."""
    waiting = asyncio.create_task(scale.alone(INDEXED, 100_000, 1, 100))
    await asyncio.sleep(0.3)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_footprints_survive_json() -> None:
    """What a process prints is what the run reads."""
    footprint = await alone.measure(INDEXED, SIZE, 1, 0)
    adapter = TypeAdapter(Footprint)

    assert footprint == adapter.validate_json(adapter.dump_json(footprint))
    assert footprint == adapter.validate_python(asdict(footprint))
    assert footprint.traffic == []


async def test_growth() -> None:
    """Growth is of the cost for each session of the result, from the smallest population to the largest."""
    cells = [cell for cell in await paired.run([30, SIZE], 1, BUDGET, QuietProgress()) if cell.contestant == INDEXED]
    cells = [
        replace(cell, summary=replace(cell.summary, median=12.0, results=4.0 if cell.sessions == SIZE else 1.0))
        for cell in cells
    ]

    assert scale.Scale(cells, []).growth("list_by_agent", INDEXED) == 0.25
    assert scale.Scale(cells, []).beside_dict("list_by_agent", INDEXED) is None
    assert scale.Scale(cells[:1], []).growth("get", INDEXED) is None


async def test_source() -> None:
    """Sessions come in piece by piece, with turns for others, and are entered in the directory in order."""
    directory = Directory(SIZE)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    sessions = [session async for session in Source(Population(SIZE, 1), directory)]
    task.cancel()

    assert list(Population(SIZE, 1)) == sessions
    assert [session.session_id for session in sessions] == [directory.session_id(place) for place in range(SIZE)]
    assert {(session.tenant_id, session.agent_id) for session in sessions} == set(directory.agents())
    assert turns >= 3


def test_skewed_places() -> None:
    """Skewed keys ask for few places often, even ones for all alike; no place is out of range."""
    directory = Directory(1_000)
    for session in Population(1_000, 1):
        directory.add(session.session_id, (session.tenant_id, session.agent_id))
    uniform, zipf = (list(directory.places(keys, 20_000, 1)) for keys in (UNIFORM, ZIPF))

    assert set(uniform) | set(zipf) <= set(range(1_000))
    assert max(map(zipf.count, set(zipf))) > 10 * max(map(uniform.count, set(uniform)))


class Blocking(InMemorySessionStore[Session]):
    """Stands still for a while at its third save."""

    saves = 0

    async def save(self, session: Session) -> object:  # type: ignore[override]  # nobody looks at the id
        self.saves += 1
        if self.saves == 3 + SIZE:
            time.sleep(0.1)  # noqa: ASYNC251  # the loop is to stand still
        return await super().save(session)


async def test_what_becomes_due_meanwhile_counts() -> None:
    """Operations that became due while the loop stood still are late by what they waited, and all of them are made."""
    store, directory = Blocking(), Directory(SIZE)
    async for session in Source(Population(SIZE, 1), directory):
        await store.save(session)
    traffic = await Drive(store, directory, 1, saves=500, lists=50).run(UNIFORM, 0.4)

    assert traffic.late.count == 220
    assert store.saves == SIZE + 200
    assert sum(bucket.count for bucket in traffic.late.buckets if bucket.up_to > 20) >= 30
    assert traffic.gaps.longest >= 80


async def test_gap() -> None:
    """The ticker notes for how long the loop stood still."""
    ticker = Ticker()
    with ticker.running():
        await asyncio.sleep(0.01)
        time.sleep(0.05)  # noqa: ASYNC251  # as above
        await asyncio.sleep(0.01)

    assert ticker.gaps().longest >= 40
    assert ticker.gaps().count >= 2


def test_delays() -> None:
    """Every delay is in one bucket, which ends where it is said to, a quarter above the one before."""
    found = delays([*(0.5 for _ in range(990)), *(3.0 for _ in range(9)), 200.0])

    assert (found.p50, found.p99, found.p999, found.longest, found.count) == (0.5, 0.5, 3.0, 200.0, 1_000)
    assert [bucket.count for bucket in found.buckets] == [990, 9, 1]
    for bucket, delay in zip(found.buckets, (0.5, 3.0, 200.0), strict=True):
        assert delay <= bucket.up_to * 1.001
        assert bucket.up_to < delay * 1.26
    assert pytest.approx([share for _, share in found.longer()]) == [0.01, 0.001, 0.0]


def test_collections_are_noticed() -> None:
    """A forced full collection is one of the oldest generation; what happens outside is not counted."""
    watch = CollectorWatch()
    with watch.watching():
        gc.collect()
    gc.collect()

    assert watch.pauses()[2].count == 1
    assert watch.pauses()[2].longest > 0
