"""Words for what is refused: the error that names the field of a session that would not come back equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sessiondex.errors import InvalidSessionError
from sessiondex.json_values import first_flaw, printable
from sessiondex.models import Session


def refusal(details: Mapping[str, Any]) -> InvalidSessionError:
    """Return the error for what pydantic says of one value."""
    return InvalidSessionError(".".join(map(printable, details["loc"])) or None, details["msg"])


def first_difference(given: Session, loaded: Session) -> InvalidSessionError | None:
    """Return the error for the first field that did not come back equal, or `None` if all did."""
    for name in type(given).model_fields:
        if name not in given.__dict__:
            return InvalidSessionError(name, "is missing; set it, or make the session with Session(...)")
        before, after = given.__dict__[name], loaded.__dict__[name]
        try:
            is_equal = bool(before == after)
        except Exception as error:  # noqa: BLE001  # it is the value's own
            return InvalidSessionError(name, f"comparing it raises {type(error).__name__}")
        if not is_equal:
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


def first_not_json(given: Session) -> InvalidSessionError | None:
    """Return the error for the first variable that is no JSON value, though it may say that it is equal to one."""
    flaw = first_flaw({"variables": given.variables}, json_only={"variables"}, was_loaded=True)
    return None if flaw is None else InvalidSessionError(*flaw)


def first_foreign(snapshot: Session) -> InvalidSessionError | None:
    """Return the error for the first of `Session`'s own fields that is not what `Session` declares, or `None`.

    A subclass may narrow them; if it widened them, no index or query would know what to make of the value.
    """
    own = {name: snapshot.__dict__[name] for name in Session.model_fields}
    try:
        declared = Session.__pydantic_validator__.validate_python(own).__dict__
    except ValidationError as error:
        return refusal(error.errors(include_url=False, include_context=False, include_input=False)[0])
    for name, value in own.items():
        if declared[name] != value:
            return InvalidSessionError(name, "must be of the type that Session declares; a subclass may only narrow it")
    return None
