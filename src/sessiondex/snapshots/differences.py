"""Find out why a session cannot be stored, and name the field and the remedy.

A session can be stored if it comes back equal from JSON, and if the fields that `Session` declares still hold what
`Session` declares. Each function returns the error for the first field that breaks one of these rules.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from sessiondex.errors import InvalidSessionError, UnreadableSessionError
from sessiondex.models import Session
from sessiondex.snapshots.carried import PREFIX
from sessiondex.snapshots.equality import Path, contents_of, find_difference_path
from sessiondex.snapshots.instances import construct_unchecked, hidden_parts
from sessiondex.snapshots.json_values import find_non_json, printable
from sessiondex.snapshots.session_types import type_name

_SESSION = TypeAdapter(Session)


def invalid_session_error(details: Mapping[str, Any]) -> InvalidSessionError:
    """Return the error for one entry of pydantic's `ValidationError.errors()`."""
    return InvalidSessionError(".".join(map(printable, details["loc"])) or None, details["msg"])


def _first_error(error: ValidationError) -> InvalidSessionError:
    return invalid_session_error(error.errors(include_url=False, include_context=False, include_input=False)[0])


def check_names(given: Session) -> None:
    """Raise `InvalidSessionError` if a field has a name that stored JSON uses for something else."""
    for name in (*type(given).model_fields, *(given.__pydantic_extra__ or ())):
        if name.startswith(PREFIX):
            raise InvalidSessionError(printable(name), f"must not begin with {PREFIX!r}; give it another name")


def find_difference(given: Session, loaded: Session) -> InvalidSessionError | None:
    """Return the error for the first part that did not come back the same, or `None` if all parts did."""
    for name, field in type(given).model_fields.items():
        if name not in given.__dict__:
            return InvalidSessionError(name, "is missing; set it, or make the session with Session(...)")
        before, after = given.__dict__[name], loaded.__dict__[name]
        is_own = name not in Session.model_fields
        try:
            path = find_difference_path(
                before, after, is_own_field=is_own, is_any=is_own and _mentions_any(field.annotation)
            )
            reason = "" if path is None else _reason(_part(before, path))
        except Exception as error:  # users' values may raise anything
            return InvalidSessionError(name, f"comparing it raises {type(error).__name__}")
        if path is not None:
            if field.exclude:
                path, reason = (), _EXCLUDED_REASON
            return InvalidSessionError(".".join(map(printable, (name, *path))), reason)
    (extra, private), (loaded_extra, loaded_private) = hidden_parts(given), hidden_parts(loaded)
    if (extra or {}) != (loaded_extra or {}):
        return InvalidSessionError(None, "its extra fields do not come back equal from JSON; use plain JSON values")
    if (private or {}) != (loaded_private or {}):
        return InvalidSessionError(None, "private attributes are not kept; make them fields, or reset them before save")
    return None


def _mentions_any(annotation: Any) -> bool:
    return annotation is Any or any(map(_mentions_any, get_args(annotation)))


def _part(value: Any, path: Path) -> Any:
    for place in path:
        value = contents_of(value)[place]
    return value


def _find_bytes(value: Any) -> Path | None:
    """Return the way to the first bytes in the value that are no text, or `None`; to those in a set, the way to it."""
    if isinstance(value, bytes | bytearray):
        return None if _is_text(value) else ()
    if isinstance(value, set | frozenset):
        return () if any(_find_bytes(part) is not None for part in value) else None
    return next(((place, *path) for place, part in _parts(value) if (path := _find_bytes(part)) is not None), None)


