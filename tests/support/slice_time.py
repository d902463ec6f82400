"""Count items instead of time, so that slices of long operations end at the same item on any machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from unittest.mock import patch

from sessiondex.stores import slices

ITEMS_PER_SLICE = 25
"""After so many items an operation lets other tasks run."""

_READERS = ("slices", "local", "session_loader", "evictor", "loading", "writer", "eviction")
_STEP_SECONDS = slices.SLICE_SECONDS / (ITEMS_PER_SLICE - 0.5)


@contextmanager
def counted_slices() -> Iterator[None]:
    """Replace the clock of all slices by one that goes on by a step each time it is read.

    An operation reads it once for each item.
    """
    readings = count()
    with ExitStack() as patches:
        for module in _READERS:
            name = f"sessiondex.stores.{module}.perf_counter"
            patches.enter_context(patch(name, lambda: next(readings) * _STEP_SECONDS))
        yield
