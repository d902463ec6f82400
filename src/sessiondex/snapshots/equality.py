"""Compare a session with what comes back from JSON, part by part.

Two values are the same if they are equal. Datetimes are the same if instant and UTC offset are: Python's own `==` says
that a local time in the hour of a clock change equals no time of another zone, and JSON keeps the offset, not the zone.

A text in a field such as `datetime | str` comes back as a datetime, if it looks like one. `restore_texts` finds such
places and mends them. The codec keeps the places with the session, and `put_texts` mends them again at each read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from pydantic import BaseModel

Path: TypeAlias = tuple[str | int, ...]
"""Names of fields, keys of dicts and positions in lists that lead to a part of a value."""


def find_difference_path(before: Any, after: Any, *, has_exact_types: bool = False) -> Path | None:
    """Return the way to the first part that is not the same, or `None`. `()` is the value itself.

    With `has_exact_types`, equal values of two types differ: a member of an enum, say, and its value.

    >>> find_difference_path({"a": [1, 2]}, {"a": [1, 3]})
    ('a', 1)
    >>> find_difference_path([True], [1], has_exact_types=True)
    (0,)
    """
    if not has_exact_types and before == after:
        return None
    if isinstance(before, datetime) and isinstance(after, datetime):
        return None if _is_same_time(before, after) else ()
    parts = _parts(before, after)
    if parts is None:
        is_same = before == after and (not has_exact_types or type(before) is type(after))
        return None if is_same else ()
    for place, one, other in parts:
        found = find_difference_path(one, other, has_exact_types=has_exact_types)
        if found is not None:
            return (place, *found)
    return None


def _is_same_time(before: datetime, after: datetime) -> bool:
    offset = before.utcoffset()
    if offset is None or offset != after.utcoffset():
        return before == after and offset is None
    return before.replace(tzinfo=None) == after.replace(tzinfo=None)


def _parts(before: Any, after: Any) -> Iterator[tuple[str | int, Any, Any]] | None:
    """Return the parts of two containers of one shape, pairwise, or `None` if they are not that."""
    if type(before) is not type(after):
        return None
    if isinstance(before, list | tuple) and len(before) == len(after):
        return ((place, *pair) for place, pair in enumerate(zip(before, after, strict=True)))
    if isinstance(before, dict) and before.keys() == after.keys():
        return ((key, value, after[key]) for key, value in before.items())
    if isinstance(before, BaseModel):
        fields = type(before).model_fields
        if fields.keys() <= before.__dict__.keys() and fields.keys() <= after.__dict__.keys():
            return ((name, before.__dict__[name], after.__dict__[name]) for name in fields)
    return None


def restore_texts(before: Any, after: Any) -> list[Path]:
    """Put back the texts of `before` that are something else in `after`, which is changed, and return where."""
    parts = _parts(before, after)
    if parts is None:
        return []
    found: list[Path] = []
    for place, one, other in parts:
        if type(one) is str and not isinstance(other, str):
            if _put(after, place, one):
                found.append((place,))
        elif one is not other:
            found += [(place, *path) for path in restore_texts(one, other)]
    return found


def put_texts(value: Any, raw: Any, paths: Iterable[Sequence[str | int]]) -> None:
    """Put the texts at these places of the JSON value into the same places of the value that was made of it."""
    for path in paths:
        try:
            part, raw_part = value, raw
            for place in path[:-1]:
                part, raw_part = _get(part, place), raw_part[place]
            text = raw_part[path[-1]]
        except (LookupError, TypeError, AttributeError):  # an upgrade has moved it
            continue
        if isinstance(text, str):
            _put(part, path[-1], text)


def _get(part: Any, place: str | int) -> Any:
    return part.__dict__[str(place)] if isinstance(part, BaseModel) else part[place]


def _put(part: Any, place: str | int, text: str) -> bool:
    """Put the text into that place, if the container can be changed."""
    if isinstance(part, BaseModel):
        part.__dict__[str(place)] = text
    elif isinstance(part, list | dict):
        part[place] = text  # type: ignore[index]  # a position for a list, a key for a dict
    else:
        return False
    return True
