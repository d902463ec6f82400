"""The command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks import contest, flood, mixes
from benchmarks.measure import Budget
from benchmarks.remote.all import DEFAULT as REMOTE
from benchmarks.remote.all import FULL as REMOTE_FULL
from benchmarks.remote.all import SMOKE as REMOTE_SMOKE
from benchmarks.remote.all import Extent as RemoteExtent
from benchmarks.traces import Conversation, TraceError, generate, read_trace

_LEAST_SIZE, _MOST_SIZE = 10, 10_000_000


class Extent(NamedTuple):
    """How much a run does.

    `together` is how many of the conversations both stores replay; the scan store has no time for all of them.
    `traffic` is for how many seconds requests come at a fixed rate, with each kind of keys, and `mix` for how many
    each mix of operations is run. `peers` is how many sessions each peer holds, `ids` how many of them collide, and
    `remote` what is done of the store over a server.
    """

    sizes: tuple[int, ...]
    budget: Budget
    conversations: int
    together: int
    traffic: float
    peers: int
    peer_budget: Budget
    mix: float
    ids: int
    remote: RemoteExtent


DEFAULT = Extent(
    (1_000, 10_000, 100_000),
    Budget(seconds=0.2, most_calls=2_500),
    conversations=8_000,
    together=1_000,
    traffic=5,
    peers=contest.SIZE,
    peer_budget=contest.BUDGET,
    mix=mixes.SECONDS,
    ids=flood.IDS,
    remote=REMOTE,
)
FULL = Extent(
    (*DEFAULT.sizes, 1_000_000),
    Budget(seconds=0.5, most_calls=5_000),
    conversations=12_000,
    together=4_000,
    traffic=20,
    peers=contest.SIZE,
    peer_budget=Budget(seconds=0.3, most_calls=5_000, least_calls=3),
    mix=3 * mixes.SECONDS,
    ids=flood.IDS,
    remote=REMOTE_FULL,
)
SMOKE = Extent(
    (100, 1_000),
    Budget(seconds=0.01, most_calls=200),
    conversations=200,
    together=100,
    traffic=1,
    peers=1_000,
    peer_budget=Budget(seconds=0.01, most_calls=200),
    mix=0.05,
    ids=1_000,
    remote=REMOTE_SMOKE,
)


@dataclass(frozen=True)
class Options:
    """What a run is to do."""

    sizes: tuple[int, ...]
    budget: Budget
    conversations: list[Conversation]
    together: int
    traffic: float
    peers: int
    peer_budget: Budget
    mix: float
    ids: int
    remote: RemoteExtent
    seed: int
    output: Path


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return what the arguments ask for, or exit with status 2 and say what is wrong with them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare the indexed store with a linear scan and its peers: eight minutes, unless told otherwise.",
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--full", action="store_true", help="up to a million sessions; takes 50 minutes and 11 GB")
    extent.add_argument("--smoke", action="store_true", help="half a minute, to see that it runs; figures mean little")
    parser.add_argument("--sizes", type=_sizes, metavar="N,N", help="sizes of the populations, such as 1000,10000")
    parser.add_argument("--trace", type=_trace, metavar="FILE", help="replay this trace, not made-up conversations")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="for all that is drawn (default: 1)")
    parser.add_argument(
        "--output", type=directory, default="bench-results", metavar="DIR", help="default: bench-results"
    )
    given = parser.parse_args(arguments)
    chosen: Extent = SMOKE if given.smoke else FULL if given.full else DEFAULT
    sizes: tuple[int, ...] = given.sizes or chosen.sizes
    return Options(
        sizes=sizes,
        budget=chosen.budget,
        conversations=_conversations(given.trace, chosen, given.seed, all_of_it=not given.smoke),
        together=chosen.together,
        traffic=chosen.traffic,
        peers=min(chosen.peers, sizes[-1]),
        peer_budget=chosen.peer_budget,
        mix=chosen.mix,
        ids=chosen.ids,
        remote=chosen.remote,
        seed=given.seed,
        output=given.output,
    )


def _conversations(
    trace: list[Conversation] | None, extent: Extent, seed: int, *, all_of_it: bool
) -> list[Conversation]:
    if trace is None:
        return generate(extent.conversations, seed)
    return trace if all_of_it else trace[: extent.conversations]


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, such as 1000,10000") from None
    if sizes[0] < _LEAST_SIZE or sizes[-1] > _MOST_SIZE:
        raise argparse.ArgumentTypeError(f"each size must be from {_LEAST_SIZE} to {_MOST_SIZE:,}")
    return tuple(sizes)


def _trace(name: str) -> list[Conversation]:
    try:
        return read_trace(Path(name))
    except TraceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def directory(name: str) -> Path:
    """Return the directory of that name, which is there and can be written to: else all the work would be in vain."""
    path = Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: cannot be made a directory ({error.strerror})") from None
    if not os.access(path, os.W_OK):  # better now than after all the work
        raise argparse.ArgumentTypeError(f"{name}: nothing can be written there")
    return path
