"""Stores with one fault each: what the kit must find."""

from tests.support.broken_stores import arguments, moving, over_time, queries, saving, together
from tests.support.broken_stores.fault import BROKEN

__all__ = ["BROKEN", "arguments", "moving", "over_time", "queries", "saving", "together"]
