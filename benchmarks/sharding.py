"""Simulate how evenly tenants fill a cluster: `python -m benchmarks.sharding [DIRECTORY]` writes `sharding.svg` there.

All keys of a tenant carry its id in braces, so a tenant is in one of 16,384 slots, and each shard has an equal range of
slots. The sizes of tenants follow Zipf's law. Slots are those that a cluster computes for the store's real keys.
"""

import random
import statistics
import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from uuid import UUID

import altair as alt
from redis.crc import key_slot
from rich.console import Console

from benchmarks.report.style import BLUE, VERMILION, standalone, to_svg
from benchmarks.report.table import Table, factor
from benchmarks.report.terminal import fitted
from sessiondex.stores.redis import keys

SLOTS = 16_384
TENANTS = (1_000, 100_000)
SHARDS = (3, 6, 12, 24, 48, 100, 200, 300)
WAYS = {"tenants as they are": 1, "large ones split in 16": 16}
_LARGE = 0.25  # of a mean shard: larger tenants are split
_DRAWS = 7


def zipf_sizes(tenants: int) -> list[float]:
    """Return the share of each tenant, largest first: rank r has 1 / r of the first one's.

    >>> [round(share, 2) for share in zipf_sizes(4)]
    [0.48, 0.24, 0.16, 0.12]
    """
    total = sum(1 / rank for rank in range(1, tenants + 1))
    return [1 / rank / total for rank in range(1, tenants + 1)]


def fullest_shard(sizes: Sequence[float], shards: int, parts: int, slots: Sequence[int]) -> float:
    """Return the fullest shard divided by the mean; tenants that are large for a shard are split in `parts`.

    >>> fullest_shard([0.5, 0.5], 2, 1, [0, 0])
    2.0
    """
    pieces: list[float] = []
    for size in sizes:
        pieces += [size / parts] * parts if size * shards > _LARGE else [size]
    loads = [0.0] * SLOTS
    for size, slot in zip(pieces, slots, strict=False):
        loads[slot] += size
    sums = list(accumulate(loads, initial=0.0))
    bounds = [round(shard * SLOTS / shards) for shard in range(shards + 1)]
    return max(sums[end] - sums[start] for start, end in pairwise(bounds)) * shards


def simulate(seed: int = 1, tenants: Sequence[int] = TENANTS, draws: int = _DRAWS) -> list[dict[str, float | str]]:
    """Return the median of the draws for each number of tenants and shards, and each way to split."""
    rng = random.Random(seed)
    most_pieces = max(tenants) + 16 * 4 * max(SHARDS)
    drawn = [
        [key_slot(keys.base("sessiondex", UUID(int=rng.getrandbits(128)))) for _ in range(most_pieces)]
        for _ in range(draws)
    ]
    return [
        {
            "tenants": f"{count:,} tenants",
            "way": way,
            "shards": shards,
            "fullest": statistics.median(fullest_shard(zipf_sizes(count), shards, parts, slots) for slots in drawn),
        }
        for count in tenants
        for way, parts in WAYS.items()
        for shards in SHARDS
    ]


def plot(rows: list[dict[str, float | str]]) -> alt.TopLevelMixin:
    """Draw a panel for each number of tenants and a line for each way to split."""
    legend = alt.Legend(title=None, orient="bottom")
    scale = alt.Scale(domain=list(WAYS), range=[VERMILION, BLUE])
    chart = alt.Chart(alt.InlineData(values=rows)).mark_line(strokeWidth=2, point=True)
    lines = chart.encode(
        x=alt.X("shards:Q", scale=alt.Scale(type="log", domain=[3, 300]), axis=alt.Axis(values=[3, 10, 30, 100, 300])),
        y=alt.Y(
            "fullest:Q",
            title="fullest shard / mean shard",
            scale=alt.Scale(type="log", domain=[1, 60]),
            axis=alt.Axis(values=[1, 2, 5, 10, 20, 50]),
        ),
        color=alt.Color("way:N", scale=scale, legend=legend),
        strokeDash=alt.StrokeDash("way:N", scale=alt.Scale(domain=list(WAYS), range=[[1, 0], [6, 3]]), legend=legend),
    ).properties(width=270, height=150)
    panels: alt.FacetChart = lines.facet(facet=alt.Facet("tenants:N", title=None, sort=None), columns=1)
    return panels


def main(directory: Path) -> None:
    """Print a table and write the plot."""
    rows = simulate()
    found = {(row["tenants"], row["way"], row["shards"]): float(row["fullest"]) for row in rows}
    lines = [(row["tenants"], row["way"]) for row in rows if row["shards"] == SHARDS[0]]
    cells = [[f"{tenants}, {way}", *[factor(found[tenants, way, n]) for n in SHARDS]] for tenants, way in lines]
    title = "Fullest shard / mean shard, by number of shards"
    out = Console()
    out.print(title, fitted(out, Table("sharding", title, ["", *map(str, SHARDS)], cells))[0], sep="\n")
    (directory / "sharding.svg").write_text(standalone(to_svg(plot(rows), title)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
