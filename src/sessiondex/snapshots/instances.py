"""Build, copy and mark instances of models without validation.

An instance made of validated values needs no second validation. pydantic's public `model_construct` looks up defaults
and aliases of each field, and takes ten times as long as to set the four slots of an instance. So this file uses
internals of pydantic, and it is the only one: these slots, and the decorators of a class.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import getattr_static
from types import NoneType
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from sessiondex.models import PendingMigration, Session, StepVisit

S = TypeVar("S", bound=Session)

ATOMS = frozenset({str, int, float, bool, bytes, UUID, datetime, date, time, timedelta, Decimal, NoneType})
CARRIED_KEY = "_sessiondex_carried"
"""The key in an instance's `__dict__` of what `carried` lets it carry. No field begins with an underscore."""
FIELDS_SET = "__pydantic_fields_set__"
"""The attribute that generated code reads."""
VALIDATED = set(StepVisit.model_fields)
"""The fields-set object that all validated visits share. A visit that has this very object needs no check."""
VALIDATED_MIGRATION = set(PendingMigration.model_fields)

_HOOKS = ("__init__", "__new__", "__get_pydantic_core_schema__", "model_post_init")

# Half the time of `object.__setattr__`, and a session with three visits needs sixteen calls.
set_dict: Callable[[BaseModel, Any], None] = vars(BaseModel)["__dict__"].__set__
set_fields_set: Callable[[BaseModel, Any], None] = vars(BaseModel)["__pydantic_fields_set__"].__set__
set_extra: Callable[[BaseModel, Any], None] = vars(BaseModel)["__pydantic_extra__"].__set__
set_private: Callable[[BaseModel, Any], None] = vars(BaseModel)["__pydantic_private__"].__set__


def has_own_behaviour(cls: type[Session]) -> bool:
    """Return whether the class has a configuration, validators, serializers or hooks that `Session` does not have."""
    return (
        cls.model_config != Session.model_config
        or cls.__pydantic_decorators__ != Session.__pydantic_decorators__
        or any(getattr_static(cls, name, None) is not getattr_static(Session, name, None) for name in _HOOKS)
    )


def instance_dict(session: BaseModel) -> dict[str, Any]:
    """Return the values of the session, whatever its class does on attribute access."""
    values: dict[str, Any] = object.__getattribute__(session, "__dict__")
    return values


def hidden_parts(session: BaseModel) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the extra fields and the private attributes, `None` where there are none."""
    return getattr(session, "__pydantic_extra__", None), getattr(session, "__pydantic_private__", None)


def construct_unchecked(
    cls: type[S], values: dict[str, Any], extra: dict[str, Any] | None, private: dict[str, Any] | None
) -> S:
    """Return an instance of these very parts without validation. All its fields count as set."""
    session = object.__new__(cls)
    set_dict(session, values)
    set_fields_set(session, set(values))
    set_extra(session, extra)
    set_private(session, private)
    return session


def copy_by_value(snapshot: S) -> S:
    """Return a copy of a session of any class. Values that are no fields, such as cached ones, are left out."""
    values = {name: _copy_value(snapshot.__dict__[name]) for name in type(snapshot).model_fields}
    extra, private = copy.deepcopy(hidden_parts(snapshot))
    copied = construct_unchecked(type(snapshot), values, extra, private)
    if CARRIED_KEY in snapshot.__dict__:
        values[CARRIED_KEY] = snapshot.__dict__[CARRIED_KEY]
    return copied


def _copy_value(value: Any) -> Any:
    # The value decides what is shared, not the annotation: a validator may return anything.
    kind = type(value)
    if kind in ATOMS or kind is StepVisit or kind is PendingMigration or isinstance(value, Enum):
        return value
    if kind is list:
        return [_copy_value(item) for item in value]
    if kind is dict and all(type(key) in ATOMS for key in value):
        return {key: _copy_value(item) for key, item in value.items()}
    return copy.deepcopy(value)


def mark_all_fields_set(session: Session, shared: set[str]) -> None:
    """Mark a session of a plain class that was loaded from JSON as one that was unpacked.

    All fields count as set, and no save checks its visits again. `shared` has the names of all fields.
    """
    set_fields_set(session, shared)
    for visit in session.step_history:
        set_fields_set(visit, VALIDATED)
    if session.pending_migration is not None:
        set_fields_set(session.pending_migration, VALIDATED_MIGRATION)


def add_to_fields_set(session: BaseModel, names: AbstractSet[str]) -> None:
    """Make the named fields count as set. Cannot fail: a set that is missing is made, a frozen one is replaced."""
    fields_set = getattr(session, "__pydantic_fields_set__", None)
    if type(fields_set) is not set:
        set_fields_set(session, {*(fields_set or ()), *names})
    elif not fields_set.issuperset(names):  # sessions share only sets that have all names, so none of these changes
        fields_set |= names
