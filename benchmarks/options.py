"""Parse the command line."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure.timing import Budget
from benchmarks.scenarios.footprint import MIN_WEIGHED, WITHOUT_CACHE
from benchmarks.scenarios.journal.scenario import JournalExtent
from benchmarks.scenarios.servers.scenario import Extent
from benchmarks.scenarios.traces import Conversation, TraceError, generate, read_trace
from benchmarks.stores.subjects import INDEXED, REFERENCE

PARTS = {
    "peers": "add SQLite, littletable and a deep-copying dict, at the largest size up to 100,000",
    "mixes": "add mixes of operations (YCSB A to F)",
    "services": "add pages, counts and updates",
    "floods": "add ids that collide",
    "indexes": "add indexes of own fields",
    "servers": "add the Redis store on a Valkey server",
    "journal": "add a store with a journal on disk, and SQLite used directly",
}
_MIN_SIZE, _MAX_SIZE, _MAX_SIZES, _MAX_PEER_SIZE = 10, 10_000_000, 5, 100_000


@dataclass(frozen=True)
class Options:
    """What a run does. `together` conversations are replayed on all stores, all of them on the indexed store."""

    sizes: tuple[int, ...]
    budget: Budget
    conversations: list[Conversation]
    together: int
    traffic_seconds: float
    variants: tuple[str, ...]
    mix_seconds: float
    flood_ids: int
    servers: Extent
    journal: JournalExtent
    parts: frozenset[str]
    seed: int
    output: Path

    @property
    def peer_size(self) -> int:
        """The number of sessions of peers and mixes."""
        return min(self.sizes[-1], _MAX_PEER_SIZE)

    @property
    def weighed_sizes(self) -> list[int]:
        """The sizes at which memory is measured: the largest, and 100,000 if that was asked for too."""
        return [size for size in self.sizes if size == self.sizes[-1] or size == _MAX_PEER_SIZE]

    @property
    def loaded_sizes(self) -> list[int]:
        """The sizes of the journals that are loaded: those at which memory can be measured, or else the largest."""
        return [size for size in self.sizes if size >= MIN_WEIGHED] or [self.sizes[-1]]


_DEFAULT = Options(
    sizes=(100, 1_000, 10_000, 100_000),
    budget=Budget(seconds=0.12, most_calls=2_000),
    conversations=[],
    together=400,
    traffic_seconds=2.5,
    variants=(INDEXED, REFERENCE),
    mix_seconds=1,
    flood_ids=20_000,
    servers=Extent(10_000, 7, 2_000, worker_rounds=3, conversations=200, turns=10),
    journal=JournalExtent(2_000, 10_000, (1, 50, 500), rounds=5, seconds=0.5, pause_rounds=3, pause_seconds=2),
    parts=frozenset(),
    seed=1,
    output=Path(),
)
_FULL = replace(
    _DEFAULT,
    sizes=(*_DEFAULT.sizes, 1_000_000),
    budget=Budget(seconds=0.4, most_calls=5_000),
    together=2_000,
    traffic_seconds=10,
    variants=(INDEXED, WITHOUT_CACHE, REFERENCE),
    servers=Extent(100_000, 15, 4_000, worker_rounds=5, conversations=400, turns=20),
    journal=JournalExtent(2_000, 100_000, (1, 50, 500), rounds=9, seconds=1, pause_rounds=5, pause_seconds=5),
    parts=frozenset(PARTS),
)
_SMOKE = replace(
    _DEFAULT,
    sizes=(100, 1_000),
    budget=Budget(seconds=0.01, most_calls=200),
    together=60,
    traffic_seconds=0.3,
    mix_seconds=0.05,
    flood_ids=1_000,
    servers=Extent(100, 1, 100, worker_rounds=1, conversations=5, turns=4),
    journal=JournalExtent(100, 200, (1, 10), rounds=1, seconds=0.05, pause_rounds=1, pause_seconds=0.2),
)


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options, or exit with status 2 and a message if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare the indexed store with a linear scan: two minutes.",
        epilog="With nox, options follow two dashes: nox -s bench -- --peers --sizes 1000,10000",
    )
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--full", action="store_true", help="run everything, up to a million sessions: half an hour")
    extent.add_argument("--smoke", action="store_true", help="run for some seconds; the figures mean little")
    for name, text in PARTS.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument("--sizes", type=_sizes, metavar="N,N", help="numbers of sessions, such as 1000,10000")
    parser.add_argument("--trace", type=_trace, metavar="FILE", help="replay this trace, not generated conversations")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything random (default: 1)")
    parser.add_argument(
        "--output",
        type=directory,
        default="bench-results",
        metavar="DIR",
        help="for results and report (default: bench-results)",
    )
    given = parser.parse_args(arguments)
    chosen, count = (_SMOKE, 120) if given.smoke else (_FULL, 8_000) if given.full else (_DEFAULT, 1_500)
    return replace(
        chosen,
        sizes=given.sizes or chosen.sizes,
        conversations=given.trace or generate(count, given.seed),
        parts=chosen.parts | {name for name in PARTS if getattr(given, name)},
        seed=given.seed,
        output=given.output,
    )


def directory(name: str) -> Path:
    """Create the directory, and return its path; fail now rather than after the run if it is not writable."""
    path = Path(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: cannot create the directory ({error.strerror})") from None
    if not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{name}: is not writable")
    return path


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = sorted({int(size) for size in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, such as 1000,10000") from None
    if sizes[0] < _MIN_SIZE or sizes[-1] > _MAX_SIZE or len(sizes) > _MAX_SIZES:
        raise argparse.ArgumentTypeError(f"{_MAX_SIZES} sizes at most, each from {_MIN_SIZE} to {_MAX_SIZE:,}")
    return tuple(sizes)


def _trace(name: str) -> list[Conversation]:
    try:
        return read_trace(Path(name))
    except TraceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
