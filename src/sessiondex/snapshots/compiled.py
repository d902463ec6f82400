"""Generate the code that checks, packs, unpacks and copies the sessions of a plain class.

A class is plain if it adds nothing to `Session` but fields of JSON types and ids. One straight-line function for each
task is generated from its fields, as `dataclasses` does. This takes half the time of calls into pydantic.

The generated checks repeat the constraints of `models`. They accept a value only if it has the declared type exactly
and JSON surely keeps it, so they may be stricter than pydantic but never more lenient. A test compares the two for
every field. A value in doubt is not refused here: the codec sends its session through JSON.

Packed, a session is a tuple of its values in the order of its fields, as `marshal` writes it. Ids are 16 bytes,
datetimes are the bytes that `pickle` uses. Four fields are left out, because the row keeps them: `session_id`,
`tenant_id`, `last_activity_at` and `revision`.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from textwrap import indent
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID, SafeUUID

from sessiondex.models import Channel, PendingMigration, Session, SessionStatus, StepVisit
from sessiondex.snapshots import instances
from sessiondex.snapshots.json_values import copy_json, is_plain_json, is_utf8
from sessiondex.snapshots.plain_types import ChannelNames, check_of, is_other_channel

S = TypeVar("S", bound=Session)

SUFFIX_SIZE = 4  # bytes at the end of every packed session: the number of its class, and whether it is JSON
ROW_FIELDS = ("session_id", "tenant_id", "last_activity_at", "revision")
"""Fields that the row keeps, in the order of `unpack`'s arguments. The store sets the last two: `pack` ignores them."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MAX_COUNT = 2**63 - 1
_MARSHAL_VERSION = 2  # later ones look for objects that occur twice, which takes as long as the rest
_set_int, _set_is_safe = vars(UUID)["int"].__set__, vars(UUID)["is_safe"].__set__


class UUIDCache(dict[bytes, UUID]):
    """Maps 16 bytes to a UUID, and makes missing ones. Clears itself when it is full.

    Many sessions have the same agent, scenario and steps. If they share the ids, unpacking takes an eighth less
    time, and the garbage collector has a third fewer objects to visit. The keys are bytes, because hashes of bytes are
    salted, while users could choose UUIDs whose hashes collide.

    >>> ids = UUIDCache()
    >>> ids[bytes(16)] is ids[bytes(16)]
    True
    """

    __slots__ = ("_max_size",)

    def __init__(self, max_size: int = 8_192) -> None:
        super().__init__()
        self._max_size = max_size

    def __missing__(self, key: bytes) -> UUID:
        if len(self) >= self._max_size:
            self.clear()
        made = self[key] = make_uuid(key)
        return made


def make_uuid(data: bytes) -> UUID:
    """Return `UUID(bytes=data)` without its checks, in a third of the time."""
    made = object.__new__(UUID)
    _set_int(made, int.from_bytes(data))
    _set_is_safe(made, SafeUUID.unknown)
    return made


class CompiledClass(NamedTuple, Generic[S]):
    """The generated functions of one plain class."""

    pack: Callable[[S], bytes | None]
    """Returns `None` if a value is in doubt. Raises nothing."""
    unpack: Callable[[bytes, bytes, bytes, int, int], S]
    copy: Callable[[S], S]


def compile_class(cls: type[S], suffix: bytes, ids: UUIDCache) -> CompiledClass[S]:
    """Return the functions for a plain class. `suffix` ends all that is packed."""
    scope: dict[str, Any] = {**_SCOPE, "cls": cls, "suffix": suffix, "ids": ids, "all_set": set(cls.model_fields)}
    forms = {}
    for number, (name, field) in enumerate(cls.model_fields.items()):
        scope[f"is_valid_{number}"] = check_of(field.annotation)
        forms[name] = SESSION_FORMS[name] if name in Session.model_fields else _added_form(field.annotation, number)
    # Users choose the names of fields, so the source has these only as quoted ASCII, and numbers its variables.
    exec(_session_source(forms), scope)  # noqa: S102
    return CompiledClass(scope["pack"], scope["unpack"], scope["copy"])


# -- source code --


class Form(NamedTuple):
    """Source code for the values of one field. `$` stands for the variable that holds the value."""

    check: str = "True"
    before_pack: str = ""
    """Statements that replace the value by its packed form. They return `None` if a part of it is in doubt."""
    pack: str = "$"
    before_unpack: str = ""
    unpack: str = "$"
    copy: str | None = None
    """`None` if the value is immutable, hence shared."""


def _names(forms: Mapping[str, Form], letter: str) -> dict[str, str]:
    return {name: f"{letter}{number}" for number, name in enumerate(forms)}


