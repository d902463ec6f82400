"""Stores with one fault each, which the kit must find."""

from tests.support.broken_stores import (
    arguments,
    concurrency,
    eviction,
    feed,
    isolation,
    life_cycle,
    own_fields,
    queries,
    saves,
    transfer,
)
from tests.support.broken_stores.fault import BROKEN

__all__ = [
    "BROKEN",
    "arguments",
    "concurrency",
    "eviction",
    "feed",
    "isolation",
    "life_cycle",
    "own_fields",
    "queries",
    "saves",
    "transfer",
]
