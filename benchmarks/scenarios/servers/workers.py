"""Run a service of one worker process and of two, which share conversations through one server.

Every worker takes turns of all conversations. In the end every conversation must have every turn exactly once.
`python -m benchmarks.scenarios.servers.workers URL PREFIX WORKER WORKERS CONVERSATIONS TURNS` is a worker: it prints
`ready`, waits for a line of input, takes its turns, and prints their number.
"""

import asyncio
import random
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from benchmarks.measure.processes import ROOT, ProcessFailedError
from benchmarks.measure.progress import Progress
from benchmarks.scenarios.servers.server import url
from benchmarks.scenarios.sessions import Population
from sessiondex import Channel, Session, SessionStatus
from sessiondex.stores.redis import RedisSessionStore

WORKERS = (1, 2)
TENANT, AGENT = UUID(int=1), UUID(int=2)
CHANNEL = Channel.WEBCHAT
READY = "ready"
TAKEN = "turns_taken"
"""The variable of a session with the numbers of its turns."""
_TASKS = 16  # turns that a worker takes at the same time


class Share(NamedTuple):
    """The share of one worker: the turns of every conversation whose number, modulo `workers`, is `worker`."""

    url: str
    prefix: str
    worker: int
    workers: int
    conversations: int
    turns: int

    def visits(self) -> list[tuple[int, int]]:
        """Return the conversations and turns in order: one turn of each conversation, then the next."""
        rng = random.Random(f"visits {self.worker}")
        own = range(self.worker, self.turns, self.workers)
        return [(number, turn) for turn in own for number in rng.sample(range(self.conversations), self.conversations)]


class TurnsDifferError(Exception):
    """A conversation does not have each turn exactly once, so workers cannot share conversations."""


@dataclass(frozen=True)
class WorkerRate:
    """A service of some workers: the turns of all conversations, and the median of turns per second."""

    workers: int
    conversations: int
    turns: int
    per_second: float


async def run(port: int, conversations: int, turns: int, *, rounds: int, progress: Progress) -> list[WorkerRate]:
    """Run both services in turns, for some rounds, each time with new conversations.

    Raises:
        TurnsDifferError: a turn was lost, or was taken twice.
        ProcessFailedError: a worker failed; the message holds its error output.
    """
    rates: defaultdict[int, list[float]] = defaultdict(list)
    with progress.stage("server: one worker, two workers", rounds * len(WORKERS)) as advance:
        for number, workers in product(range(rounds), WORKERS):
            prefix = f"service-{number}-{workers}"
            shares = [Share(url(port), prefix, worker, workers, conversations, turns) for worker in range(workers)]
            seconds = await _serve(shares)
            await check(url(port), prefix, conversations, turns)
            rates[workers].append(conversations * turns / seconds)
            advance(1)
    return [
        WorkerRate(workers, conversations, conversations * turns, round(statistics.median(rates[workers]), 1))
        for workers in WORKERS
    ]


async def _serve(shares: Sequence[Share]) -> float:
    """Run a worker for each share; return the seconds from the first turn to the last."""
    command = [sys.executable, "-m", "benchmarks.scenarios.servers.workers"]
    processes: list[Process] = []
    try:
        for share in shares:
            start = asyncio.create_subprocess_exec(
                *command, *map(str, share), cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            processes.append(await start)
        await asyncio.gather(*[_expect(process, READY) for process in processes])
        started = perf_counter()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        ends = [str(len(share.visits())) for share in shares]
        await asyncio.gather(*[_expect(process, end) for process, end in zip(processes, ends, strict=True)])
        seconds = perf_counter() - started
        for process in processes:
            await process.communicate()
        return seconds
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _expect(process: Process, expected: str) -> None:
    """Read a line from the worker; raise `ProcessFailedError` if it is another one."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await process.stdout.readline()).decode().strip()
    if line != expected:
        errors = (await process.stderr.read()).decode().strip()
        raise ProcessFailedError(f"A worker printed {line!r}, not {expected!r}: {errors}")


async def check(address: str, prefix: str, conversations: int, turns: int) -> None:
    """Raise `TurnsDifferError` unless each conversation has one session, with each turn exactly once."""
    async with RedisSessionStore[Session](address, prefix=prefix) as store:
        sessions = await store.count_by_agent(TENANT, AGENT)
        if sessions != conversations:
            raise TurnsDifferError(f"{conversations:,} conversations have {sessions:,} sessions")
        for conversation in range(conversations):
            session = await store.get_by_channel(TENANT, CHANNEL, f"user-{conversation}")
            taken: Any = [] if session is None else session.variables[TAKEN]
            if sorted(taken) != list(range(turns)):
                raise TurnsDifferError(f"conversation {conversation} has the turns {taken}, not each of {turns} once")


# -- the worker process --


async def work(share: Share) -> int:
    """Take all turns, some at a time, after a line of input; return their number."""
    standard = next(iter(Population(1, seed=1)))
    visits = share.visits()
    remaining = iter(visits)
    async with RedisSessionStore(share.url, prefix=share.prefix) as store:
        await store.health_check()
        print(READY, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def take_turns() -> None:
            for conversation, turn in remaining:
                await take_turn(store, standard, conversation, turn)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_TASKS):
                tasks.create_task(take_turns())
    return len(visits)


async def take_turn(store: RedisSessionStore[Session], standard: Session, conversation: int, turn: int) -> None:
    """Find or create the session of the conversation, and change it under its lock."""

    def create() -> Session:
        values = {
            "session_id": uuid4(),
            "tenant_id": TENANT,
            "agent_id": AGENT,
            "channel": CHANNEL,
            "user_channel_id": f"user-{conversation}",
            "status": SessionStatus.ACTIVE,
            "variables": {**standard.variables, TAKEN: []},
        }
        return standard.model_copy(deep=True, update=values)

    found, _ = await store.get_or_create(TENANT, CHANNEL, f"user-{conversation}", create)
    async with store.exclusive(found.session_id):
        session = await store.get(found.session_id, tenant_id=TENANT)
        assert session is not None
        session.turn_count += 1
        taken = session.variables[TAKEN]
        assert isinstance(taken, list)
        taken.append(turn)
        await store.save(session, expected_revision=session.revision)


if __name__ == "__main__":
    address, prefix, *numbers = sys.argv[1:]
    print(asyncio.run(work(Share(address, prefix, *map(int, numbers)))))