def _pack_source(instance: str, cls: str, mark: str, forms: Mapping[str, Form], letter: str) -> str:
    """Return statements that replace an instance by its packed tuple, and return `None` if a value is in doubt.

    An instance whose fields-set object is `mark` was validated before.
    """
    names = _names(forms, letter)
    checks = [f"({form.check.replace('$', names[name])})" for name, form in forms.items()]
    packed = [form.pack.replace("$", names[name]) for name, form in forms.items() if name not in ROW_FIELDS]
    return "\n".join(
        [
            f"fields = {instance}.__dict__",
            *(f"{variable} = fields[{name!a}]" for name, variable in names.items()),
            f"if type({instance}) is not {cls} or {instance}.{instances.FIELDS_SET} is not {mark} and not (",
            f"    len(fields) == {len(forms)} and {' and '.join(checks)}",
            "):",
            "    return None",
            *(form.before_pack.replace("$", names[name]) for name, form in forms.items()),
            f"{instance} = ({', '.join(packed)},)",
        ]
    )


def _unpack_source(instance: str, cls: str, mark: str, forms: Mapping[str, Form], letter: str) -> str:
    """Return statements that replace a packed tuple by its instance."""
    names = _names(forms, letter)
    packed = [variable for name, variable in names.items() if name not in ROW_FIELDS]
    values = [f"{name!a}: {form.unpack.replace('$', names[name])}" for name, form in forms.items()]
    return "\n".join(
        [
            f"({', '.join(packed)},) = {instance}",
            *(form.before_unpack.replace("$", names[name]) for name, form in forms.items()),
            f"values = {{{', '.join(values)}}}",
            _construct_source(instance, cls, mark),
        ]
    )


def _construct_source(instance: str, cls: str, mark: str) -> str:
    return f"""{instance} = new({cls})
set_dict({instance}, values)
set_fields_set({instance}, {mark})
set_extra({instance}, None)
set_private({instance}, None)"""


def _session_source(forms: Mapping[str, Form]) -> str:
    names = _names(forms, "v")
    parameters = ", ".join(names[name] for name in ROW_FIELDS)
    places = {f"values[{name!a}]": form.copy for name, form in forms.items() if form.copy}
    copies = [f"{place} = {code.replace('$', place)}" for place, code in places.items()]
    return f"""
def pack(session):
    try:
{indent(_pack_source("session", "cls", "no_mark", forms, "v"), "        ")}
        return dumps(session, {_MARSHAL_VERSION}) + suffix
    except Exception:
        return None

def unpack(packed, {parameters}):
    session = loads(packed)  # which stops before the suffix
{indent(_unpack_source("session", "cls", "all_set", forms, "v"), "    ")}
    return session

def copy(snapshot):
    values = snapshot.__dict__.copy()
{indent(chr(10).join(copies), "    ")}
{indent(_construct_source("session", "cls", "all_set"), "    ")}
    return session
"""


# -- forms of values --


def _optional(form: Form) -> Form:
    def unless_none(statements: str) -> str:
        return statements and f"if $ is not None:\n{indent(statements, '    ')}"

    def or_none(code: str) -> str:
        return code if code == "$" else f"None if $ is None else {code}"

    return Form(
        f"$ is None or {form.check}",
        unless_none(form.before_pack),
        or_none(form.pack),
        unless_none(form.before_unpack),
        or_none(form.unpack),
    )


def _dict_of(check: str, pack: str = "item", unpack: str = "item") -> Form:
    convert = """if $:
    items = {}
    for key, item in $.items():CHECK
        items[key] = CODE
    $ = items"""
    doubts = f"""
        if not (type(key) is str and {check} and (key.isascii() or is_utf8(key))):
            return None"""
    is_converted = pack != "item"
    return Form(
        "type($) is dict",
        convert.replace("CHECK", doubts).replace("CODE", pack)
        if is_converted
        else f"for key, item in $.items():{doubts}",
        before_unpack=convert.replace("CHECK", "").replace("CODE", unpack) if is_converted else "",
        copy="$.copy()",
    )


_TEXT = Form("type($) is str and ($.isascii() or is_utf8($))")
_USER = Form(f'{_TEXT.check} and $ and "\\0" not in $')
_COUNT = Form(f"type($) is int and 0 <= $ <= {_MAX_COUNT}")
_FRACTION = Form("type($) is float and 0.0 <= $ <= 1.0")
_FLAG = Form("type($) is bool")
_CHANNEL = Form(
    "type($) is Channel or is_other_channel($)", pack="$._value_ if type($) is Channel else $", unpack="channels[$]"
)
_STATUS = Form("type($) is SessionStatus", pack="$._value_", unpack="statuses[$]")
_SHARED_ID = Form("type($) is UUID", pack="$.int.to_bytes(16)", unpack="ids[$]")
# As `make_uuid` does, without the call.
_ID = _SHARED_ID._replace(
    before_unpack="made = new(UUID)\nset_int(made, int_from_bytes($))\nset_is_safe(made, is_unknown)\n$ = made",
    unpack="$",
)
# `__reduce__` is five times as fast as arithmetic. It leaves out the zone and `fold`; the zone is UTC.
_INSTANT = Form("type($) is datetime and $.tzinfo is UTC", pack="reduce_instant($)[1][0]", unpack="instant($, UTC)")

