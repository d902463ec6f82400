"""Tenants of very different sizes on the shards of a cluster: who is where, and how full the fullest shard is.

All keys of a tenant carry its id in braces, so a tenant is in one of 16,384 slots, and each shard has a range of these,
all as long. What is simulated is only the sizes: the slots are those that a cluster computes of the store's real keys.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise
from uuid import UUID

from redis.crc import key_slot

from sessiondex.stores.redis import keys

SLOTS = 16_384
SPLIT_FROM = 0.25
"""Of the mean of all shards: tenants that are larger than that are split."""


def zipf_sizes(tenants: int, exponent: float, total: float) -> list[float]:
    """Return how many sessions each tenant has, the largest first: rank r has 1 / r ** exponent of what the first has.

    >>> [round(size) for size in zipf_sizes(4, 1.0, 2500)]
    [1200, 600, 400, 300]
    """
    weights = [rank**-exponent for rank in range(1, tenants + 1)]
    whole = sum(weights)
    return [weight / whole * total for weight in weights]


def slot_of(tenant_id: UUID) -> int:
    """Return the slot in which all keys of the tenant are."""
    return key_slot(keys.base("sessiondex", tenant_id))


class Slots:
    """Slots of tenants whose ids are drawn once: the same number asked for again is the same tenant."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)
        self._drawn: list[int] = []

    def first(self, tenants: int) -> Sequence[int]:
        """Return the slots of the first so many."""
        while len(self._drawn) < tenants:
            self._drawn.append(slot_of(UUID(int=self._rng.getrandbits(128), version=4)))
        return self._drawn[:tenants]


@dataclass(frozen=True)
class Fill:
    """How full shards are."""

    imbalance: float
    """The fullest shard, as a multiple of the mean."""
    split: int
    """How many tenants were split."""


class Placement:
    """Tenants in their slots, to be looked at with any number of shards."""

    def __init__(self, sizes: Sequence[float], tenants: Sequence[int], parts: Slots) -> None:
        self._sizes = sizes
        self._tenants = tenants
        self._parts = parts
        self._total = sum(sizes)
        self._loads = [0.0] * SLOTS
        for size, slot in zip(sizes, tenants, strict=True):
            self._loads[slot] += size

    def fill(self, shards: int, parts: int = 1) -> Fill:
        """Return how full so many shards are, if each of the tenants that are large for them is split in so many parts.

        Each part has an id of its own, and so a slot.
        """
        mean = self._total / shards
        loads = self._loads
        split = 0
        if parts > 1:
            split = next(place for place in count() if self._is_small(place, mean))
            loads = self._loads.copy()
            slots = iter(self._parts.first(split * parts))
            for size, slot in zip(self._sizes[:split], self._tenants, strict=False):
                loads[slot] -= size
                for _ in range(parts):
                    loads[next(slots)] += size / parts
        return Fill(max(shard_loads(loads, shards)) / mean, split)

    def _is_small(self, place: int, mean: float) -> bool:
        return place == len(self._sizes) or self._sizes[place] <= SPLIT_FROM * mean


def shard_loads(loads: Sequence[float], shards: int) -> list[float]:
    """Return what each shard has, of what each slot has.

    >>> shard_loads([1.0] * 16384, 3)
    [5461.0, 5462.0, 5461.0]
    """
    before = list(accumulate(loads, initial=0.0))
    bounds = [round(shard * len(loads) / shards) for shard in range(shards + 1)]
    return [before[end] - before[start] for start, end in pairwise(bounds)]
