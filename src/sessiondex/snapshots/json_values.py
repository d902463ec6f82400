"""Check and copy JSON values, and find values that JSON cannot hold.

JSON changes such values without an error: NaN becomes null, a tuple becomes a list, a lone surrogate in a key becomes
question marks. It also dumps long integers and deep nestings that it refuses to load.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Collection, Iterable
from math import isfinite
from typing import Any

from pydantic import BaseModel

_MAX_FAST_DEPTH = 32  # of the fast check only; deeper values go through the round trip
_MAX_FAST_CONTAINERS = 100_000  # in one level, likewise
_MAX_DEPTH = 190  # a little less than the depth that pydantic loads
_BITS_PER_DIGIT = 3.32
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_JSON_TYPES = (types.NoneType, bool, int, float, str, list, dict)
_SURROGATE = "a lone surrogate has no UTF-8 form; replace it where the text is decoded, with errors='replace'"


def copy_json(value: Any) -> Any:
    """Return a copy of a JSON value that shares no list or dict with it.

    >>> order = {"items": [{"sku": "A1"}]}
    >>> copy_json(order)["items"][0] is order["items"][0]
    False
    """
    # Few items are containers. To copy the whole and replace those takes half the time of copying each item.
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


def is_plain_json(value: Any) -> bool:  # noqa: C901, PLR0911, PLR0912  # one function: see the comment within
    """Return whether JSON certainly keeps the value: all types are exact, all numbers and depths moderate.

    `False` is a doubt, not a verdict. Cost: about 0.1 µs an item.

    >>> is_plain_json({"total": 12.5, "tags": ["new"]}), is_plain_json((1, 2))
    (True, False)
    """
    # One level after another, without a call for a container or an item: that would double the cost.
    level: list[Any] = [[value]]
    for _ in range(_MAX_FAST_DEPTH + 1):  # the first holds the value alone
        containers: list[Any] = []
        for container in level:
            items: Iterable[Any] = container
            if type(container) is dict:
                for key in container:
                    if type(key) is not str or not (key.isascii() or is_utf8(key)):
                        return False
                items = container.values()
            for item in items:
                kind: Any = type(item)
                if kind is str:
                    if not (item.isascii() or is_utf8(item)):
                        return False
                elif kind is dict or kind is list:
                    containers.append(item)
                elif kind is int:
                    if not _MIN_INT <= item <= _MAX_INT:
                        return False
                elif kind is float:
                    if not isfinite(item):
                        return False
                elif item is not None and kind is not bool:
                    return False
        if not containers:
            return True
        if len(containers) > _MAX_FAST_CONTAINERS:  # or a list that holds itself twice would take for ever
            return False
        level = containers
    return False


def find_non_json(
    fields: dict[str, Any], json_only: Collection[str] = (), *, was_loaded: bool = False
) -> tuple[str, str] | None:
    """Return the path of the first value that JSON cannot keep, and the remedy; `None` if there is none.

    Looks into lists, tuples, dicts and models. The fields in `json_only` may hold nothing but JSON values. Pass
    `was_loaded` for values that were dumped and loaded: their depth and the length of their numbers are accepted.

    >>> find_non_json({"variables": {"scores": [1.0, float("inf")]}})
    ('variables.scores.1', 'NaN and infinity have no JSON form; use None or a string')
    """
    # A stack, not recursion, because values may be nested very deeply or contain themselves. The methods are those of
    # the built-in types, because JSON is made with these and a subclass may override them.
    stack: list[tuple[tuple[object, ...], Any]] = [((name,), value) for name, value in reversed(fields.items())]
    while stack:
        path, value = stack.pop()
        reason = None if was_loaded else _reason_against_loading(value, len(path))
        reason = reason or _reason_against(value, is_json=path[0] in json_only)
        if reason is not None:
            return _dotted(path), reason
        if isinstance(value, dict):
            for key in dict.__iter__(value):
                if not isinstance(key, str):
                    if path[0] not in json_only:
                        continue
                    reason = f"keys must be strings, not {type(key).__name__}; convert them with str()"
                    return _dotted(path), reason
                if not is_utf8(key):
                    return _dotted((*path, key)), _SURROGATE
            stack.extend(((*path, key), item) for key, item in reversed(dict.items(value)))
        elif isinstance(value, BaseModel):
            stack.extend(((*path, name), item) for name, item in reversed(vars(value).items()))
        elif isinstance(value, list | tuple):
            items = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
            stack.extend(((*path, at), item) for at, item in reversed(list(enumerate(items))))
    return None


def _reason_against_loading(value: Any, depth: int) -> str | None:
    if depth > _MAX_DEPTH:
        return "nested too deeply to load again, or contains itself; keep it under 190 levels"
    if isinstance(value, int) and int.bit_length(value) > sys.int_info.default_max_str_digits * _BITS_PER_DIGIT:
        return "has more digits than can be loaded again; keep it as a string"
    return None


def _reason_against(value: Any, *, is_json: bool) -> str | None:
    if isinstance(value, str) and not is_utf8(value):
        return _SURROGATE
    if isinstance(value, float) and not isfinite(value):
        return "NaN and infinity have no JSON form; use None or a string"
    if is_json and not isinstance(value, _JSON_TYPES):
        return f"a {type(value).__name__} is not a JSON value; use None, bool, int, float, str, list or dict"
    return None


def _dotted(path: tuple[object, ...]) -> str:
    return ".".join(map(printable, path[:8])) + ("..." if len(path) > 8 else "")


def printable(part: object) -> str:
    """Return text that any log accepts: lone surrogates are escaped."""
    return str(part).encode(errors="backslashreplace").decode()


def is_utf8(text: str) -> bool:
    """Return whether the text has a UTF-8 form, which lone surrogates do not have."""
    if str.isascii(text):  # O(1)
        return True
    try:
        str.encode(text)
    except UnicodeEncodeError:
        return False
    return True