def _parts(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the parts of a container or model, each with its place."""
    if isinstance(value, list | tuple):
        return enumerate(value)
    contents = contents_of(value)
    return contents.items() if isinstance(contents, dict) else ()


def _is_text(value: bytes | bytearray) -> bool:
    """Return whether the bytes are text."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


_MINUTE = timedelta(minutes=1)
_EXCLUDED_REASON = "JSON leaves it out, since it is declared with `exclude`; declare it without"
_BYTES_REASON = "bytes do not come back equal from JSON; declare the field as pydantic's Base64Bytes"


def _reason(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return _BYTES_REASON
    if isinstance(value, datetime) and (value.utcoffset() or _MINUTE) % _MINUTE:
        return "its UTC offset has seconds, which JSON does not keep; convert it by astimezone(UTC)"
    return (
        f"this {type(value).__name__} does not come back equal from JSON; "
        "declare the field as what it holds, of types that pydantic dumps and loads unchanged"
    )


def find_non_json_variable(given: Session) -> InvalidSessionError | None:
    """Return the error for the first variable that is no JSON value, even if it compares equal to one."""
    found = find_non_json({"variables": given.variables}, json_only={"variables"}, was_loaded=True)
    return None if found is None else InvalidSessionError(*found)


def declared_values(snapshot: Session) -> dict[str, Any]:
    """Return the fields of `Session` as `Session` itself validates them.

    Raises:
        InvalidSessionError: a subclass declares a field so that its value is not valid for `Session`.
    """
    own = {name: snapshot.__dict__[name] for name in Session.model_fields}
    try:
        declared: dict[str, Any] = _SESSION.validate_python(own).__dict__
    except ValidationError as error:
        raise _first_error(error) from None
    return declared


def find_widened_field(snapshot: Session, declared: Mapping[str, Any]) -> InvalidSessionError | None:
    """Return the error for the first field that `Session` would convert to an unequal value, or `None`.

    A subclass may narrow the fields of `Session`. Indexes and queries cannot use the values of a widened one.
    """
    for name, value in declared.items():
        if value != snapshot.__dict__[name]:
            return InvalidSessionError(name, "must be of the type that Session declares; a subclass may only narrow it")
    return None


def explain(adapter: TypeAdapter[Any], given: Session, error: Exception) -> InvalidSessionError:
    """Return the error that names the field, for an error on dumping, loading or comparing the session."""
    try:
        return _explain(adapter, given, error)
    except Exception as raised:  # users' values may raise on every access
        field = error.field if isinstance(error, InvalidSessionError) else _first_that_raises(adapter, given)
        return InvalidSessionError(field, f"looking at it raises {type(raised).__name__}")


def _explain(adapter: TypeAdapter[Any], given: Session, error: Exception) -> InvalidSessionError:
    path = error.field if isinstance(error, InvalidSessionError) else None
    field = None if path is None else path.partition(".")[0]
    found = find_non_json(given.__dict__, json_only={"variables"})
    if found is not None and (field is None or found[0].partition(".")[0] == field):
        return InvalidSessionError(*found)
    for strict in (False, True):  # strict validation names every value that is not of its declared type
        try:
            adapter.validator.validate_python(given.__dict__, strict=strict, by_alias=False, by_name=True)
        except ValidationError as invalid:
            for details in invalid.errors(include_url=False, include_context=False, include_input=False):
                if field is None or details["loc"][:1] == (field,):
                    return invalid_session_error(details)
        except Exception as raised:  # users' validators may raise anything
            field = field or _first_that_raises(adapter, given)
            return InvalidSessionError(field, f"validating it raises {type(raised).__name__}")
    if isinstance(error, InvalidSessionError):
        return error
    if isinstance(error, ValidationError):
        first = _first_error(error)
        declared = type(given).model_fields.get(first.field or "")
        return InvalidSessionError(first.field, _EXCLUDED_REASON) if declared and declared.exclude else first
    return _json_error(adapter, given, error)


def _json_error(adapter: TypeAdapter[Any], given: Session, error: Exception) -> InvalidSessionError:
    """Return the error for a session that cannot be dumped or loaded at all."""
    raising = _first_that_raises(adapter, given)
    if raising is not None and (path := _find_bytes(given.__dict__[raising])) is not None:
        return InvalidSessionError(".".join(map(printable, (raising, *path))), _BYTES_REASON)
    reason = f"it cannot be kept as JSON: {type(error).__name__} on dumping or loading it"
    return InvalidSessionError(raising, f"{reason}; use types that pydantic dumps and loads unchanged")


def _first_that_raises(adapter: TypeAdapter[Any], given: Session) -> str | None:
    """Return the name of the first field that, alone, cannot be dumped, searched, copied or validated."""
    probe = construct_unchecked(type(given), dict(given.__dict__), *hidden_parts(given))
    for name, value in given.__dict__.items():
        try:
            adapter.serializer.to_json(given, include={name}, by_alias=False, round_trip=True, warnings="none")
            find_non_json({name: value})
            copy.deepcopy(value)
            with suppress(ValidationError):  # its message would name the field
                adapter.validator.validate_assignment(probe, name, value)
        except Exception:  # users' code may raise anything
            return name
    return None


def unreadable_error(cls: type[Session], data: bytes, version: int, error: Exception) -> UnreadableSessionError:
    """Return the error for stored JSON that the class does not load."""
    field, verdict = None, type(error).__name__
    if isinstance(error, ValidationError):  # whose message may quote the value
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field, verdict = invalid_session_error(first).field, first["type"]
    reason = (
        f"{cls.__name__} does not load what it accepted when this session was saved ({verdict}); give it an upgrade() "
        "for stored sessions, and let the verdict of its validators depend on nothing but the value"
    )
    return UnreadableSessionError(id_in(data), type_name(cls), version or cls.schema_version, field, reason)


def id_in(data: bytes) -> UUID | None:
    """Return the id of the session in the JSON, or `None` if it has none."""
    try:
        return UUID(from_json(data)["session_id"])
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
