"""Draw skewed ranks: a few come often, most come seldom."""

import random
from itertools import accumulate


class Zipf:
    """Draw ranks from 0 to n - 1, rank r with the weight 1 / (r + 1) ** exponent.

    With the exponent 0.99, which YCSB uses, a fifth of the draws from a thousand ranks are the first two.

    >>> ranks = Zipf(1000).draws(random.Random(1), 10_000)
    >>> ranks.count(0) > 5 * ranks.count(9) > 0
    True
    """

    def __init__(self, n: int, exponent: float = 0.99) -> None:
        self._ranks = range(n)
        self._cumulative = list(accumulate((rank + 1) ** -exponent for rank in self._ranks))

    def draw(self, rng: random.Random) -> int:
        """Return one rank. Cost: O(log n)."""
        return self.draws(rng, 1)[0]

    def draws(self, rng: random.Random, count: int) -> list[int]:
        """Return `count` ranks. Cost: O(count * log n)."""
        return rng.choices(self._ranks, cum_weights=self._cumulative, k=count)
