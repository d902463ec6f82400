"""Hostile values for longer: a million of them, in ten parts, each with a seed of its own."""

from __future__ import annotations

import pytest

from tests.stores.test_hostile import try_generated
from tests.support.hostile_checks import Kept, Refused

pytestmark = pytest.mark.search

COUNT, SEEDS = 100_000, range(1_000, 1_010)


@pytest.mark.parametrize("seed", SEEDS)
async def test_generated_values_are_kept_or_refused_by_name(seed: int) -> None:
    """Hostile values and JSON values, mixed and nested, in every place of a session, in all stores alike."""
    verdicts = await try_generated(seed, COUNT)

    assert (verdicts[Kept] + verdicts[Refused]) * len(SEEDS) == 1_000_000
    assert min(verdicts[Kept], verdicts[Refused]) > COUNT // 5, verdicts
