"""Footprints: each store in its own process; what is counted, never how long it took."""

import asyncio
from typing import Any

import pytest

from benchmarks.measure.processes import ProcessFailedError
from benchmarks.measure.progress import Progress
from benchmarks.scenarios import footprint
from benchmarks.scenarios.sessions import UNIFORM, ZIPF, Population
from benchmarks.scenarios.traffic import Directory, Driver
from benchmarks.stores.reference import ReferenceScan
from benchmarks.stores.subjects import INDEXED
from tests.benchmarks.small_run import small_run

SIZE = 60


def _directory() -> Directory:
    directory = Directory(SIZE)
    for session in Population(SIZE, 1):
        directory.add(session.session_id, session.tenant_id, session.agent_id)
    return directory


async def test_process() -> None:
    """A process prints what the run reads; only the largest size gets traffic."""
    (small,) = await footprint.run([SIZE], [INDEXED], 1, 0.02, Progress())

    assert (small.variant, small.sessions) == (INDEXED, SIZE)
    assert [traffic.keys for traffic in small.traffic] == [UNIFORM, ZIPF]
    assert small.bytes_per_session is None  # too few sessions to be weighed


def test_variants() -> None:
    """The indexed store reports how many sessions are cached; the reference scan has no cache, and gets no lists."""
    indexed, without_cache, scan = small_run().footprints

    assert (without_cache.cached_sessions, scan.cached_sessions) == (0, None)
    assert indexed.cached_sessions
    assert {traffic.lists_due for traffic in indexed.traffic} == {100}
    assert {traffic.lists_due for traffic in scan.traffic} == {0}


async def test_failing_process() -> None:
    """A process that fails ends the run with its error output."""
    with pytest.raises(ProcessFailedError, match=r"the process ended with status 1: [^$]*KeyError: 'no such variant'"):
        await footprint.measure_in_process("no such variant", SIZE, 1, 0)


async def test_cancelled_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped leaves no process behind."""
    started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    create = asyncio.create_subprocess_exec

    async def recorded(*command: str, **options: Any) -> Any:
        started.set_result(process := await create(*command, **options))
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", recorded)
    waiting = asyncio.create_task(footprint.measure_in_process(INDEXED, 1_000_000, 1, 100))
    process = await started
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert process.returncode is not None


def test_keys() -> None:
    """Skewed keys ask for few sessions often, uniform ones for all; no position is out of range."""
    directory = _directory()
    uniform, zipf = (list(directory.positions(keys, 5_000, 1)) for keys in (UNIFORM, ZIPF))

    assert set(uniform) | set(zipf) <= set(range(SIZE))
    assert max(map(zipf.count, set(zipf))) > 5 * max(map(uniform.count, set(uniform)))
    assert [session.session_id for session in Population(SIZE, 1)] == [directory.session_id(n) for n in range(SIZE)]


class Counted(ReferenceScan):
    """Counts calls; the first save stops the world by moving the test's clock ahead."""

    saves = lists = 0
    clock = [0.0]

    async def save(self, session: Any) -> Any:
        self.saves += 1
        if self.saves == SIZE + 1:
            self.clock[0] += 10
        return await super().save(session)

    async def list_by_agent(self, *args: Any, **more: Any) -> Any:
        self.lists += 1
        return await super().list_by_agent(*args, **more)


async def test_operations_that_become_due_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all made: a pause of ten seconds lowers the rate, and drops nothing."""
    monkeypatch.setattr("benchmarks.scenarios.traffic.perf_counter", lambda: Counted.clock[0])

    store = Counted()
    for session in Population(SIZE, 1):
        await store.save(session)
    found = await Driver(store, _directory(), 1, saves=500, lists=50).run(UNIFORM, 0.4)

    assert (store.saves - SIZE, store.lists) == (200, 20)
    assert found.saves_done <= 200 / 10