VISIT_FORMS = {
    "step_id": _SHARED_ID,
    "step_name": _optional(_TEXT),
    "entered_at": _INSTANT,
    "turn_number": _COUNT,
    "transition_reason": _optional(_TEXT),
    "confidence": _FRACTION,
    "is_checkpoint": _FLAG,
    "checkpoint_description": _optional(_TEXT),
    "step_content_hash": _optional(_TEXT),
}
MIGRATION_FORMS = {
    "target_version": _COUNT,
    "anchor_content_hash": _TEXT,
    "migration_plan_id": _ID,
    "marked_at": _INSTANT,
}

_VISIT = "visit", "StepVisit", "VALIDATED", VISIT_FORMS, "w"
_VISITS = """visits = []
for visit in $:
{}
    visits.append(visit)
$ = visits"""
_MIGRATION = "$", "PendingMigration", "VALIDATED_MIGRATION", MIGRATION_FORMS, "m"

SESSION_FORMS = {
    "session_id": _ID,
    "tenant_id": _SHARED_ID,
    "agent_id": _SHARED_ID,
    "channel": _CHANNEL,
    "user_channel_id": _USER,
    "customer_profile_id": _optional(_ID),
    "config_version": _COUNT,
    "active_scenario_id": _optional(_SHARED_ID),
    "active_step_id": _optional(_SHARED_ID),
    "active_scenario_version": _optional(_COUNT),
    "step_history": Form(
        "type($) is list",
        before_pack=_VISITS.replace("{}", indent(_pack_source(*_VISIT), "    ")),
        before_unpack=_VISITS.replace("{}", indent(_unpack_source(*_VISIT), "    ")),
        copy="$.copy()",
    ),
    "relocalization_count": _COUNT,
    "rule_fires": _dict_of(f"type(item) is int and 0 <= item <= {_MAX_COUNT}"),
    "rule_last_fire_turn": _dict_of(f"type(item) is int and 0 <= item <= {_MAX_COUNT}"),
    "variables": Form("type($) is dict and is_plain_json($)", copy="copy_json($)"),
    "variable_updated_at": _dict_of(
        "type(item) is datetime and item.tzinfo is UTC", "reduce_instant(item)[1][0]", "instant(item, UTC)"
    ),
    "turn_count": _COUNT,
    "status": _STATUS,
    "pending_migration": _optional(
        Form(before_pack=_pack_source(*_MIGRATION), before_unpack=_unpack_source(*_MIGRATION))
    ),
    "scenario_checksum": _optional(_TEXT),
    "created_at": _INSTANT,
    "last_activity_at": Form(unpack="EPOCH + timedelta(0, 0, $)"),
    "revision": Form(),
}


def _added_form(annotation: Any, number: int) -> Form:
    if annotation == UUID:
        return _ID
    if annotation == UUID | None:
        return _optional(_ID)
    return Form(f"is_valid_{number}($)", copy=None if annotation in instances.ATOMS else "copy_json($)")


_reduce: Callable[[datetime], Any] = datetime.__reduce__
_instant: Callable[[bytes, tzinfo], datetime] = datetime  # type: ignore[assignment]  # as unpickling calls it

_SCOPE: dict[str, Any] = {
    **{cls.__name__: cls for cls in (UUID, datetime, timedelta, Channel, SessionStatus, StepVisit, PendingMigration)},
    **{name: vars(instances)[name] for name in ("VALIDATED", "VALIDATED_MIGRATION")},
    **{name: vars(instances)[name] for name in ("set_dict", "set_fields_set", "set_extra", "set_private")},
    "no_mark": object(),  # no session has it, so all are checked
    "new": object.__new__,
    "dumps": marshal.dumps,
    "loads": marshal.loads,
    "UTC": UTC,
    "EPOCH": EPOCH,
    "reduce_instant": _reduce,
    "instant": _instant,
    "set_int": _set_int,
    "set_is_safe": _set_is_safe,
    "is_unknown": SafeUUID.unknown,
    "int_from_bytes": int.from_bytes,
    "is_utf8": is_utf8,
    "is_plain_json": is_plain_json,
    "copy_json": copy_json,
    "channels": ChannelNames(),
    "is_other_channel": is_other_channel,
    "statuses": {status.value: status for status in SessionStatus},
}
