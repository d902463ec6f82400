"""Choose the size of the searches for counterexamples: full in `nox -s stress`, a part of it in `nox -s tests`."""

from __future__ import annotations

import os

IS_STRESS = "SESSIONDEX_STRESS" in os.environ


def search_size(full: int, part: int = 4) -> int:
    """Return the number of trials to run: all, or one in so many.

    >>> search_size(2_000) in {500, 2_000}
    True
    """
    return full if IS_STRESS else full // part
