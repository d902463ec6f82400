"""Try many seeds, or repeat one of them.

`SESSIONDEX_SEED=1234 nox -s tests -- TEST` runs a test with that seed alone. Hypothesis tests use the same seed: see
`tests/conftest.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from shlex import quote
from typing import Protocol

import pytest

from tests.support.sizes import IS_STRESS

GIVEN_SEED = os.environ.get("SESSIONDEX_SEED")
WHEEL = os.environ.get("SESSIONDEX_TEST_SERVER")


class TryEach(Protocol):
    """The type of `try_each` after the fixture has bound the test."""

    def __call__(self, seeds: Iterable[int], context: Callable[[int], object]) -> bool: ...


def try_each(seeds: Iterable[int], context: Callable[[int], object], *, test: str) -> bool:
    """Run the function with each seed, or only with `SESSIONDEX_SEED` if it is set; return whether all seeds ran.

    A note on a failure gives the command that repeats the test with the failing seed.
    """
    for seed in seeds if GIVEN_SEED is None else [int(GIVEN_SEED)]:
        try:
            context(seed)
        except BaseException as error:
            error.add_note(f"Repeat it by: {command(test, seed)}")
            raise
    return GIVEN_SEED is None


def command(test: str, seed: int | str | None = None) -> str:
    """Return the command that runs the test with that seed alone."""
    asked = "" if seed is None else f"SESSIONDEX_SEED={seed} "
    stress = "SESSIONDEX_STRESS=1 " if IS_STRESS else ""
    session = "tests" if WHEEL is None else f"servers(wheel='{WHEEL}')"
    return f"{stress}{asked}nox -s {quote(session)} -- {quote(test)}"


def first_failure(seeds: Iterable[int], context: Callable[[int], object]) -> str:
    """Return the result of the first seed that fails; one must, because a bug was planted."""
    for seed in seeds:
        try:
            context(seed)
        except AssertionError as error:
            return str(error)
    raise AssertionError("no seed found the planted bug")


skip_with_seed = pytest.mark.skipif(
    GIVEN_SEED is not None, reason="the planted bug needs other seeds than SESSIONDEX_SEED"
)
"""Skips tests of planted bugs while `SESSIONDEX_SEED` is set: they need the seeds that find the bug."""
