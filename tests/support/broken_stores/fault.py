"""The registry of broken stores: the cases that must find each fault, and the error of each case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessiondex.testing import ContractViolation

BROKEN: dict[type[Any], dict[str, type[Exception]]] = {}
"""By store: the name of each case that must fail, and the class of its error."""


def found_by(*names: str, by: type[Exception] = ContractViolation) -> Callable[[type[Any]], type[Any]]:
    """Register the store as broken, with the cases that must find its fault.

    Each case must fail by `by`: usually `ContractViolation`. It is the error that the store raises if that is the
    fault, or `TimeoutError` if the store never answers.
    """

    def register(cls: type[Any]) -> type[Any]:
        BROKEN.setdefault(cls, {}).update(dict.fromkeys(names, by))
        return cls

    return register
