"""How a session is kept: checked on the way in, copied on the way in and out, packed in between.

What `save` accepts must come back equal from every store, also from those that keep bytes (law 6). The proof is a round
trip: dump to JSON, load, compare. `round_trip` makes it for any class, and its verdict is final.

It costs too much to make on each save, so there is a short way for the common case, the classes that `copying` calls
plain. JSON values are copied by `copy_plain`, which passes only what JSON surely keeps. The other fields that `Session`
declares are of types whose JSON is known to load as the same value, if the value is strictly of its type; so a strict
validation, which copies every container as it goes, is proof enough. Step visits are frozen: those that stand in the
stored session already, or were made here, have been checked, and only others are. The short way only ever says
"surely kept"; whatever it doubts goes the long way, and so do classes with validators, aliases, private attributes and
the like.

Packed, a session of the long way is the very JSON of the round trip. One of the short way is packed as `packing` does,
which may be done when it is wanted.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Generic, NamedTuple, NewType, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, ValidationError

from sessiondex.copying import assembled, compiled_copy, copy_by_value, is_plain_class, is_plain_type
from sessiondex.errors import InvalidSessionError
from sessiondex.json_values import NotPlainError, copy_plain, first_flaw, printable
from sessiondex.models import Channel, PendingMigration, Session, SessionStatus, StepVisit
from sessiondex.packing import SOUND, F, compiled_packing, sound
from sessiondex.refusals import first_difference, first_foreign, first_not_json, refusal

S = TypeVar("S", bound=Session)

Packed = NewType("Packed", bytes)
"""The number of a class, and one of its sessions, as JSON or as `packing` has it."""

_HEAD_SIZE = 4
# Of a class of its own, a UUID stays one (asyncpg has such), and a text may say that it is equal to none.
_EXACT = frozenset(
    {*(UUID, str, int, float, bool, type(None), datetime, list, dict), Channel, SessionStatus, PendingMigration}
)
_TEXT, _INT = frozenset({str}), frozenset({int})
_STAMPED = frozenset({"last_activity_at", "revision"})


class Kept(NamedTuple, Generic[S]):
    """A snapshot, and its packed form if it had to be made on the way."""

    snapshot: S
    packed: Packed | None


class Records:
    """The snapshots of one store: private copies of sessions, each of the class of its session.

    A snapshot must not be changed by whoever holds it; `copy` makes one that may be.
    """

    def __init__(self) -> None:
        # Held here, not in the module, so that classes made on the fly go with the store that met them.
        self._codecs: dict[type[Session], _Codec] = {}
        self._by_number: list[_Codec] = []

    def snapshot(self, session: S, at: datetime, earlier: S | None = None, *, revision: int) -> Kept[S]:
        """Return a checked private copy of the session with `last_activity_at` set to `at`, and that revision.

        `earlier` is the snapshot that it is to replace, if there is one at hand. The given session is left as it is.
        Cost: about one `model_dump_json` of it, several the long way.

        Raises:
            InvalidSessionError: the session would not come back equal.
        """
        codec = self._codecs.get(type(session))
        if codec is None:
            codec = self._codec(type(session))
        return cast("Kept[S]", codec.snapshot(session, at, revision, earlier))

    def copy(self, snapshot: S) -> S:
        """Return a copy that shares no mutable state with the snapshot. Cost: about 1.5 shallow `model_copy()`."""
        return self._codecs[type(snapshot)].copy(snapshot)  # type: ignore[return-value]  # of its own class

    def pack(self, snapshot: S) -> Packed:
        """Return the snapshot as bytes. Cost: one `model_dump_json` of it, half of that for a plain class."""
        return self._codecs[type(snapshot)].pack(snapshot)

    def unpack(self, packed: Packed) -> Session:
        """Return a session equal to what was packed, which nobody else has.

        Cost: one `model_validate_json`, half of that for a plain class.

        Raises:
            InvalidSessionError: a validator of the user's refuses what it accepted when the session was saved.
        """
        number, is_json = divmod(int.from_bytes(packed[:_HEAD_SIZE], "big"), 2)
        codec, data = self._by_number[number], packed[_HEAD_SIZE:]
        return codec.load(data) if is_json or codec.packing is None else codec.packing.unpack(data)

    def dump(self, kept: Kept[Any]) -> bytes:
        """Return the snapshot as JSON, of which `load` makes an equal session, in any process."""
        snapshot, packed = kept
        return self._codecs[type(snapshot)].dump(snapshot) if packed is None else packed[_HEAD_SIZE:]

    def load(self, cls: type[S], data: bytes) -> S:
        """Return a session of that class equal to what was dumped. Raises as `unpack` does."""
        codec = self._codecs.get(cls) or self._codec(cls)
        return cast("S", codec.load(data))

    def share(self, session: S) -> None:
        """Make a snapshot of a session that `unpack` gave, which its caller keeps to itself from now on."""
        self._codecs[type(session)].share(session)

    def _codec(self, cls: type[Any]) -> _Codec:
        if not issubclass(cls, Session):  # isinstance would believe what an object says of its class
            reason = f"save() takes a sessiondex.Session, not {cls.__name__}; build one with Session(...)"
            raise InvalidSessionError(None, reason)
        codec = self._codecs[cls] = _Codec(cls, len(self._by_number))
        self._by_number.append(codec)
        return codec


class _Codec:
    """What is known about one class of sessions: how to check it, copy it and pack it."""

    def __init__(self, cls: type[Session], number: int) -> None:
        fields = cls.model_fields
        self._cls = cls
        # In front of what is packed, and of what is JSON.
        self._head, self._json_head = ((2 * number + is_json).to_bytes(_HEAD_SIZE, "big") for is_json in (0, 1))
        self._validator = cls.__pydantic_validator__
        self._serializer = cls.__pydantic_serializer__
        self._has_short_way = is_plain_class(cls)
        # One set for all snapshots, in which all fields count as set: it takes 2 KB, and time to read from memory.
        self._all_set = set(fields)
        self.copy = compiled_copy(cls, self._all_set) if self._has_short_way else copy_by_value
        self.packing = compiled_packing(cls, self._all_set) if self._has_short_way else None
        added = {name: field for name, field in fields.items() if name not in Session.model_fields}
        self._plain_names = [name for name, field in added.items() if is_plain_type(field.annotation)]

    def snapshot(self, session: Session, at: datetime, revision: int, earlier: Session | None) -> Kept[Session]:
        if self._has_short_way:
            snapshot = self._short_way(values_of(session), at, revision, earlier)
            if snapshot is not None:
                return Kept(snapshot, None)
        try:
            stamped = _stamped(session, at, revision)
        except (InvalidSessionError, MemoryError, RecursionError):
            raise
        except Exception as error:  # of an attribute whose name is no text
            raise InvalidSessionError(None, f"looking at its attributes raises {type(error).__name__}") from None
        return self.round_trip(stamped)

    def pack(self, snapshot: Session) -> Packed:
        if self.packing is not None:
            try:
                return Packed(self._head + self.packing.pack(snapshot))
            except ValueError:  # nothing is known that gets here; if it did, a save of some other session must not fail
                pass
        return Packed(self._json_head + self.dump(snapshot))

    def share(self, session: Session) -> None:
        object.__setattr__(session, "__pydantic_fields_set__", self._all_set)

    def dump(self, session: Session) -> bytes:
        return self._serializer.to_json(session, by_alias=False, round_trip=True, warnings="none")

    def load(self, data: bytes) -> Session:
        try:
            session = self.copy(self._load(data))
        except Exception as error:
            reason = (
                f"{self._cls.__name__} does not load what it accepted when this session was saved "
                f"({type(error).__name__}); let the verdict of its validators depend on nothing but the value"
            )
            raise InvalidSessionError(None, reason) from None
        if self._has_short_way:
            for visit in session.step_history:  # made of JSON, they are of the very types that they have to be
                object.__setattr__(visit, "__pydantic_fields_set__", SOUND)
        return session

    def _load(self, data: bytes) -> Session:
        session: Session = self._validator.validate_json(data, by_alias=False, by_name=True)
        return session

    def _short_way(
        self, values: dict[str, Any], at: datetime, revision: int, earlier: Session | None
    ) -> Session | None:
        try:
            facts = _sound_facts(values, earlier if type(earlier) is self._cls else None)
            if not _is_exact(values["created_at"]) or not _are_exact(values):
                return None
            # Python copies and checks JSON values in one go, twice as fast as the two validators that it stands in for.
            variables = copy_plain(values["variables"])
            stamped = {**values, **facts, "last_activity_at": at, "revision": revision, "variables": {}}
            snapshot: Session = self._validator.validate_python(stamped, strict=True)
            checked = snapshot.__dict__
            checked["variables"] = variables
            for name in self._plain_names:
                checked[name] = copy_plain(checked[name])
                if checked[name] != values[name]:
                    return None
        except Exception:  # whatever it is, the long way finds out, and finds the words
            return None
        self.share(snapshot)
        return snapshot if type(variables) is dict else None

    def round_trip(self, stamped: Session) -> Kept[Session]:
        """Return what comes back when the session is kept as JSON, if that is equal, else raise."""
        try:
            data = self.dump(stamped)
            snapshot = self.copy(self._load(data))  # as every read will, so it had better work now
            changed = first_difference(stamped, snapshot) or first_foreign(snapshot) or first_not_json(stamped)
        except MemoryError:  # which says nothing of the session
            raise
        except Exception as error:
            raise self._explain(stamped, error) from None
        if changed is not None:
            raise self._explain(stamped, changed)
        self.share(snapshot)
        return Kept(snapshot, Packed(self._json_head + data))

    def _explain(self, stamped: Session, error: Exception) -> InvalidSessionError:
        """Return the error that names the field, given what dumping, loading or comparing had to say."""
        try:
            return self._explained(stamped, error)
        except Exception as raised:  # by a value that does so whatever it is asked
            field = error.field if isinstance(error, InvalidSessionError) else self._first_that_raises(stamped)
            return InvalidSessionError(field, f"looking at it raises {type(raised).__name__}")

    def _explained(self, stamped: Session, error: Exception) -> InvalidSessionError:
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
                        return refusal(details)
            except Exception as raised:  # a validator of the user's own, with an error of its own kind
                field = field or self._first_that_raises(stamped)
                return InvalidSessionError(field, f"validating it raises {type(raised).__name__}")
        if isinstance(error, InvalidSessionError):
            return error
        if isinstance(error, ValidationError):
            return refusal(error.errors(include_url=False, include_context=False, include_input=False)[0])
        reason = f"it cannot be kept as JSON: {type(error).__name__} on dumping or loading it"
        return InvalidSessionError(self._first_that_raises(stamped), reason)

    def _first_that_raises(self, stamped: Session) -> str | None:
        """Return the name of the first field that, alone, cannot be dumped, looked into or validated."""
        for name, value in stamped.__dict__.items():
            try:
                self._serializer.to_json(stamped, include={name}, by_alias=False, round_trip=True, warnings="none")
                first_flaw({name: value})
                with suppress(ValidationError):  # whose words name the field
                    self._validator.validate_assignment(self._cls.model_construct(), name, value)
            except Exception:
                return name
        return None


def values_of(session: object) -> dict[str, Any]:
    """Return what the session holds, past whatever its class has to say about access."""
    values: dict[str, Any] = object.__getattribute__(session, "__dict__")
    return values


def mark_saved(session: Session, at: datetime, revision: int) -> None:
    """Make a session that was given show that it was saved."""
    # Past validation and past a frozen subclass: the session is stored now, so this must not fail.
    values = values_of(session)
    dict.__setitem__(values, "last_activity_at", at)
    dict.__setitem__(values, "revision", revision)
    try:
        fields_set: Any = object.__getattribute__(session, "__pydantic_fields_set__")
        if type(fields_set) is set and fields_set.issuperset(_STAMPED):
            return
        fields_set = {*fields_set, *_STAMPED}
    except Exception:  # it is not there, or has something in it that raises
        fields_set = set(_STAMPED)
    object.__setattr__(session, "__pydantic_fields_set__", fields_set)


def _stamped(session: Session, at: datetime, revision: int) -> Session:
    """Return a session of the same parts, not copied and not validated, with that stamp and revision."""
    cls = type(session)
    given = values_of(session)
    values = {name: value for name, value in given.items() if name in cls.model_fields}
    for name in given.keys() - values.keys():
        # A cached property keeps its value there as well.
        if type(name) is not str or not isinstance(getattr(cls, name, None), cached_property):
            raise InvalidSessionError(printable(name), "is no field of its class; declare it in a subclass of Session")
    values.update(last_activity_at=at, revision=revision)
    extra = getattr(session, "__pydantic_extra__", None)
    return assembled(cls, values, extra, getattr(session, "__pydantic_private__", None))


def _sound_facts(values: dict[str, Any], earlier: Session | None) -> dict[str, Any]:
    """Return the visits and the pending migration as facts that are known to be sound, or raise.

    Those of the earlier snapshot are, and those that were unpacked here. Others are checked.
    """
    history, pending = values["step_history"], values["pending_migration"]
    if type(history) is not list:
        raise NotPlainError
    visits = []
    if earlier is not None:
        for visit, known in zip(history, earlier.step_history, strict=False):
            if type(visit) is not StepVisit or visit.__dict__ is not known.__dict__:
                break
            visits.append(known)
    visits += [_sound(StepVisit, visit, visit.step_id, visit.entered_at) for visit in history[len(visits) :]]
    if pending is not None:
        before = None if earlier is None else earlier.pending_migration
        if before is not None and type(pending) is PendingMigration and pending.__dict__ is before.__dict__:
            pending = before
        else:
            pending = _sound(PendingMigration, pending, pending.migration_plan_id, pending.marked_at)
    return {"step_history": visits, "pending_migration": pending}


def _sound(cls: type[F], fact: F, id_: UUID, instant: datetime) -> F:
    if type(fact) is StepVisit and fact.__pydantic_fields_set__ is SOUND:
        return fact
    _check_fact(cls, fact, id_, instant)
    return sound(fact)


def _check_fact(cls: type[BaseModel], fact: BaseModel, id_: UUID, instant: datetime) -> None:
    if type(fact) is not cls or type(id_) is not UUID or not _is_exact(instant):
        raise NotPlainError
    # What validation would add, convert or leave out, JSON would too.
    checked: BaseModel = cls.__pydantic_validator__.validate_python(fact.__dict__, strict=True)
    if list(map(type, checked.__dict__.values())) != list(map(type, fact.__dict__.values())):
        raise NotPlainError


def _are_exact(values: dict[str, Any]) -> bool:
    """Whether all values of fields, and what is in the dicts of `Session` but variables, are of no subclass."""
    updated, fires, turns = values["variable_updated_at"], values["rule_fires"], values["rule_last_fire_turn"]
    return (
        _EXACT.issuperset(map(type, values.values()))
        and (not updated or (_TEXT.issuperset(map(type, updated)) and all(map(_is_exact, updated.values()))))
        and (not fires or (_TEXT.issuperset(map(type, fires)) and _INT.issuperset(map(type, fires.values()))))
        and (not turns or (_TEXT.issuperset(map(type, turns)) and _INT.issuperset(map(type, turns.values()))))
    )


def _is_exact(instant: datetime) -> bool:
    return type(instant) is datetime and instant.tzinfo is UTC
