"""Copies of sessions, and of which classes they are simple.

A class is *plain* if it adds nothing to `Session` but fields of plain types. How to copy such is compiled from its
fields: what is immutable is shared, containers are copied. Of other classes nothing is taken for granted: what may be
shared is told by each value, not by its field.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import getattr_static
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from sessiondex.json_values import copy_json
from sessiondex.models import PendingMigration, Session, StepVisit

_ATOMS = frozenset({str, int, float, bool, bytes, UUID, datetime, date, time, timedelta, Decimal, types.NoneType})
_SHARED = _ATOMS | {StepVisit, PendingMigration}
_PLAIN = (str, int, float, bool, types.NoneType, JsonValue)
_HOOKS = ("__init__", "__new__", "__get_pydantic_core_schema__", "model_post_init")


def compiled_copy(cls: type[Session], all_set: set[str]) -> Callable[[Session], Session]:
    """Return the function that copies a snapshot of a plain class: straight-line code, a quarter faster than a loop."""
    lines = ["def copy_snapshot(snapshot):", "values = snapshot.__dict__.copy()"]
    for name, field in cls.model_fields.items():
        if name in Session.model_fields and name != "variables":
            if get_origin(field.annotation) in (list, dict):  # of immutable items
                lines.append(f"values[{name!r}] = values[{name!r}].copy()")
        elif field.annotation not in _ATOMS:
            lines.append(f"values[{name!r}] = copy_json(values[{name!r}])")
    lines += [
        "session = new(cls)",
        "set_attribute(session, '__dict__', values)",
        "set_attribute(session, '__pydantic_fields_set__', all_set.copy())",
        "set_attribute(session, '__pydantic_extra__', None)",
        "set_attribute(session, '__pydantic_private__', None)",
        "return session",
    ]
    names: dict[str, Any] = {
        "cls": cls,
        "all_set": all_set,
        "copy_json": copy_json,
        "new": object.__new__,
        "set_attribute": object.__setattr__,
    }
    exec("\n    ".join(lines), names)  # noqa: S102  # made of field names alone, as dataclasses are
    copy_snapshot: Callable[[Session], Session] = names["copy_snapshot"]
    return copy_snapshot


def copy_by_value(snapshot: Session) -> Session:
    """Return a copy of a snapshot of any class. What a validator may have cached in it stays behind."""
    values = {name: _copy_value(snapshot.__dict__[name]) for name in type(snapshot).model_fields}
    extra, private = copy.deepcopy((snapshot.__pydantic_extra__, snapshot.__pydantic_private__))
    return assembled(type(snapshot), values, extra, private)


def _copy_value(value: Any) -> Any:
    kind = type(value)
    if kind in _SHARED or isinstance(value, Enum):
        return value
    if kind is list:
        return [_copy_value(item) for item in value]
    if kind is dict and all(type(key) in _ATOMS for key in value):
        return {key: _copy_value(item) for key, item in value.items()}
    return copy.deepcopy(value)


def assembled(
    cls: type[Session], values: dict[str, Any], extra: dict[str, Any] | None, private: dict[str, Any] | None
) -> Session:
    """Return an instance made of these very parts, past all validation."""
    session = object.__new__(cls)
    object.__setattr__(session, "__dict__", values)
    object.__setattr__(session, "__pydantic_fields_set__", set(values))
    object.__setattr__(session, "__pydantic_extra__", extra)
    object.__setattr__(session, "__pydantic_private__", private)
    return session


def is_plain_class(cls: type[Session]) -> bool:
    """Whether the short way proves that sessions of the class are kept."""
    return (
        cls.model_config == Session.model_config
        and cls.__pydantic_decorators__ == Session.__pydantic_decorators__
        and all(getattr_static(cls, name, None) is getattr_static(Session, name, None) for name in _HOOKS)
        and all(_is_plain_field(name, field) for name, field in cls.model_fields.items())
    )


def _is_plain_field(name: str, field: FieldInfo) -> bool:
    renamed = field.alias or field.validation_alias or field.serialization_alias
    if renamed or field.exclude or getattr(field, "exclude_if", None):
        return False
    inherited = Session.model_fields.get(name)
    if inherited is not None:
        return field.annotation == inherited.annotation and field.metadata == inherited.metadata
    return not field.metadata and (field.annotation in (UUID, UUID | None) or is_plain_type(field.annotation))


def is_plain_type(annotation: Any) -> bool:
    """Whether values of the type are JSON values, or optional ones."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments:
        return annotation in _PLAIN
    if origin in (Union, types.UnionType):  # optional, that is: of a UUID or a string, JSON loads a string
        others = [argument for argument in arguments if argument is not types.NoneType]
        return len(others) == 1 and is_plain_type(others[0])
    if origin is list:
        return is_plain_type(arguments[0])
    if origin is dict:
        return arguments[0] is str and is_plain_type(arguments[1])
    return False
