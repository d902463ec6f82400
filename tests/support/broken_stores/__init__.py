"""Stores with one fault each, which the kit must find."""

from tests.support.broken_stores import (
    arguments,
    concurrency,
    erasure,
    eviction,
    feed,
    isolation,
    life_cycle,
    lists,
    own_fields,
    own_indexes,
    queries,
    quiet_saves,
    saves,
    transfer,
    writes,
)
from tests.support.broken_stores.fault import BROKEN

__all__ = [
    "BROKEN",
    "arguments",
    "concurrency",
    "erasure",
    "eviction",
    "feed",
    "isolation",
    "life_cycle",
    "lists",
    "own_fields",
    "own_indexes",
    "queries",
    "quiet_saves",
    "saves",
    "transfer",
    "writes",
]
