"""Which stores are broken on purpose, and which cases must find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BROKEN: dict[type[Any], tuple[str, ...]] = {}
"""Each broken store, and the cases about its fault."""


def found_by(*names: str) -> Callable[[type[Any]], type[Any]]:
    """Note the store, and by which cases its fault must be found."""

    def noted(cls: type[Any]) -> type[Any]:
        BROKEN[cls] = names
        return cls

    return noted
