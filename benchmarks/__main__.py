"""Run the benchmarks: `python -m benchmarks`, with `--help` for the options."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from rich.console import Console

from benchmarks import contest, flood, lookup, mixes, replay, scale
from benchmarks.answers import AnswersDifferError
from benchmarks.machine import machine, versions
from benchmarks.measure import timer_overhead
from benchmarks.options import Options, parse
from benchmarks.progress import BarProgress, Progress
from benchmarks.remote import all as remote
from benchmarks.remote.service import TurnsDifferError, WorkerFailedError
from benchmarks.replay import ReplaysDifferError
from benchmarks.run import Run
from benchmarks.scale import AloneFailedError
from benchmarks.terminal import console, show


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; return the exit status."""
    try:
        options = parse(arguments)
        out = console()
        progress = BarProgress(out)
        with progress.shown():
            found = asyncio.run(make(options, command(arguments), progress))
        show(out, found)
        write(found, options.output, out)
    except KeyboardInterrupt:
        print("\nStopped before the end.", file=sys.stderr)
        return 130
    except (AnswersDifferError, ReplaysDifferError, TurnsDifferError) as error:
        print(f"\nNothing was compared. {error}", file=sys.stderr)
        return 1
    except (AloneFailedError, WorkerFailedError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


async def make(options: Options, as_command: str, progress: Progress) -> Run:
    """Time everything."""
    start, date, seed = monotonic(), datetime.now(UTC), options.seed
    looked_up = await lookup.run(options.sizes, seed, options.budget, progress)
    replayed = await replay.run(options.conversations, options.together, seed, progress)
    scaled = await scale.run(options.sizes, seed, options.budget, options.traffic, progress)
    contested = await contest.run(options.peers, seed, options.peer_budget, progress)
    mixed = await mixes.run(options.peers, seed, options.mix, progress)
    flooded = await flood.run(seed, progress, options.ids)
    served = await remote.run(options.remote, seed, progress)
    return Run(
        date=date.isoformat(timespec="seconds"),
        command=as_command,
        seed=seed,
        seconds=round(monotonic() - start, 1),
        machine=machine(),
        versions=versions(),
        timer_overhead=timer_overhead(),
        lookup=looked_up,
        replay=replayed,
        scale=scaled,
        contest=contested,
        mixes=mixed,
        floods=flooded,
        remote=served,
    )


def command(arguments: Sequence[str]) -> str:
    """Return the command that makes the run again. Of absolute paths only the name: they mean nothing elsewhere."""
    return shlex.join(["python", "-m", "benchmarks", *[_portable(argument) for argument in arguments]])


def _portable(argument: str) -> str:
    option, equals, value = argument.rpartition("=")
    return f"{option}{equals}{Path(value).name}" if Path(value).is_absolute() else argument


def write(found: Run, directory: Path, out: Console) -> None:
    """Write the results, and the report if altair is there to make it: only the bench group installs it."""
    results = directory / "results.json"
    results.write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
    written = [results]
    if find_spec("altair") and find_spec("vl_convert"):
        from benchmarks.report import write_report  # noqa: PLC0415  # altair takes a second to import, and may be absent

        written += write_report(found, directory)
    else:
        out.print("No report: it needs altair and vl-convert-python, which `nox -s bench` installs.")
    out.print(f"Took {found.seconds:.0f} s. Written: {', '.join(map(str, written))}", highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
