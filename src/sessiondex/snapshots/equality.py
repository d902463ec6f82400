"""Compare a session with what comes back from JSON, part by part.

Two values are the same if they are equal. Datetimes are the same if instant and UTC offset are: Python's own `==` says
that a local time in the hour of a clock change equals no time of another zone, and JSON keeps the offset, not the zone.

A text in a field such as `datetime | str` comes back as a datetime, if it looks like one. `find_texts` finds such
places. The codec keeps them with the session, and `put_texts` puts the texts back at each read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias

from pydantic import BaseModel

from sessiondex.snapshots.instances import hidden_parts

Path: TypeAlias = tuple[str | int, ...]
"""Names of fields, keys of dicts and positions in lists that lead to a part of a value."""


def find_difference_path(before: Any, after: Any, *, is_own_field: bool = False, is_any: bool = False) -> Path | None:
    """Return the way to the first part that is not the same, or `None`. `()` is the value itself.

    In a field of the user's own, a member of an enum differs from its value. Where the field allows any value, equal
    values of two types differ.

    >>> find_difference_path({"a": [1, 2]}, {"a": [1, 3]})
    ('a', 1)
    >>> find_difference_path([True], [1], is_any=True)
    (0,)
    """
    if not is_own_field and not is_any and before == after:
        return None
    if isinstance(before, datetime) and isinstance(after, datetime):
        return None if before == after or _is_same_time(before, after) else ()
    parts = _parts(before, after)
    if parts is None:
        is_other_type = type(before) is not type(after) and (is_any or isinstance(before, Enum))
        return () if is_other_type or before != after else None
    for place, one, other in parts:
        found = find_difference_path(one, other, is_own_field=is_own_field, is_any=is_any)
        if found is not None:
            return (place, *found)
    return None


def _is_same_time(before: datetime, after: datetime) -> bool:
    """Return whether two unequal times are the same instant with the same UTC offset."""
    is_aware = before.utcoffset() is not None and before.utcoffset() == after.utcoffset()
    return is_aware and before.replace(tzinfo=None) == after.replace(tzinfo=None)


def _parts(before: Any, after: Any) -> Iterator[tuple[str | int, Any, Any]] | None:
    """Return the parts of two containers of one shape, pairwise, or `None` if they are not that."""
    if type(before) is not type(after):
        return None
    if isinstance(before, list | tuple) and len(before) == len(after):
        return ((place, *pair) for place, pair in enumerate(zip(before, after, strict=True)))
    if isinstance(before, dict) and before.keys() == after.keys():
        return ((key, value, after[key]) for key, value in before.items())
    if isinstance(before, BaseModel) and hidden_parts(before) == hidden_parts(after):
        fields = type(before).model_fields
        if fields.keys() <= before.__dict__.keys() and fields.keys() <= after.__dict__.keys():
            return ((name, before.__dict__[name], after.__dict__[name]) for name in fields)
    return None


def find_texts(before: Any, after: Any) -> tuple[Path, ...]:
    """Return the places of texts of `before` that are something else in `after`, as JSON would name them."""
    parts = _parts(before, after)
    if parts is None or (isinstance(before, dict) and not all(type(key) is str for key in before)):
        return ()
    found: list[Path] = []
    for place, one, other in parts:
        if type(one) is not str:
            found += [(place, *path) for path in find_texts(one, other)]
        elif not isinstance(other, str):
            found.append((place,))
    return tuple(found)


def put_texts(value: Any, raw: Any, paths: Iterable[Path]) -> None:
    """Put the texts at these places of the JSON value into the same places of the value that was made of it."""
    for path in paths:
        try:
            part, raw_part = value, raw
            for place in path[:-1]:
                part, raw_part = contents_of(part)[place], raw_part[place]
            text, contents = raw_part[path[-1]], contents_of(part)
            if isinstance(text, str) and contents[path[-1]] is not text:  # there is such a place
                contents[path[-1]] = text
        except (LookupError, TypeError):  # an upgrade has moved it, or it cannot be changed: a tuple
            continue


def contents_of(part: Any) -> Any:
    """Return what holds the parts of a container: of a model, its `__dict__`."""
    return part.__dict__ if isinstance(part, BaseModel) else part
