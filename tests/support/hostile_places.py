"""List the places of a session where a hostile value may stand, and the ways to put it there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ValidationError

from sessiondex import PendingMigration, Session, StepVisit
from tests.support.builders import CUSTOMER, START, NotedSession, TaggedSession, at_step, visit
from tests.support.hostile_classes import PlantedError
from tests.support.snapshots import make_codec, unpack

SESSION_ID = UUID(int=901)


class MisfitError(Exception):
    """Raised if the value cannot be put at the place, so there is nothing to save."""


class Place(NamedTuple):
    """A place for a value: the field, the class of the session, and the function that puts it there.

    `put` returns the session to save, which may be another one than it was given.
    """

    field: str
    put: Callable[[Any, Any], Any]
    cls: type[Session] = Session
    is_key: bool = False
    """Paths in errors name keys."""
    is_in_fact: bool = False


def base(cls: type[Session] = Session) -> Any:
    """Return the session that is stored before a value is tried: every field has a value, the same each time."""
    return at_step(
        cls=cls,
        session_id=SESSION_ID,
        customer_profile_id=CUSTOMER,
        step_history=[visit("hash-1", "pay", step_id=UUID(int=41))],
        pending_migration=pending(),
        rule_fires={"r": 1},
        rule_last_fire_turn={"r": 1},
        variables={"flat": "x", "list": [1, {"deep": [2]}]},
        variable_updated_at={"flat": START},
        last_activity_at=START,
    )


_codec = make_codec()
_snapshots: dict[type[Session], Any] = {}


def fresh(cls: type[Session]) -> Any:
    """Return one more of the same, at the cost of a copy."""
    if cls not in _snapshots:
        _snapshots[cls] = unpack(_codec, _codec.prepare(base(cls)), revision=1)
    return _codec.copy(_snapshots[cls])


def pending() -> PendingMigration:
    return PendingMigration(
        target_version=2, anchor_content_hash="anchor", migration_plan_id=UUID(int=42), marked_at=START
    )


def assigned(field: str) -> Callable[[Any, Any], Any]:
    """Assign the value with validation. A value that pydantic refuses never reaches a store."""

    def put(session: Any, value: Any) -> Any:
        try:
            setattr(session, field, value)
        except (ValidationError, PlantedError, RecursionError, AttributeError):
            raise MisfitError from None
        return session

    return put


def planted(field: str) -> Callable[[Any, Any], Any]:
    def put(session: Any, value: Any) -> Any:
        vars(session)[field] = value
        return session

    return put


def copied(field: str) -> Callable[[Any, Any], Any]:
    return lambda session, value: session.model_copy(update={field: value})


def constructed(field: str) -> Callable[[Any, Any], Any]:
    return lambda session, value: type(session).model_construct(**{**vars(session), field: value})


def in_dict(field: str, wrap: Callable[[Any], Any] = lambda value: value) -> Callable[[Any, Any], Any]:
    def put(session: Any, value: Any) -> Any:
        vars(session)[field]["tried"] = wrap(value)
        return session

    return put


def as_key(field: str, item: Any, wrap: Callable[[Any], Any] | None = None) -> Callable[[Any, Any], Any]:
    def put(session: Any, value: Any) -> Any:
        try:
            keyed = {value: item}
        except (TypeError, PlantedError):  # unhashable, or its hash raises
            raise MisfitError from None
        if wrap is None:
            vars(session)[field].update(keyed)
        else:
            vars(session)[field]["tried"] = wrap(keyed)
        return session

    return put


def in_fact(field: str, change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Put a visit or a migration that `change` makes from the value: into the history, or as the pending one."""

    def put(session: Any, value: Any) -> Any:
        if field == "step_history":
            session.step_history.append(change(value))
        else:
            vars(session)[field] = change(value)
        return session

    return put


def in_list(field: str, at: int) -> Callable[[Any, Any], Any]:
    def put(session: Any, value: Any) -> Any:
        vars(session)[field].insert(at, value)
        return session

    return put


def _fact_places() -> dict[str, Place]:
    facts: dict[str, tuple[type[BaseModel], BaseModel]] = {
        "step_history": (StepVisit, visit(step_id=UUID(int=43))),
        "pending_migration": (PendingMigration, pending()),
    }
    places = {}
    for field, (cls, sound) in facts.items():
        for name in cls.model_fields:

            def change(value: Any, name: str = name, sound: BaseModel = sound) -> Any:
                return sound.model_copy(update={name: value})

            places[f"{field}: {name}"] = Place(field, in_fact(field, change), is_in_fact=True)
    return places


def _past_validation(number: int, field: str) -> tuple[str, Callable[[Any, Any], Any]]:
    """Put the value past validation, in one of three equivalent ways per field."""
    name, way = (("planted", planted), ("copied", copied), ("constructed", constructed))[number % 3]
    return f"{field}, {name}", way(field)


PLACES: dict[str, Place] = {
    **{f"{field}, assigned": Place(field, assigned(field)) for field in Session.model_fields},
    **{
        name: Place(field, put)
        for number, field in enumerate(Session.model_fields)
        for name, put in [_past_validation(number, field)]
    },
    **{f"variables, {way.__name__}": Place("variables", way("variables")) for way in (planted, copied, constructed)},
    "variable": Place("variables", in_dict("variables")),
    "variable in a list": Place("variables", in_dict("variables", lambda value: [1, value, [value]])),
    "variable in a dict": Place("variables", in_dict("variables", lambda value: {"a": {"b": value}, "c": [value]})),
    "key of variables": Place("variables", as_key("variables", 1), is_key=True),
    "key in a variable": Place("variables", as_key("variables", 1, lambda keyed: [{"a": keyed}]), is_key=True),
    "variable, the long way": Place("variables", in_dict("variables"), TaggedSession),
    "key of variables, the long way": Place("variables", as_key("variables", 1), TaggedSession, is_key=True),
    "note": Place("note", planted("note"), NotedSession),
    "score": Place("scores", in_list("scores", 0), NotedSession),
    "scores": Place("scores", copied("scores"), NotedSession),
    "tags": Place("tags", planted("tags"), TaggedSession),
    "visit": Place("step_history", in_list("step_history", 1)),
    "visit before others": Place("step_history", in_list("step_history", 0)),
    "visits of a session that goes the long way": Place("step_history", planted("step_history"), TaggedSession),
    **{
        f"{kind} of {field}": place
        for field, item in {"rule_fires": 1, "rule_last_fire_turn": 1, "variable_updated_at": START}.items()
        for kind, place in (
            ("item", Place(field, in_dict(field))),
            ("key", Place(field, as_key(field, item), is_key=True)),
        )
    },
    **_fact_places(),
    "visit of nothing else": Place("step_history", in_fact("step_history", lambda v: StepVisit.model_construct(x=v))),
    "attribute that is no field": Place("stray", planted("stray")),
}
