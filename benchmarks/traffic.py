"""Requests that come when they come, whether the last one is done or not, and what the event loop makes of them.

Each operation is due at an instant that is fixed beforehand. A loop that stood still finds all that became due
meanwhile waiting, and each of these counts with the time that it waited. (Requests that are sent only once the last is
answered would leave out just those moments in which nothing is answered.)
"""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

from benchmarks.collector import CollectorWatch, Pauses
from benchmarks.contestants import Store
from benchmarks.delays import Delays, Ticker, delays
from benchmarks.operations import change
from benchmarks.sessions import UNIFORM
from benchmarks.zipf import Zipf

SAVES = 5_000
"""Sessions read, changed and saved, a second."""
LISTS = 100
"""Lists of an agent's newest sessions, a second."""
LIST_LIMIT = 10

_ID_BYTES = 16
_AT_A_TURN = 4  # operations, of about a tenth of a millisecond: then others have their turn
_SCATTER = 2_654_435_761  # a prime: multiples of it, modulo any smaller size, visit every place once
_KEPT_UP = 0.99

AgentKeys = tuple[UUID, UUID]
"""A tenant and its agent."""


class Directory:
    """What there is to ask for: ids as bytes, which cost the collector nothing, and the few agents.

    The memory is all taken at once, so that it is not mistaken for what the sessions take that come later.
    """

    def __init__(self, size: int) -> None:
        self._ids = bytearray(b"\xff") * (size * _ID_BYTES)
        self._count = 0
        self._agents: dict[AgentKeys, None] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, session_id: UUID, agent: AgentKeys) -> None:
        """Note one more session."""
        self._ids[self._count * _ID_BYTES : (self._count + 1) * _ID_BYTES] = session_id.bytes
        self._agents[agent] = None
        self._count += 1

    def session_id(self, place: int) -> UUID:
        """Return the id of the session at this place, a new object as the id in a request is."""
        return UUID(bytes=bytes(self._ids[place * _ID_BYTES : (place + 1) * _ID_BYTES]))

    def agents(self) -> list[AgentKeys]:
        """Return the agents of all sessions."""
        return list(self._agents)

    def places(self, keys: str, count: int, seed: int) -> Sequence[int]:
        """Return the places of the sessions to ask for: drawn evenly, or else those of few over and over."""
        rng = random.Random(f"traffic {keys} {seed}")
        if keys == UNIFORM:
            return array("I", (rng.randrange(self._count) for _ in range(count)))
        ranks = Zipf(self._count).draws(rng, count)
        return array("I", (rank * _SCATTER % self._count for rank in ranks))


@dataclass(frozen=True)
class Traffic:
    """What came of operations at a fixed rate, keys drawn in one way. Rates are a second, delays in ms."""

    keys: str
    saves_due: int
    lists_due: int
    seconds: float
    """From the first due instant to the end of the last operation."""
    saves_done: float
    lists_done: float
    kept_up: bool
    """Whether at least 99 in 100 of what was due in a second was done in a second."""
    gaps: Delays
    """By which the loop was late with a task that sleeps for a millisecond."""
    late: Delays
    """By which operations began later than they were due."""
    pauses: list[Pauses]


class Drive:
    """Sends operations at a fixed rate: `saves` sessions a second read, changed and saved, and `lists` lists."""

    def __init__(
        self, store: Store, directory: Directory, seed: int, *, saves: int = SAVES, lists: int = LISTS
    ) -> None:
        self._store = store
        self._directory = directory
        self._agents = directory.agents()
        self._seed = seed
        self._saves = saves
        self._lists = lists
        self._every = 0 if lists == 0 else (saves + lists) // lists
        """One in so many operations is a list."""

    async def run(self, keys: str, seconds: float) -> Traffic:
        """Send operations for so many seconds."""
        rate = self._saves + self._lists
        total = round(rate * seconds)
        places = self._directory.places(keys, total, self._seed)
        late, ticker, watch = array("d"), Ticker(), CollectorWatch()
        with watch.watching(), ticker.running():
            await asyncio.sleep(0)
            took = await self._send(places, rate, late)
        lists = total // self._every if self._every else 0
        return Traffic(
            keys=keys,
            saves_due=self._saves,
            lists_due=self._lists,
            seconds=round(took, 3),
            saves_done=round((total - lists) / took, 1),
            lists_done=round(lists / took, 1),
            kept_up=total / took >= rate * _KEPT_UP,
            gaps=ticker.gaps(),
            late=delays(late),
            pauses=watch.pauses(),
        )

    async def _send(self, places: Sequence[int], rate: float, late: array[float]) -> float:
        start, done = perf_counter(), 0
        while done < len(places):
            due = min(len(places), int((perf_counter() - start) * rate) + 1, done + _AT_A_TURN)
            for number in range(done, due):
                late.append((perf_counter() - start - number / rate) * 1000)
                await self._operation(number, places[number])
            done = due
            await asyncio.sleep(max(0.0, start + done / rate - perf_counter()))
        return perf_counter() - start

    async def _operation(self, number: int, place: int) -> None:
        if self._every and number % self._every == self._every - 1:
            tenant_id, agent_id = self._agents[place % len(self._agents)]
            await self._store.list_by_agent(tenant_id, agent_id, limit=LIST_LIMIT)
            return
        session = await self._store.get(self._directory.session_id(place))
        assert session is not None
        change(session)
        await self._store.save(session)
