"""Send requests at a fixed rate, and measure how long the event loop is blocked.

Each operation is due at a fixed instant, whether the one before is done or not. After a pause the loop finds everything
that became due during it, and does it late. (A client that waits for each answer would send
nothing during a pause, and so would not measure it.)
"""

import asyncio
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from benchmarks.measure.delays import Delays, Ticker
from benchmarks.measure.zipf import Zipf
from benchmarks.scenarios.operations import change
from benchmarks.scenarios.sessions import UNIFORM
from benchmarks.stores.subjects import Store

SAVES_PER_SECOND = 5_000
"""Sessions that are read, changed and saved."""
LISTS_PER_SECOND = 100
LIST_LIMIT = 10

_ID_BYTES = 16
_BATCH_SIZE = 4  # operations of about 0.1 ms each, after which other tasks run
_SCATTER = 2_654_435_761  # a prime: its multiples, modulo any smaller size, give every position once


class Directory:
    """Keep the ids to ask for as bytes, which cost the garbage collector nothing, and the few agents.

    The memory is allocated at once, so that it is not counted as memory of the sessions that are loaded later.
    """

    def __init__(self, size: int) -> None:
        self._ids = bytearray(b"\xff") * (size * _ID_BYTES)
        self._count = 0
        self._agents: dict[tuple[UUID, UUID], None] = {}

    def add(self, session_id: UUID, tenant_id: UUID, agent_id: UUID) -> None:
        """Add one session."""
        self._ids[self._count * _ID_BYTES : (self._count + 1) * _ID_BYTES] = session_id.bytes
        self._agents[tenant_id, agent_id] = None
        self._count += 1

    def session_id(self, position: int) -> UUID:
        """Return the id at this position, a new object as the id in a request is."""
        return UUID(bytes=bytes(self._ids[position * _ID_BYTES : (position + 1) * _ID_BYTES]))

    def agents(self) -> list[tuple[UUID, UUID]]:
        """Return the tenant and agent of all sessions, each pair once."""
        return list(self._agents)

    def positions(self, keys: str, count: int, seed: int) -> Sequence[int]:
        """Draw the positions of sessions to ask for, uniformly or skewed."""
        rng = random.Random(f"traffic {keys} {seed}")
        if keys == UNIFORM:
            return array("I", (rng.randrange(self._count) for _ in range(count)))
        ranks = Zipf(self._count).draws(rng, count)
        return array("I", (rank * _SCATTER % self._count for rank in ranks))


@dataclass(frozen=True)
class Traffic:
    """The outcome of operations at a fixed rate. Rates are per second, delays in ms."""

    keys: str
    saves_due: int
    lists_due: int
    saves_done: float
    pauses: Delays
    """Of the event loop, beyond a sleep of a millisecond."""


class Driver:
    """Send operations to a store: `saves` sessions per second read, changed and saved, and `lists` lists."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        seed: int,
        *,
        saves: int = SAVES_PER_SECOND,
        lists: int = LISTS_PER_SECOND,
    ) -> None:
        self._store = store
        self._directory = directory
        self._agents = directory.agents()
        self._seed = seed
        self._saves = saves
        self._lists = lists
        self._list_every = 0 if lists == 0 else (saves + lists) // lists

    async def run(self, keys: str, seconds: float) -> Traffic:
        """Send operations for some seconds."""
        rate = self._saves + self._lists
        total = round(rate * seconds)
        positions = self._directory.positions(keys, total, self._seed)
        ticker = Ticker()
        with ticker.running():
            await asyncio.sleep(0)
            took = await self._send(positions, rate)
        lists = total // self._list_every if self._list_every else 0
        return Traffic(
            keys=keys,
            saves_due=self._saves,
            lists_due=self._lists,
            saves_done=round((total - lists) / took, 1),
            pauses=ticker.pauses(),
        )

    async def _send(self, positions: Sequence[int], rate: float) -> float:
        start, done = perf_counter(), 0
        while done < len(positions):
            due = min(len(positions), int((perf_counter() - start) * rate) + 1, done + _BATCH_SIZE)
            for number in range(done, due):
                await self._operation(number, positions[number])
            done = due
            await asyncio.sleep(max(0.0, start + done / rate - perf_counter()))
        return perf_counter() - start

    async def _operation(self, number: int, position: int) -> None:
        if self._list_every and number % self._list_every == self._list_every - 1:
            tenant_id, agent_id = self._agents[position % len(self._agents)]
            await self._store.list_by_agent(tenant_id, agent_id, limit=LIST_LIMIT)
            return
        session = await self._store.get(self._directory.session_id(position))
        assert session is not None
        change(session)
        await self._store.save(session)
