"""Run every check on every subject, and measure lists: `python -m benchmarks.features`, or `nox -s features`."""

import argparse
import asyncio
import sys
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.features.markdown import show
from benchmarks.features.matrix import Matrix, all_subjects, run
from benchmarks.measure.machine import machine


def main(arguments: Sequence[str]) -> None:
    """Print the matrix and write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("--sizes", default="1000,10000", help="numbers of sessions for which lists are timed")
    parser.add_argument("--output", type=Path, default=Path("bench-results/features.json"))
    options = parser.parse_args(arguments)
    # The peers warn of their own experimental parts.
    warnings.simplefilter("ignore")
    matrix = asyncio.run(_measure([int(size) for size in options.sizes.split(",") if size]))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(matrix.to_json(), encoding="utf-8")
    show(matrix, Console())
    print(f"\nThe evidence for each cell: {options.output}")


async def _measure(sizes: Sequence[int]) -> Matrix:
    from benchmarks.features.listing import measure  # noqa: PLC0415  # with the peers

    async with all_subjects() as subjects:
        matrix = await run(subjects, done=lambda name: print(f"checked {name}", file=sys.stderr))
    for size in sizes:
        matrix.lists += await measure(size)
    matrix.machine = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **machine()}
    return matrix


if __name__ == "__main__":
    main(sys.argv[1:])
