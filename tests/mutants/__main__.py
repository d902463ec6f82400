"""Try each mutant: `python -m tests.mutants`. The exit code is 1 if one survives, and 2 if that cannot be told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from tests.mutants.catalogue import MUTANTS, Mutant
from tests.mutants.page import PAGE, page_of
from tests.mutants.trial import SAME_IN_OTHER_WORDS, Copy, NoVerdictError

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do as the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Try each mutant on a copy.")
    parser.add_argument("--only", metavar="NAME", help="try the mutant of this name, or those with this in their name")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE.relative_to(ROOT)}, and try none")
    options = parser.parse_args(arguments)
    if options.page:
        PAGE.write_text(page_of(MUTANTS), encoding="utf-8")
        return 0
    chosen = [mutant for mutant in MUTANTS if options.only is None or options.only in mutant.name]
    if not chosen:
        parser.error(f"no mutant has {options.only!r} in its name")
    try:
        with TemporaryDirectory(prefix="mutants-") as folder:
            return 1 if survivors_of(Copy.of(ROOT, Path(folder).resolve()), chosen) else 0
    except NoVerdictError as error:
        say(f"no verdict: {error}")
        return 2


def survivors_of(copy: Copy, mutants: Sequence[Mutant], control: Mutant = SAME_IN_OTHER_WORDS) -> list[Mutant]:
    """Try each on the copy, say what became of it, and return those that were not found by the test that they name."""
    begun = perf_counter()
    copy.check(list(dict.fromkeys(mutant.killer for mutant in mutants)), control)
    say(f"{perf_counter() - begun:6.1f} s  all killers pass without a mutant")
    survivors = []
    for mutant in mutants:
        start = perf_counter()
        killer = copy.killer_of(mutant)
        if killer != mutant.killer:
            survivors.append(mutant)
        said = "SURVIVED" if killer is None else "killed" if killer == mutant.killer else f"killed, but by {killer}"
        say(f"{perf_counter() - start:6.1f} s  {said}: {mutant.name} ({mutant.breaks})")
    found = len(mutants) - len(survivors)
    say(f"{perf_counter() - begun:6.1f} s  {found} of {len(mutants)} killed by the test that they name")
    return survivors


def say(line: str) -> None:
    """Print the line at once."""
    print(line, flush=True)  # noqa: T201  # it talks to a terminal


if __name__ == "__main__":
    sys.exit(main())
