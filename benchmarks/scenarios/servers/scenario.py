"""Measure the Redis store on a Valkey server of its own, on loopback."""

from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.measure.progress import Progress
from benchmarks.scenarios.servers import rates, trips, workers
from benchmarks.scenarios.servers.rates import Rate
from benchmarks.scenarios.servers.server import bare_client, bytes_per_session, valkey, versions
from benchmarks.scenarios.servers.trips import Trips
from benchmarks.scenarios.servers.workers import WorkerRate


class Extent(NamedTuple):
    """How much is measured: sessions, rounds of calls, and turns of conversations."""

    sessions: int
    rounds: int
    calls: int
    worker_rounds: int
    conversations: int
    turns: int


@dataclass(frozen=True)
class ServerResults:
    """The results of the Redis store on a server."""

    versions: dict[str, str]
    sessions: int
    tasks: int
    trips: list[Trips]
    rates: list[Rate]
    workers: list[WorkerRate]
    bytes_per_session: float


async def run(extent: Extent, seed: int, progress: Progress) -> ServerResults:
    """Start a server, measure everything, and stop the server.

    Raises:
        TurnsDifferError: workers lost a turn, or took one twice.
        ProcessFailedError: a worker failed.
    """
    with valkey() as port:
        async with bare_client(port) as bare:
            about = await versions(bare)
        weight = await bytes_per_session(port, extent.sessions, seed)  # first, while the server is empty
        return ServerResults(
            versions=about,
            sessions=extent.sessions,
            tasks=rates.TASKS,
            trips=await trips.count(port, min(300, extent.sessions), seed, progress),
            rates=await rates.run(port, extent.sessions, seed, extent.rounds, extent.calls, progress),
            workers=await workers.run(
                port, extent.conversations, extent.turns, rounds=extent.worker_rounds, progress=progress
            ),
            bytes_per_session=weight,
        )
