"""How a session is kept: checked on the way in, copied on the way in and out.

What `save` accepts must come back equal from every store, also from those that keep bytes (law 6). The proof is a round
trip: dump to JSON, load, compare. `round_trip` makes it for any class, and its verdict is final.

It costs too much to make on each save, so there is a short way for the common case. JSON values are copied by
`copy_plain`, which passes only what JSON surely keeps. The other fields that `Session` declares are of types whose JSON
is known to load as the same value, if the value is strictly of its type; so a strict validation, which copies every
container as it goes, is proof enough. Step visits are frozen: those that stand in the stored session already have been
checked, and only new ones are. The short way only ever says "surely kept"; whatever it doubts goes the long way. It
serves `Session` and subclasses that add fields of plain types; classes with validators, aliases, private attributes and
the like always take the long way.

Copies out are compiled from the fields of a class that takes the short way: what is immutable is shared, containers are
copied. Of other classes nothing is taken for granted: what may be shared is told by each value, not by its field.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any, TypeVar, Union, cast, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from sessiondex.errors import InvalidSessionError
from sessiondex.json_values import NotPlainError, copy_json, copy_plain, first_flaw, printable
from sessiondex.models import PendingMigration, Session, StepVisit

S = TypeVar("S", bound=Session)
_ATOMS = frozenset({str, int, float, bool, bytes, UUID, datetime, date, time, timedelta, Decimal, types.NoneType})
_SHARED = _ATOMS | {StepVisit, PendingMigration}
_PLAIN = (str, int, float, bool, types.NoneType, JsonValue)
_HOOKS = ("__init__", "__new__", "__get_pydantic_core_schema__", "model_post_init")


class Records:
    """The snapshots of one store: private copies of sessions, each of the class of its session.

    A snapshot must not be changed by whoever holds it; `copy` makes one that may be.
    """

    def __init__(self) -> None:
        # Held here, not in the module, so that classes made on the fly go with the store that met them.
        self._codecs: dict[type[Session], _Codec] = {}

    def snapshot(self, session: S, at: datetime, earlier: S | None = None) -> S:
        """Return a checked private copy of the session with `last_activity_at` set to `at`.

        `earlier` is the snapshot that it is to replace, if there is one. The given session is left as it is.
        Cost: about one `model_dump_json` of it, several the long way.

        Raises:
            InvalidSessionError: the session would not come back equal.
        """
        codec = self._codecs.get(type(session))
        if codec is None:
            codec = self._codec(session)
        return cast("S", codec.snapshot(session, at, earlier))

    def copy(self, snapshot: S) -> S:
        """Return a copy that shares no mutable state with the snapshot. Cost: about 1.5 shallow `model_copy()`."""
        return self._codecs[type(snapshot)].copy(snapshot)  # type: ignore[return-value]  # of its own class

    def copies(self, snapshots: Iterable[S]) -> list[S]:
        """Return such copies of all, in their order."""
        codecs = self._codecs
        return [codecs[type(snapshot)].copy(snapshot) for snapshot in snapshots]  # type: ignore[misc]  # as above

    def _codec(self, session: object) -> _Codec:
        if not issubclass(type(session), Session):  # isinstance would believe what an object says of its class
            reason = f"save() takes a sessiondex.Session, not {type(session).__name__}; build one with Session(...)"
            raise InvalidSessionError(None, reason)
        cls = cast("type[Session]", type(session))
        return self._codecs.setdefault(cls, _Codec(cls))


class _Codec:
    """What is known about one class of sessions: how to check it and how to copy it."""

    def __init__(self, cls: type[Session]) -> None:
        fields = cls.model_fields
        self._cls = cls
        self._validator = cls.__pydantic_validator__
        self._serializer = cls.__pydantic_serializer__
        self._has_short_way = _is_plain_class(cls)
        # One set for all snapshots, in which all fields count as set: it takes 2 KB, and time to read from memory.
        self._all_set = set(fields)
        self.copy = _compiled_copy(cls, self._all_set) if self._has_short_way else _copy_by_value
        added = {name: field for name, field in fields.items() if name not in Session.model_fields}
        self._plain_names = [name for name, field in added.items() if _is_plain_type(field.annotation)]

    def snapshot(self, session: Session, at: datetime, earlier: Session | None) -> Session:
        if self._has_short_way:
            snapshot = self._short_way(session.__dict__, at, earlier)
            if snapshot is not None:
                return snapshot
        return self.round_trip(_with_stamp(session, at))

    def _short_way(self, values: dict[str, Any], at: datetime, earlier: Session | None) -> Session | None:
        try:
            _check_facts(values, earlier if type(earlier) is self._cls else None)
            if values["created_at"].tzinfo is not UTC:
                return None
            for instant in values["variable_updated_at"].values():
                if instant.tzinfo is not UTC:
                    return None
            # Python copies and checks JSON values in one go, twice as fast as the two validators that it stands in for.
            variables = copy_plain(values["variables"])
            stamped = {**values, "last_activity_at": at, "variables": {}}
            snapshot: Session = self._validator.validate_python(stamped, strict=True)
            checked = snapshot.__dict__
            checked["variables"] = variables
            for name in self._plain_names:
                checked[name] = copy_plain(checked[name])
                if checked[name] != values[name]:
                    return None
        except Exception:  # whatever it is, the long way finds out, and finds the words
            return None
        object.__setattr__(snapshot, "__pydantic_fields_set__", self._all_set)
        return snapshot if type(variables) is dict else None

    def round_trip(self, stamped: Session) -> Session:
        """Return what comes back when the session is kept as JSON, if that is equal, else raise."""
        try:
            data = self._serializer.to_json(stamped, by_alias=False, round_trip=True, warnings="none")
            loaded: Session = self._validator.validate_json(data, by_alias=False, by_name=True)
            snapshot = self.copy(loaded)  # as every read will, so it had better work now
            changed = _first_difference(stamped, snapshot) or _first_foreign(snapshot)
        except Exception as error:
            raise self._explain(stamped, error) from None
        if changed is not None:
            raise self._explain(stamped, changed)
        return snapshot

    def _explain(self, stamped: Session, error: Exception) -> InvalidSessionError:
        """Return the error that names the field, given what dumping, loading or comparing had to say."""
        field = error.field if isinstance(error, InvalidSessionError) else None
        flaw = first_flaw(stamped.__dict__, json_only={"variables"})
        if flaw is not None and (field is None or flaw[0].partition(".")[0] == field):
            return InvalidSessionError(*flaw)
        for strict in (False, True):  # strictly, whatever is not of its declared type comes up, wanted or not
            try:
                self._validator.validate_python(stamped.__dict__, strict=strict, by_alias=False, by_name=True)
            except ValidationError as invalid:
                for details in invalid.errors(include_url=False, include_context=False, include_input=False):
                    if field is None or details["loc"][:1] == (field,):
                        return _refusal(details)
            except Exception as raised:  # a validator of the user's own, with an error of its own kind
                return InvalidSessionError(field, f"validating it raises {type(raised).__name__}")
        if isinstance(error, InvalidSessionError):
            return error
        if isinstance(error, ValidationError):
            return _refusal(error.errors(include_url=False, include_context=False, include_input=False)[0])
        return InvalidSessionError(None, f"it cannot be kept as JSON: {type(error).__name__} on dumping or loading it")


def _refusal(details: Mapping[str, Any]) -> InvalidSessionError:
    return InvalidSessionError(".".join(map(printable, details["loc"])) or None, details["msg"])


def _with_stamp(session: Session, at: datetime) -> Session:
    """Return a session of the same parts, not copied and not validated, with `last_activity_at` set to `at`."""
    cls = type(session)
    values = {name: value for name, value in session.__dict__.items() if name in cls.model_fields}
    for name in session.__dict__.keys() - values.keys():
        if not isinstance(getattr(cls, name, None), cached_property):  # which keeps its value there as well
            raise InvalidSessionError(printable(name), "is no field of its class; declare it in a subclass of Session")
    values["last_activity_at"] = at
    extra = getattr(session, "__pydantic_extra__", None)
    return _assembled(cls, values, extra, getattr(session, "__pydantic_private__", None))


def _assembled(
    cls: type[Session], values: dict[str, Any], extra: dict[str, Any] | None, private: dict[str, Any] | None
) -> Session:
    """Return an instance made of these very parts, past all validation."""
    session = object.__new__(cls)
    object.__setattr__(session, "__dict__", values)
    object.__setattr__(session, "__pydantic_fields_set__", set(values))
    object.__setattr__(session, "__pydantic_extra__", extra)
    object.__setattr__(session, "__pydantic_private__", private)
    return session


def _check_facts(values: dict[str, Any], earlier: Session | None) -> None:
    """Raise unless the visits and the pending migration are sound. Those of the earlier snapshot are known to be."""
    history, pending = values["step_history"], values["pending_migration"]
    new = 0
    if earlier is not None:
        for visit, known in zip(history, earlier.step_history, strict=False):
            if visit is not known:
                break
            new += 1
        if pending is earlier.pending_migration:
            pending = None
    for visit in history[new:]:
        _check_fact(StepVisit, visit, visit.entered_at)
    if pending is not None:
        _check_fact(PendingMigration, pending, pending.marked_at)


def _check_fact(cls: type[BaseModel], fact: BaseModel, instant: datetime) -> None:
    if type(fact) is not cls or instant.tzinfo is not UTC:
        raise NotPlainError
    # What validation would add, convert or leave out, JSON would too.
    checked: BaseModel = cls.__pydantic_validator__.validate_python(fact.__dict__, strict=True)
    if list(map(type, checked.__dict__.values())) != list(map(type, fact.__dict__.values())):
        raise NotPlainError


# -- copying --


def _compiled_copy(cls: type[Session], all_set: set[str]) -> Callable[[Session], Session]:
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


def _copy_by_value(snapshot: Session) -> Session:
    """Return a copy of a snapshot of any class. What a validator may have cached in it stays behind."""
    values = {name: _copy_value(snapshot.__dict__[name]) for name in type(snapshot).model_fields}
    extra, private = copy.deepcopy((snapshot.__pydantic_extra__, snapshot.__pydantic_private__))
    return _assembled(type(snapshot), values, extra, private)


def _copy_value(value: Any) -> Any:
    kind = type(value)
    if kind in _SHARED or isinstance(value, Enum):
        return value
    if kind is list:
        return [_copy_value(item) for item in value]
    if kind is dict and all(type(key) in _ATOMS for key in value):
        return {key: _copy_value(item) for key, item in value.items()}
    return copy.deepcopy(value)


# -- which classes take the short way --


def _is_plain_class(cls: type[Session]) -> bool:
    """Whether the short way proves that sessions of the class are kept."""
    return (
        cls.model_config == Session.model_config
        and cls.__pydantic_decorators__ == Session.__pydantic_decorators__
        and not any(name in vars(base) for base in cls.__mro__[: cls.__mro__.index(Session)] for name in _HOOKS)
        and all(_is_plain_field(name, field) for name, field in cls.model_fields.items())
    )


def _is_plain_field(name: str, field: FieldInfo) -> bool:
    renamed = field.alias or field.validation_alias or field.serialization_alias
    if renamed or field.exclude or getattr(field, "exclude_if", None):
        return False
    inherited = Session.model_fields.get(name)
    if inherited is not None:
        return field.annotation == inherited.annotation and field.metadata == inherited.metadata
    return not field.metadata and (field.annotation in (UUID, UUID | None) or _is_plain_type(field.annotation))


def _is_plain_type(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not arguments:
        return annotation in _PLAIN
    if origin in (Union, types.UnionType):  # optional, that is: of a UUID or a string, JSON loads a string
        others = [argument for argument in arguments if argument is not types.NoneType]
        return len(others) == 1 and _is_plain_type(others[0])
    if origin is list:
        return _is_plain_type(arguments[0])
    if origin is dict:
        return arguments[0] is str and _is_plain_type(arguments[1])
    return False


# -- words for what was refused --


def _first_difference(given: Session, loaded: Session) -> InvalidSessionError | None:
    """Return the error for the first field that did not come back equal, or `None` if all did."""
    for name in type(given).model_fields:
        if name not in given.__dict__:
            return InvalidSessionError(name, "is missing; set it, or make the session with Session(...)")
        before, after = given.__dict__[name], loaded.__dict__[name]
        if before != after:
            return InvalidSessionError(
                name,
                f"this {type(before).__name__} does not come back equal from JSON; "
                "declare the field as what it holds, of types that pydantic dumps and loads unchanged",
            )
    if (given.__pydantic_extra__ or {}) != (loaded.__pydantic_extra__ or {}):
        return InvalidSessionError(None, "its extra fields do not come back equal from JSON; use plain JSON values")
    if (given.__pydantic_private__ or {}) != (loaded.__pydantic_private__ or {}):
        return InvalidSessionError(None, "private attributes are not kept; make them fields, or reset them before save")
    return None


def _first_foreign(snapshot: Session) -> InvalidSessionError | None:
    """Return the error for the first of `Session`'s own fields that is not what `Session` declares, or `None`.

    A subclass may narrow them; if it widened them, no index or query would know what to make of the value.
    """
    own = {name: snapshot.__dict__[name] for name in Session.model_fields}
    try:
        declared = Session.__pydantic_validator__.validate_python(own).__dict__
    except ValidationError as error:
        return _refusal(error.errors(include_url=False, include_context=False, include_input=False)[0])
    for name, value in own.items():
        if declared[name] != value:
            return InvalidSessionError(name, "must be of the type that Session declares; a subclass may only narrow it")
    return None
