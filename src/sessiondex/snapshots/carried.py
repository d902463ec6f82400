"""What stored JSON holds beside the fields of a session, and what a session takes along that its class does not know.

A worker of an earlier release must not erase what a later one stored. So fields that a class does not declare stay with
the session as JSON, and are written back when it is saved. They stand under one key in the instance's `__dict__`, which
survives assignments and `model_copy`, and which pydantic neither dumps nor compares.

The JSON of such a session holds the schema version that wrote it, under a name that no field can have. Under another
stand the places of texts that JSON alone would bring back as something else, see `equality`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from sessiondex.snapshots.instances import CARRIED_KEY, instance_dict

PREFIX = "sessiondex: "
"""What names in stored JSON begin with that are no fields."""
_VERSION_KEY = f"{PREFIX}schema_version"
_TEXTS_KEY = f"{PREFIX}texts"
_MARK = f'"{PREFIX}'.encode()
Places: TypeAlias = tuple[tuple[str | int, ...], ...]
"""Ways through the JSON, each to a text."""


class Carried(NamedTuple):
    """What a session takes along."""

    version: int
    """The highest schema version that wrote it."""
    fields: bytes = b"{}"
    """Its unknown fields, as a JSON object."""
    texts: Places = ()
    """The places of texts within these."""


class Notes(NamedTuple):
    """What JSON holds beside the fields."""

    version: int
    """The highest schema version that wrote it, or 0."""
    texts: Places
    """The places of texts that JSON alone would bring back as something else."""


def carried_by(session: BaseModel) -> Carried | None:
    """Return what the session carries, or `None`."""
    found = instance_dict(session).get(CARRIED_KEY)
    return found if type(found) is Carried else None


def carry(session: BaseModel, carried: Carried) -> None:
    """Let the session carry this."""
    instance_dict(session)[CARRIED_KEY] = carried


def add_notes(data: bytes, carried: Carried | None, texts: Places) -> bytes:
    """Return the JSON object with what the session carries, and with the places of texts.

    >>> add_notes(b'{"a":1}', Carried(3, b'{"b":2}'), ())
    b'{"a":1,"sessiondex: schema_version":3,"b":2}'
    """
    added = b""
    if carried is not None:
        fields = b"" if carried.fields == b"{}" else b"," + carried.fields[1:-1]
        added += b",%b:%d%b" % (to_json(_VERSION_KEY), carried.version, fields)
        texts += carried.texts
    if texts:
        added += b",%b:%b" % (to_json(_TEXTS_KEY), to_json(texts))
    return data[:-1] + added + b"}"


def has_notes(data: bytes) -> bool:
    """Return whether the JSON holds notes, or only looks so: a text of the user may contain the mark."""
    return _MARK in data


def version_in(data: bytes) -> int:
    """Return the schema version in the JSON, or 0."""
    return take_notes(from_json(data)).version if has_notes(data) else 0


def with_version(data: bytes, version: int) -> bytes:
    """Return the JSON with a note of the schema version that wrote it, unless it has one of as late a version.

    >>> with_version(b'{"a":1}', 2)
    b'{"a":1,"sessiondex: schema_version":2}'
    """
    written = version_in(data)
    if written >= version:
        return data
    return to_json(from_json(data) | {_VERSION_KEY: version}) if written else add_notes(data, Carried(version), ())


def take_notes(values: dict[str, Any]) -> Notes:
    """Remove all but fields from the values, and return it."""
    return Notes(int(values.pop(_VERSION_KEY, 0)), tuple(map(tuple, values.pop(_TEXTS_KEY, ()))))


def take_unknown(values: dict[str, Any], known: set[str]) -> bytes:
    """Remove all but the known fields from the values, and return them as a JSON object."""
    return to_json({name: values.pop(name) for name in [*values] if name not in known})
