"""A service of one worker and of two, which share conversations through one server.

Every worker takes turns of all conversations, so they meet in each. In the end every conversation has every turn
exactly once, or the benchmark fails.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.progress import Progress
from benchmarks.remote.server import url
from benchmarks.remote.worker import AGENT, CHANNEL, READY, TAKEN, TENANT, Share, user
from sessiondex import Session
from sessiondex.stores.redis import RedisSessionStore

WORKERS = (1, 2)
TASKS = 16
"""Turns that a worker has under way."""

_ROOT = Path(__file__).parents[2]


class TurnsDifferError(Exception):
    """A conversation does not have each of its turns exactly once, so workers cannot share them."""


class WorkerFailedError(Exception):
    """A worker ended before its turns did."""


@dataclass(frozen=True)
class Service:
    """A service of so many workers; all of its turns were counted in the end."""

    workers: int
    conversations: int
    turns: int
    """Of all conversations together, each taken exactly once."""
    per_second: float
    """Turns, the median of some rounds."""


async def run(
    port: int, conversations: int, turns: int, *, rounds: int, progress: Progress, tasks: int = TASKS
) -> list[Service]:
    """Run the services by turns, so many rounds, with new conversations each time.

    Raises:
        TurnsDifferError: a turn was lost, or was taken twice.
        WorkerFailedError: a worker did not end well; the message holds what it said.
    """
    rates: defaultdict[int, list[float]] = defaultdict(list)
    with progress.stage("one worker, two workers", rounds * len(WORKERS)) as advance:
        for number, workers in product(range(rounds), WORKERS):
            prefix = f"service-{number}-{workers}"
            shares = [
                Share(url(port), prefix, worker, workers, conversations, turns, tasks) for worker in range(workers)
            ]
            seconds = await _serve(shares)
            await check(url(port), prefix, conversations, turns)
            rates[workers].append(conversations * turns / seconds)
            advance(1)
    return [
        Service(workers, conversations, conversations * turns, statistics.median(rates[workers])) for workers in WORKERS
    ]


async def _serve(shares: Sequence[Share]) -> float:
    """Have a worker for each share do it; return how many seconds they took, from the first turn to the last."""
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(_worker(share)) for share in shares]
        for worker in workers:
            await _hear(worker, READY)
        start = perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(b"go\n")
        done = [_hear(worker, str(len(share.visits()))) for worker, share in zip(workers, shares, strict=True)]
        await asyncio.gather(*done)
        return perf_counter() - start


@asynccontextmanager
async def _worker(share: Share) -> AsyncIterator[Process]:
    """Start a worker, which ends with this block however that ends."""
    arguments = ["-m", "benchmarks.remote.worker", *map(str, share)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=_ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
        await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _hear(process: Process, expected: str) -> None:
    """Wait until the worker says what is expected of it."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await process.stdout.readline()).decode().strip()
    if line != expected:
        errors = (await process.stderr.read()).decode().strip()
        raise WorkerFailedError(f"A worker said {line!r}, not {expected!r}: {errors}")


async def check(address: str, prefix: str, conversations: int, turns: int) -> None:
    """Raise `TurnsDifferError` unless each conversation has one session, and this each turn exactly once."""
    async with RedisSessionStore[Session](address, prefix=prefix) as store:
        sessions = await store.count_by_agent(TENANT, AGENT)
        if sessions != conversations:
            raise TurnsDifferError(f"{conversations:,} conversations have {sessions:,} sessions")
        for conversation in range(conversations):
            session = await store.get_by_channel(TENANT, CHANNEL, user(conversation))
            taken: Any = [] if session is None else session.variables[TAKEN]
            if sorted(taken) != list(range(turns)):
                raise TurnsDifferError(f"conversation {conversation} has the turns {taken}, not each of {turns} once")
