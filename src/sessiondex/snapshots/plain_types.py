"""Decide which classes are plain, and check values of the types that a plain class may add."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from sessiondex.indexed import Indexed
from sessiondex.models import Channel, Session, check_channel
from sessiondex.snapshots.carried import PREFIX
from sessiondex.snapshots.instances import has_own_behaviour
from sessiondex.snapshots.json_values import is_plain_json, is_utf8

Check: TypeAlias = Callable[[Any], bool]
"""Returns `True` only if JSON surely keeps the value."""


def _exactly(cls: type) -> Check:
    return lambda value: type(value) is cls and is_plain_json(value)


_CHECKS: dict[Any, Check] = {
    **{cls: _exactly(cls) for cls in (str, int, float, bool, types.NoneType)},
    JsonValue: is_plain_json,
}


def is_plain_class(cls: type[Session]) -> bool:
    """Return whether the class adds nothing to `Session` but fields of JSON types and ids, under their own names."""
    return not has_own_behaviour(cls) and all(_is_plain_field(name, field) for name, field in cls.model_fields.items())


def _is_plain_field(name: str, field: FieldInfo) -> bool:
    if name.startswith(PREFIX):  # the round trip refuses it
        return False
    renamed = field.alias or field.validation_alias or field.serialization_alias
    if renamed or field.exclude or getattr(field, "exclude_if", None):
        return False
    inherited = Session.model_fields.get(name)
    if inherited is not None:
        return field.annotation == inherited.annotation and _checks(field) == inherited.metadata
    return not _checks(field) and (field.annotation in (UUID, UUID | None) or check_of(field.annotation) is not None)


def _checks(field: FieldInfo) -> list[Any]:
    """Return the metadata of the field that concern its values: an index does not."""
    return [one for one in field.metadata if not isinstance(one, Indexed)]


def check_of(annotation: Any) -> Check | None:
    """Return the check of a type of JSON values, or `None` for any other type.

    >>> are_scores = check_of(list[float])
    >>> are_scores([0.5]), are_scores([1]), check_of(set[float])
    (True, False, None)
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments:
        return next((check for plain, check in _CHECKS.items() if plain == annotation), None)
    if origin in (Union, types.UnionType):
        others = [argument for argument in arguments if argument is not types.NoneType]
        # Optional types only: from a union of UUID and str, JSON loads a string.
        inner = check_of(others[0]) if len(others) == 1 else None
        return inner and _optional(inner)
    if origin is list:
        inner = check_of(arguments[0])
        return inner and _list_of(inner)
    if origin is dict and arguments[0] is str:
        inner = check_of(arguments[1])
        return inner and _dict_of(inner)
    return None


class ChannelNames(dict[str, Channel | str]):
    """Maps the names of channels to members of `Channel`, and any other name to itself.

    >>> ChannelNames()["sms"], ChannelNames()["telegram"]
    (<Channel.SMS: 'sms'>, 'telegram')
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__({channel.value: channel for channel in Channel})

    def __missing__(self, name: str) -> str:
        return name


def is_other_channel(value: Any) -> bool:
    """Return whether `Session` keeps the value as it is: a plain name that no `Channel` has. May raise."""
    return type(value) is str and is_utf8(value) and type(check_channel(value)) is str


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list_of(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _dict_of(check: Check) -> Check:
    return lambda value: (
        type(value) is dict
        and all(type(key) is str and is_utf8(key) for key in value)
        and all(map(check, value.values()))
    )
