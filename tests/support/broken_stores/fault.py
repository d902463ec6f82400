"""Which stores are broken on purpose, which cases must find it, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessiondex.testing import ContractViolation

BROKEN: dict[type[Any], dict[str, type[Exception]]] = {}
"""Each broken store, and the cases about its fault, with the error by which each fails."""


def found_by(*names: str, by: type[Exception] = ContractViolation) -> Callable[[type[Any]], type[Any]]:
    """Note the store, and by which cases its fault must be found.

    Each of them fails by that error: what it raises by itself, but where the fault is that the store raises something,
    or, `TimeoutError`, that it never answers.
    """

    def noted(cls: type[Any]) -> type[Any]:
        BROKEN.setdefault(cls, {}).update(dict.fromkeys(names, by))
        return cls

    return noted
