"""Compare values with the types of all their parts: `==` alone takes True for 1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel


def exact(value: Any) -> Any:
    """Return the value paired with the types of all its parts, so that `==` compares types as well."""
    return type(value), _parts(value)


def _parts(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return exact(vars(value)), exact(value.__pydantic_extra__), exact(value.__pydantic_private__)
    if isinstance(value, dict):
        return [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((exact(item) for item in value), key=repr)
    if isinstance(value, datetime):
        return value.isoformat(), type(value.tzinfo)  # `fold` has no meaning in UTC
    return repr(value) if isinstance(value, float) else value  # `==` does not distinguish -0.0 from 0.0
