"""Run the benchmarks: `python -m benchmarks`, with `--help` for the options."""

import asyncio
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from rich.console import Console

from benchmarks.measure.machine import machine, versions
from benchmarks.measure.processes import ProcessFailedError
from benchmarks.measure.progress import Progress
from benchmarks.measure.timing import timer_overhead
from benchmarks.options import Options, parse
from benchmarks.report.terminal import close, console, show
from benchmarks.run import Run, write_whole
from benchmarks.scenarios import floods, footprint, indexes, lookups, mixes, replay
from benchmarks.scenarios.answers import AnswersDifferError
from benchmarks.scenarios.journal import scenario as journal
from benchmarks.scenarios.replay import ReplaysDifferError
from benchmarks.scenarios.servers import scenario as servers
from benchmarks.scenarios.servers.workers import TurnsDifferError


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks, print the tables and write the results; return the exit status."""
    try:
        options = parse(arguments)
        out = console()
        progress = Progress(out)
        with progress.bars:
            run = asyncio.run(measure(options, command(arguments), progress))
        written = write(run, options.output, out)
        show(out, run)
        close(out, run, written)
    except KeyboardInterrupt:
        print("\nStopped before the end.", file=sys.stderr)
        return 130
    except (AnswersDifferError, ReplaysDifferError, TurnsDifferError) as error:
        print(f"\nNothing was compared. {error}", file=sys.stderr)
        return 1
    except ProcessFailedError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


async def measure(options: Options, as_command: str, progress: Progress) -> Run:
    """Run all scenarios that the options ask for."""
    start, date, seed, parts = monotonic(), datetime.now(UTC), options.seed, options.parts
    looked_up = await lookups.run(options.sizes, seed, options.budget, progress, services="services" in parts)
    replayed = await replay.run(options.conversations, options.together, seed, progress)
    weighed = await footprint.run(options.weighed_sizes, options.variants, seed, options.traffic_seconds, progress)
    size, budget = options.peer_size, options.budget
    peers = await lookups.run_peers(size, seed, budget, progress) if "peers" in parts else None
    mixed = await mixes.run(size, seed, options.mix_seconds, progress) if "mixes" in parts else []
    flooded = await floods.run(options.flood_ids, seed, progress) if "floods" in parts else []
    own = await indexes.run(options.sizes, seed, budget, progress) if "indexes" in parts else None
    served = await servers.run(options.servers, seed, progress) if "servers" in parts else None
    journalled = (
        await journal.run(options.journal, options.loaded_sizes, seed, budget, progress) if "journal" in parts else None
    )
    return Run(
        date=date.isoformat(timespec="seconds"),
        command=as_command,
        seed=seed,
        seconds=round(monotonic() - start, 1),
        machine=machine(),
        versions=versions(),
        timer_overhead=timer_overhead(),
        lookups=looked_up,
        replays=replayed,
        footprints=weighed,
        peers=peers,
        mixes=mixed,
        floods=flooded,
        indexes=own,
        servers=served,
        journal=journalled,
    )


def command(arguments: Sequence[str]) -> str:
    """Return the command that repeats the run, with absolute paths cut to names: they mean nothing elsewhere."""
    options = shlex.join(_portable(argument) for argument in arguments)
    return f"nox -s bench -- {options}" if options else "nox -s bench"


def _portable(argument: str) -> str:
    option, equals, value = argument.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if Path(value).is_absolute() else argument


def write(run: Run, directory: Path, out: Console) -> Path:
    """Write the results, and the report if altair can draw it; return the path to show."""
    results = directory / "results.json"
    write_whole(results, run.to_json())
    if find_spec("altair") and find_spec("vl_convert"):
        from benchmarks.report.page import write_report  # noqa: PLC0415  # altair takes a second, and may be absent

        return write_report(run, directory)
    out.print("No report: it needs altair and vl-convert-python, which `nox -s bench` installs.")
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
