"""Part 7: the store over Redis and Valkey, on a server of its own on loopback.

Round trips are counted by a relay, rates and latencies stand beside those of a bare client of the same server, and two
processes share conversations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.measure import Budget
from benchmarks.progress import Progress
from benchmarks.remote import latencies, rates, server, service, trips
from benchmarks.remote.rates import Rate
from benchmarks.remote.service import Service
from benchmarks.remote.trips import Trips
from benchmarks.remote.weight import Weight, weigh
from benchmarks.results import Cell


class Extent(NamedTuple):
    """How much of it is done: `sessions` on the server, `rounds` of so many `calls`, a budget for each latency.

    `services` is how often each service is run, with so many conversations of so many turns.
    """

    sessions: int
    rounds: int
    calls: int
    budget: Budget
    services: int
    conversations: int
    turns: int


DEFAULT = Extent(10_000, 11, 2_000, Budget(seconds=0.3, most_calls=1_000), services=3, conversations=200, turns=10)
FULL = Extent(100_000, 21, 4_000, Budget(seconds=0.6, most_calls=2_000), services=5, conversations=500, turns=20)
SMOKE = Extent(100, 1, 100, Budget(seconds=0.01, most_calls=20), services=1, conversations=5, turns=4)

_COUNTED = 300  # sessions that round trips are counted with: with more there are as many


@dataclass(frozen=True)
class Remote:
    """What was found of the store over a server."""

    versions: dict[str, str]
    sessions: int
    tasks: int
    trips: list[Trips]
    rates: list[Rate]
    latencies: list[Cell]
    services: list[Service]
    weight: Weight

    def rate(self, call: str) -> Rate | None:
        """Return what became of this kind of call, or `None` if it was not made."""
        return next((rate for rate in self.rates if rate.call == call), None)


async def run(extent: Extent, seed: int, progress: Progress) -> Remote:
    """Start a server, do all of it, and end the server.

    Raises:
        TurnsDifferError: workers lost a turn, or took it twice.
        WorkerFailedError: a worker did not end well.
    """
    with server.valkey() as port:
        async with server.bare_client(port) as bare:
            versions = await server.versions(bare)
        weight = await weigh(port, extent.sessions, seed)  # first: while the server has nothing else
        with progress.stage("round trips", len(trips.OPERATIONS)) as advance:
            counted = await trips.count(port, min(_COUNTED, extent.sessions), seed, advance)
        return Remote(
            versions=versions,
            sessions=extent.sessions,
            tasks=rates.TASKS,
            trips=counted,
            rates=await rates.run(
                port, extent.sessions, seed, rounds=extent.rounds, calls=extent.calls, progress=progress
            ),
            latencies=await latencies.run(port, extent.sessions, seed, extent.budget, progress),
            services=await service.run(
                port, extent.conversations, extent.turns, rounds=extent.services, progress=progress
            ),
            weight=weight,
        )
