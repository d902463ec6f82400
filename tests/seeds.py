"""Trying many seeds, and one of them again.

`SESSIONDEX_SEED=1234 nox -s tests -- PATH` runs the tests of a file with that seed alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable


def try_each(seeds: Iterable[int], trial: Callable[[int], object], path: str) -> None:
    """Try each of the seeds, or only the one that the environment asks for. A failure says how to repeat it."""
    asked = os.environ.get("SESSIONDEX_SEED")
    for seed in seeds if asked is None else [int(asked)]:
        try:
            trial(seed)
        except BaseException as error:
            error.add_note(f"Repeat it by: SESSIONDEX_SEED={seed} nox -s tests -- {path}")
            raise


def first_that_fails(seeds: Iterable[int], trial: Callable[[int], object]) -> str:
    """Return what the first of the seeds says that fails, as one of them must: a bug was planted."""
    for seed in seeds:
        try:
            trial(seed)
        except AssertionError as error:
            return str(error)
    raise AssertionError("no seed found the planted bug")
