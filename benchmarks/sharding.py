"""How evenly tenants fill a cluster, and how large one can be: `python -m benchmarks.sharding`.

A simulation of what no machine here can hold: a hundred million sessions of tenants whose sizes follow Zipf's law, on 3
to 300 shards. What a session takes is measured, on a real server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from math import ceil
from pathlib import Path

from rich.console import Console

from benchmarks.options import directory
from benchmarks.remote.server import valkey
from benchmarks.remote.weight import weigh
from benchmarks.tenants import SPLIT_FROM, Fill, Placement, Slots, zipf_sizes
from benchmarks.terminal import console, plain_table
from benchmarks.words import Shown, times

TOTAL = 100_000_000
TENANTS = (1_000, 10_000, 100_000)
EXPONENTS = (0.8, 1.0, 1.2)
SHARDS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100, 150, 200, 300)
PARTS = (1, 4, 16, 64)
DRAWS = 20
MEMORY = (8, 16, 32, 64, 128)
"""GB of a shard, of which each is `maxmemory`."""

_SHOWN_SHARDS, _SHOWN_PARTS = (3, 12, 48, 100, 300), (1, 16)
_WEIGHED = 20_000  # sessions: with fewer, what the server takes for itself shows
_ROUNDED = 50  # bytes: as exact as the weight is from run to run


@dataclass(frozen=True)
class Cell:
    """So many shards with tenants of one distribution, of which the large ones are split in so many parts."""

    tenants: int
    exponent: float
    shards: int
    parts: int
    largest: float
    """The largest tenant, as a multiple of what a shard has in the mean."""
    split: int
    imbalance: float
    """The fullest shard, as a multiple of the mean: the median of all draws of ids."""
    imbalance_p95: float
    """What it was not above in 19 of 20 draws."""


@dataclass(frozen=True)
class Need:
    """What a shard of so much memory holds, and how many of them hold all, by the parts of the large tenants."""

    memory_gb: int
    sessions: int
    """That fit: of one tenant, if it has the shard for itself."""
    shards: dict[int, int | None]
    """The least of those tried whose fullest fits, in 19 of 20 draws. `None`: more than were tried, or none."""


@dataclass(frozen=True)
class Sharding:
    """The simulation, and what it takes a session to weigh."""

    seed: int
    draws: int
    total: int
    session_bytes: int
    split_from: float
    cells: list[Cell]

    def cell(self, tenants: int, exponent: float, shards: int, parts: int) -> Cell:
        """Return what was found."""
        wanted = (tenants, exponent, shards, parts)
        return next(one for one in self.cells if (one.tenants, one.exponent, one.shards, one.parts) == wanted)

    def needs(self, tenants: int, exponent: float) -> list[Need]:
        """Return what shards of each size hold."""
        return [self._need(tenants, exponent, memory) for memory in MEMORY]

    def _need(self, tenants: int, exponent: float, memory: int) -> Need:
        fits = memory * 10**9 // self.session_bytes
        of = [one for one in self.cells if (one.tenants, one.exponent) == (tenants, exponent)]
        shards: dict[int, int | None] = {}
        for parts in PARTS:
            enough = [
                one.shards for one in of if one.parts == parts and one.imbalance_p95 * self.total / one.shards <= fits
            ]
            shards[parts] = min(enough, default=None)
        return Need(memory, fits, shards)


def simulate(seed: int, draws: int, session_bytes: int, tenants: Sequence[int] = TENANTS) -> Sharding:
    """Return the imbalance of every distribution, number of shards and way to split, over so many draws of ids."""
    fills: dict[tuple[int, float, int, int], list[Fill]] = {}
    for draw in range(draws):
        slots, parts_slots = Slots(f"tenants {seed} {draw}"), Slots(f"parts {seed} {draw}")
        for number, exponent in product(tenants, EXPONENTS):
            placement = Placement(zipf_sizes(number, exponent, TOTAL), slots.first(number), parts_slots)
            for shards, parts in product(SHARDS, PARTS):
                fills.setdefault((number, exponent, shards, parts), []).append(placement.fill(shards, parts))
    return Sharding(seed, draws, TOTAL, session_bytes, SPLIT_FROM, list(_cells(fills)))


def _cells(fills: dict[tuple[int, float, int, int], list[Fill]]) -> Iterator[Cell]:
    for (tenants, exponent, shards, parts), found in fills.items():
        imbalances = sorted(fill.imbalance for fill in found)
        yield Cell(
            tenants,
            exponent,
            shards,
            parts,
            largest=round(zipf_sizes(tenants, exponent, shards)[0], 4),
            split=found[0].split,
            imbalance=round(statistics.median(imbalances), 4),
            imbalance_p95=round(imbalances[ceil(0.95 * len(imbalances)) - 1], 4),
        )


def tables(found: Sharding) -> list[Shown]:
    """Return what is to be read of it."""
    return [_imbalance_table(found), *[_needs_table(found, tenants, 1.0) for tenants in TENANTS[1:2]]]


def _imbalance_table(found: Sharding) -> Shown:
    title = f"The fullest shard ÷ the mean: tenants as they are / large ones split in {_SHOWN_PARTS[1]}"
    tenants = sorted({cell.tenants for cell in found.cells})
    rows = [
        [
            f"{number:,}",
            f"{exponent:g}",
            *[
                " / ".join(times(found.cell(number, exponent, shards, parts).imbalance) for parts in _SHOWN_PARTS)
                for shards in _SHOWN_SHARDS
            ],
        ]
        for number, exponent in product(tenants, EXPONENTS)
    ]
    return Shown(title, ["tenants", "exponent", *[f"{shards} shards" for shards in _SHOWN_SHARDS]], rows)


def _needs_table(found: Sharding, tenants: int, exponent: float) -> Shown:
    title = (
        f"Shards for {found.total:,} sessions of {found.session_bytes:,} B, {tenants:,} tenants, exponent {exponent:g}"
    )
    rows = [
        [
            f"{need.memory_gb} GB",
            f"{need.sessions / 1e6:.1f} M",
            f"{ceil(found.total / need.sessions)}",
            *["-" if need.shards[parts] is None else f"{need.shards[parts]}" for parts in PARTS],
        ]
        for need in found.needs(tenants, exponent)
    ]
    ways = ["as they are", *[f"split in {parts}" for parts in PARTS[1:]]]
    return Shown(title, ["maxmemory", "largest tenant", "if all were even", *ways], rows)


def main(arguments: Sequence[str]) -> int:
    """Weigh, simulate, show and write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharding", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="for the ids of tenants (default: 1)")
    parser.add_argument("--draws", type=int, default=DRAWS, metavar="N", help=f"of all ids (default: {DRAWS})")
    parser.add_argument("--bytes", type=int, metavar="N", help="a session takes, instead of weighing some")
    parser.add_argument(
        "--output", type=directory, default="bench-results", metavar="DIR", help="default: bench-results"
    )
    given = parser.parse_args(arguments)
    session_bytes = given.bytes or asyncio.run(_weighed(given.seed))
    found = simulate(given.seed, given.draws, session_bytes)
    out = console()
    for shown in tables(found):
        out.print(plain_table(shown))
    write(found, given.output, out)
    return 0


async def _weighed(seed: int) -> int:
    with valkey() as port:
        weight = await weigh(port, _WEIGHED, seed)
    return _ROUNDED * round(weight.used / _ROUNDED)


def write(found: Sharding, output: Path, out: Console) -> None:
    """Write the results, and the plot if altair is there to draw it."""
    results = output / "sharding.json"
    results.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    written = [results]
    if find_spec("altair") and find_spec("vl_convert"):
        from benchmarks.charts.sharding import sharding_chart  # noqa: PLC0415  # as in `benchmarks.__main__`

        written.append(output / "sharding.svg")
        sharding_chart(found).save(written[-1])
    out.print(f"Written: {', '.join(map(str, written))}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
