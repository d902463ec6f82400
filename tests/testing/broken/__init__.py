"""Stores with one fault each: what the kit must find."""

from tests.testing.broken import arguments, moving, over_time, queries, saving, together
from tests.testing.broken.fault import BROKEN

__all__ = ["BROKEN", "arguments", "moving", "over_time", "queries", "saving", "together"]
