"""The skewed choice."""

from __future__ import annotations

import random

import pytest

from benchmarks.zipf import Zipf


def test_frequencies() -> None:
    """Rank r is drawn about 1 / (r + 1) ** 0.99 times as often as rank 0."""
    draws = Zipf(1000).draws(random.Random(1), 100_000)

    for rank in (1, 4, 9, 99):
        assert draws.count(rank) / draws.count(0) == pytest.approx((rank + 1) ** -0.99, rel=0.15)
    assert set(draws) <= set(range(1000))


def test_no_skew() -> None:
    """An exponent of 0 is an even choice."""
    draws = Zipf(10, exponent=0).draws(random.Random(1), 10_000)

    assert max(map(draws.count, range(10))) < 1.2 * min(map(draws.count, range(10)))


def test_single_rank() -> None:
    assert Zipf(1).draw(random.Random(1)) == 0
