"""Sessions of plain classes as bytes, packed and unpacked by code that is compiled from their fields.

The bytes hold the values of the fields in order, without names: ids as integers, instants as `pickle` keeps them, the
rest as it is. They never leave the process that made them, and what they hold was checked before it was packed, so
unpacking checks nothing. That takes half the time of JSON, and half the space.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, SafeUUID

from sessiondex.models import Channel, PendingMigration, Session, SessionStatus, StepVisit

_FIELDS_SETS: dict[type, set[str]] = {cls: set(cls.model_fields) for cls in (StepVisit, PendingMigration)}
SOUND = _FIELDS_SETS[StepVisit]
"""What all visits have in common that a store hands out, and by which very object they are known."""

_VERSION = 2  # of marshal: later ones look for what occurs twice, which takes as long as the rest
F = TypeVar("F", StepVisit, PendingMigration)

_new, _set = object.__new__, object.__setattr__
_UNKNOWN = SafeUUID.unknown
_set_int, _set_is_safe = vars(UUID)["int"].__set__, vars(UUID)["is_safe"].__set__

# As `pickle` has it: ten bytes, and the zone, which is UTC for all that is packed. Five times as fast as arithmetic.
_state_of_instant: Callable[[datetime], tuple[Any, tuple[bytes, tzinfo]]] = datetime.__reduce__  # type: ignore[assignment]
_instant: Callable[[bytes, tzinfo], datetime] = datetime  # type: ignore[assignment]


class Packing(NamedTuple):
    """How to pack and unpack the sessions of one class. `pack` raises `ValueError` if a value is not quite plain."""

    pack: Callable[[Session], bytes]
    unpack: Callable[[bytes], Session]


def compiled_packing(cls: type[Session], all_set: set[str]) -> Packing:
    """Return the packing of a plain class. In what is unpacked, the fields in `all_set` count as set."""
    packed, unpacked = [], []
    for position, (name, field) in enumerate(cls.model_fields.items()):
        pack, unpack = _FORMS.get(name) or _form_of(field.annotation)
        packed.append(pack.replace("{}", f"values[{name!r}]"))
        unpacked.append(f"{name!r}: {unpack.replace('{}', f'v{position}')}")
    variables = ", ".join(f"v{position}" for position in range(len(unpacked)))  # by position: a name may be any text
    source = f"""
def pack(session):
    values = session.__dict__
    return dumps(({", ".join(packed)},), {_VERSION})

def unpack(data):
    ({variables},) = loads(data)
    session = new(cls)
    set_attribute(session, "__dict__", {{{", ".join(unpacked)}}})
    set_attribute(session, "__pydantic_fields_set__", all_set.copy())
    set_attribute(session, "__pydantic_extra__", None)
    set_attribute(session, "__pydantic_private__", None)
    return session
"""
    scope: dict[str, Any] = {**_SCOPE, "cls": cls, "all_set": all_set}
    exec(source, scope)  # noqa: S102  # of what users named, it has quoted names alone
    return Packing(scope["pack"], scope["unpack"])


# -- values that marshal does not know --


def _uuid(number: int) -> UUID:
    # What UUID(int=number) does, without its checks: a third of the time, and a session has ten.
    made = _new(UUID)
    _set_int(made, number)
    _set_is_safe(made, _UNKNOWN)
    return made


def _pack_instant(instant: datetime) -> bytes:
    return _state_of_instant(instant)[1][0]


def _pack_visit(visit: StepVisit) -> tuple[Any, ...]:
    values = visit.__dict__
    return (
        values["step_id"].int,
        values["step_name"],
        _pack_instant(values["entered_at"]),
        values["turn_number"],
        values["transition_reason"],
        values["confidence"],
        values["is_checkpoint"],
        values["checkpoint_description"],
        values["step_content_hash"],
    )


def _unpack_visit(packed: tuple[Any, ...]) -> StepVisit:
    step, name, entered, turn, reason, confidence, is_checkpoint, description, content_hash = packed
    values = {
        "step_id": _uuid(step),
        "step_name": name,
        "entered_at": _instant(entered, UTC),
        "turn_number": turn,
        "transition_reason": reason,
        "confidence": confidence,
        "is_checkpoint": is_checkpoint,
        "checkpoint_description": description,
        "step_content_hash": content_hash,
    }
    return _fact(StepVisit, values, SOUND)


def _pack_pending(pending: PendingMigration) -> tuple[Any, ...]:
    version, anchor, plan = pending.target_version, pending.anchor_content_hash, pending.migration_plan_id
    return version, anchor, plan.int, _pack_instant(pending.marked_at)


def _unpack_pending(packed: tuple[Any, ...]) -> PendingMigration:
    version, anchor, plan, marked = packed
    values = {
        "target_version": version,
        "anchor_content_hash": anchor,
        "migration_plan_id": _uuid(plan),
        "marked_at": _instant(marked, UTC),
    }
    return _fact(PendingMigration, values, _FIELDS_SETS[PendingMigration])


def sound(fact: F) -> F:
    """Return a twin of a fact that was checked: the same values, all of which count as set."""
    return _fact(type(fact), fact.__dict__, _FIELDS_SETS[type(fact)])


def _fact(cls: type[F], values: dict[str, Any], fields_set: set[str]) -> F:
    fact = _new(cls)
    _set(fact, "__dict__", values)
    _set(fact, "__pydantic_fields_set__", fields_set)
    _set(fact, "__pydantic_extra__", None)
    _set(fact, "__pydantic_private__", None)
    return fact


_INSTANT = "pack_instant({})", "instant({}, UTC)"
_ID = "{}.int", "uuid({})"
_OPTIONAL_ID = "None if (id_ := {}) is None else id_.int", "None if {} is None else uuid({})"
_AS_IT_IS = "{}", "{}"

# Of Session's own fields; how to write the value for packing it, and how to make it of what was packed.
_FORMS = {
    "channel": ("{}._value_", "channels[{}]"),
    "status": ("{}._value_", "statuses[{}]"),
    "step_history": ("[pack_visit(visit) for visit in {}]", "[unpack_visit(packed) for packed in {}]"),
    "variable_updated_at": (
        "{key: pack_instant(at) for key, at in {}.items()}",
        "{key: instant(packed, UTC) for key, packed in {}.items()}",
    ),
    "pending_migration": (
        "None if (pending := {}) is None else pack_pending(pending)",
        "None if {} is None else unpack_pending({})",
    ),
    "created_at": _INSTANT,
    "last_activity_at": _INSTANT,
}

_SCOPE = {
    "dumps": marshal.dumps,
    "loads": marshal.loads,
    "new": _new,
    "set_attribute": _set,
    "uuid": _uuid,
    "instant": _instant,
    "UTC": UTC,
    "pack_instant": _pack_instant,
    "channels": {channel.value: channel for channel in Channel},
    "statuses": {status.value: status for status in SessionStatus},
    "pack_visit": _pack_visit,
    "unpack_visit": _unpack_visit,
    "pack_pending": _pack_pending,
    "unpack_pending": _unpack_pending,
}


def _form_of(annotation: Any) -> tuple[str, str]:
    if annotation == UUID:
        return _ID
    if annotation == UUID | None:
        return _OPTIONAL_ID
    return _AS_IT_IS
