"""Carried: what a session takes along that its class does not know, because a later release wrote it.

A worker of an earlier release must not erase what a later one stored. So fields that a class does not declare stay with
the session as JSON, and are written back when it is saved. They stand under one key in the instance's `__dict__`, which
survives assignments and `model_copy`, and which pydantic neither dumps nor compares.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from sessiondex.snapshots.instances import CARRIED_KEY, instance_dict

_VERSION_KEY = "sessiondex: schema_version"
_VERSION_MARK = to_json(_VERSION_KEY)


class Carried(NamedTuple):
    """The highest schema version that wrote the session, and its unknown fields as a JSON object."""

    version: int
    fields: bytes


def carried_by(session: BaseModel) -> Carried | None:
    """Return what the session carries, or `None`."""
    found = instance_dict(session).get(CARRIED_KEY)
    return found if type(found) is Carried else None


def carry(session: BaseModel, carried: Carried) -> None:
    """Let the session carry this."""
    instance_dict(session)[CARRIED_KEY] = carried


def merge(data: bytes, carried: Carried) -> bytes:
    """Return the JSON object with what the session carries.

    >>> merge(b'{"a":1}', Carried(3, b'{"b":2}'))
    b'{"a":1,"sessiondex: schema_version":3,"b":2}'
    """
    fields = b"" if carried.fields == b"{}" else b"," + carried.fields[1:-1]
    return b"%b,%b:%d%b}" % (data[:-1], _VERSION_MARK, carried.version, fields)


def is_merged(data: bytes) -> bool:
    """Return whether the JSON may be from `merge`: always if it is."""
    return _VERSION_MARK in data


def version_in(data: bytes) -> int:
    """Return the schema version in JSON from `merge`, or 0."""
    return int(from_json(data).get(_VERSION_KEY, 0)) if is_merged(data) else 0


def split(values: dict[str, Any], known: set[str]) -> Carried:
    """Remove all but the known fields from the values, and return what was removed."""
    version = int(values.pop(_VERSION_KEY, 0))
    return Carried(version, to_json({name: values.pop(name) for name in [*values] if name not in known}))
