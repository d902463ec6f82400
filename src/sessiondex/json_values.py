"""JSON values as Python holds them: copying one, and telling whether JSON keeps it.

JSON quietly changes what it cannot hold: NaN becomes null, a tuple becomes a list, a lone surrogate in a key becomes
question marks; and it dumps integers and nestings that it refuses to load.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Collection
from math import isfinite
from typing import Any

from pydantic import BaseModel

_MAX_DEPTH = 32  # for the short way only; what is deeper is tried and seen


def copy_json(value: Any) -> Any:
    """Return a copy of a JSON value that shares no list or dict with it.

    >>> order = {"items": [{"sku": "A1"}]}
    >>> copy_json(order)["items"][0] is order["items"][0]
    False
    """
    # Copied whole, then mended where an item is a container, since few are: twice as fast as item by item.
    kind = type(value)
    if kind is dict:
        copied = value.copy()
        for key, item in value.items():
            kind = type(item)
            if kind is dict or kind is list:
                copied[key] = copy_json(item)
        return copied
    if kind is list:
        copied = value.copy()
        for at, item in enumerate(value):
            kind = type(item)
            if kind is dict or kind is list:
                copied[at] = copy_json(item)
        return copied
    return value


class NotPlainError(Exception):
    """`copy_plain` met something that JSON might not keep."""


def copy_plain(value: Any, depth: int = 0) -> Any:  # noqa: C901  # in one pass: calls would double its cost
    """Return a copy of a value that JSON surely keeps: no list or dict is shared, and all types are exact.

    Raises:
        NotPlainError: it might not be kept. That is a doubt, not a verdict.

    >>> copy_plain({"total": 12.5, "tags": ["new"]})
    {'total': 12.5, 'tags': ['new']}
    """
    kind = type(value)
    if kind is str:
        if _is_utf8(value):
            return value
    elif kind is int:
        if -(2**63) <= value < 2**63:
            return value
    elif kind is bool or value is None:
        return value
    elif kind is float:
        if isfinite(value):
            return value
    elif depth < _MAX_DEPTH:
        if kind is list:
            return [copy_plain(item, depth + 1) for item in value]
        if kind is dict:
            copied = {}
            for key, item in value.items():
                if type(key) is not str or not (key.isascii() or _is_utf8(key)):
                    raise NotPlainError
                # Most values are short texts, and this asks `isascii`, which is O(1), without a call.
                copied[key] = item if type(item) is str and item.isascii() else copy_plain(item, depth + 1)
            return copied
    raise NotPlainError


def first_flaw(
    fields: dict[str, Any], json_only: Collection[str] = (), *, was_loaded: bool = False
) -> tuple[str, str] | None:
    """Return the path of the first thing that JSON cannot keep, and what to do about it; `None` if nothing is found.

    Looks into lists, tuples, dicts and models. In the fields named `json_only`, whatever is not a JSON value is a flaw
    as well. Of what was dumped and loaded, neither its depth nor the length of a number is a flaw.

    >>> first_flaw({"variables": {"scores": [1.0, float("inf")]}})
    ('variables.scores.1', 'NaN and infinity have no JSON form; use None or a string')
    """
    # With a stack of its own, and bounded in depth: what it is given may be nested without end, or in itself. And by
    # the methods of the very types, as JSON is made: those of a subclass may say anything, without end.
    stack: list[tuple[tuple[object, ...], Any]] = [((name,), value) for name, value in reversed(fields.items())]
    while stack:
        path, value = stack.pop()
        reason = None if was_loaded else _reason_against_loading(value, len(path))
        reason = reason or _reason_against(value, is_json=path[0] in json_only)
        if reason is not None:
            return _dotted(path), reason
        if _is_a(value, dict):
            for key in dict.__iter__(value):
                if not _is_a(key, str):
                    if path[0] not in json_only:
                        continue
                    reason = f"keys must be strings, not {type(key).__name__}; convert them with str()"
                    return _dotted(path), reason
                if not _is_utf8(key):
                    return _dotted((*path, key)), _SURROGATE
            stack.extend(((*path, key), item) for key, item in reversed(dict.items(value)))
        elif _is_a(value, BaseModel):
            stack.extend(((*path, name), item) for name, item in reversed(vars(value).items()))
        elif _is_a(value, list, tuple):
            items = list.__iter__(value) if _is_a(value, list) else tuple.__iter__(value)
            stack.extend(((*path, at), item) for at, item in reversed(list(enumerate(items))))
    return None


_SURROGATE = "a lone surrogate has no UTF-8 form; replace it where the text is decoded, with errors='replace'"
_DEEPEST = 190  # a little less than what pydantic loads
_JSON_TYPES = (types.NoneType, bool, int, float, str, list, dict)


def _reason_against_loading(value: Any, depth: int) -> str | None:
    if depth > _DEEPEST:
        return "nested too deeply to load again, or contains itself; keep it under 190 levels"
    if _is_a(value, int) and int.bit_length(value) > sys.int_info.default_max_str_digits * 3.32:
        return "has more digits than can be loaded again; keep it as a string"
    return None


def _reason_against(value: Any, *, is_json: bool) -> str | None:
    if _is_a(value, str) and not _is_utf8(value):
        return _SURROGATE
    if _is_a(value, float) and not isfinite(value):
        return "NaN and infinity have no JSON form; use None or a string"
    if is_json and not _is_a(value, *_JSON_TYPES):
        return f"a {type(value).__name__} is not a JSON value; use None, bool, int, float, str, list or dict"
    return None


def _is_a(value: Any, *classes: type) -> bool:
    return issubclass(type(value), classes)  # isinstance would believe what an object says of its class


def _dotted(path: tuple[object, ...]) -> str:
    return ".".join(map(printable, path[:8])) + ("..." if len(path) > 8 else "")


def printable(part: object) -> str:
    """Return text that any log can take, lone surrogates escaped."""
    return str(part).encode(errors="backslashreplace").decode()


def _is_utf8(text: str) -> bool:
    if str.isascii(text):  # O(1)
        return True
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True
