"""ClassCodec: checks, packs, unpacks and copies the sessions of one class, and loads rows of its other releases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from sessiondex.errors import InvalidSessionError, UnreadableSessionError
from sessiondex.indexed import IndexedField
from sessiondex.models import Session
from sessiondex.snapshots.carried import (
    Carried,
    Places,
    add_notes,
    carried_by,
    carry,
    has_notes,
    take_notes,
    take_unknown,
    version_in,
)
from sessiondex.snapshots.compiled import EPOCH, SUFFIX_SIZE, UUIDCache, compile_class
from sessiondex.snapshots.differences import (
    check_names,
    declared_values,
    explain,
    find_difference,
    find_non_json_variable,
    find_widened_field,
    id_in,
    unreadable_error,
)
from sessiondex.snapshots.equality import find_texts, put_texts
from sessiondex.snapshots.index_values import IndexValues
from sessiondex.snapshots.instances import (
    CARRIED_KEY,
    add_to_fields_set,
    construct_unchecked,
    copy_by_value,
    hidden_parts,
    instance_dict,
    mark_all_fields_set,
)
from sessiondex.snapshots.json_values import printable
from sessiondex.snapshots.plain_types import is_plain_class
from sessiondex.snapshots.session_types import UnknownSession

_VERSION_FIELDS: set[str] = {"last_activity_at", "revision"}
_MAX_REVISION = 2**63
_STAND_INS = b',"last_activity_at":"1970-01-01T00:00:00Z","revision":1}'


class ClassCodec:
    """Checks, packs, unpacks and copies the sessions of one class."""

    def __init__(
        self,
        cls: type[Session],
        number: int,
        ids: UUIDCache,
        indexed: tuple[IndexedField, ...] = (),
        session_type: str | None = None,
    ) -> None:
        self.cls = cls
        self.indexed = indexed
        self.session_type: str | None = session_type
        self.stored_count = 0
        self.suffix: bytes = (2 * number).to_bytes(SUFFIX_SIZE)
        self.json_suffix: bytes = (2 * number + 1).to_bytes(SUFFIX_SIZE)
        self._adapter = TypeAdapter(cls)
        self._to_json = self._adapter.serializer.to_json
        self._all_set = set(cls.model_fields)
        compiled = compile_class(cls, self.suffix, ids) if is_plain_class(cls) else None
        self.pack: Callable[[Any], bytes | None] | None = compiled and compiled.pack
        self.copy: Callable[[Any], Session] = compiled.copy if compiled else copy_by_value
        self._unpack = compiled and compiled.unpack
        self._index_values = IndexValues(cls, indexed) if compiled else None

    def unpack(self, packed: bytes, session_id: bytes, tenant_id: bytes, stamp: int, revision: int) -> Session:
        """Return the session. Raises `UnreadableSessionError` if a validator refuses it."""
        if self._unpack is not None and packed.endswith(self.suffix):
            return self._unpack(packed, session_id, tenant_id, stamp, revision)
        return self.load(packed[:-SUFFIX_SIZE], stamp, revision)

    def dump(self, session: Session) -> bytes:
        """Return the session as JSON."""
        return self._adapter.serializer.to_json(session, by_alias=False, round_trip=True, warnings="none")

    def dump_plain(self, session: Session) -> bytes:
        """Return a session that `pack` accepts as JSON. Two fields, which `pack` does not check, may get stand-ins."""
        values = session.__dict__
        revision, last_activity_at = values["revision"], values["last_activity_at"]
        is_fit = type(revision) is int and 0 <= revision < _MAX_REVISION and type(last_activity_at) is datetime
        # There is nothing to warn of, and asking for no warnings costs a fifth more.
        if is_fit and last_activity_at.tzinfo is UTC:
            return self._to_json(session, round_trip=True)
        return self._to_json(session, round_trip=True, exclude=_VERSION_FIELDS)[:-1] + _STAND_INS

    def indexed_values(self, data: bytes, version: int) -> dict[str, Any] | None:
        """Return the values in the JSON that index keys are made of, or `None` if the whole has to be read for it."""
        if self._index_values is None or version != self.cls.schema_version or has_notes(data):
            return None
        return self._index_values.read(data)

    def load(self, data: bytes, stamp: int, revision: int, version: int = 0) -> Session:
        """Return the session in the JSON, which `version` of its class wrote; 0 stands for the present one.

        Raises:
            UnreadableSessionError: the class does not load the JSON.
        """
        if issubclass(self.cls, UnknownSession):
            reason = "no class of this store has the type; give it in session_classes"
            raise UnreadableSessionError(id_in(data), self.cls.session_type, self.cls.schema_version, None, reason)
        try:
            session, carried = self._load_known(data, version)
            if self._unpack is None:  # a validator may have returned a value that others have too
                session = copy_by_value(session)
        except Exception as error:  # users' validators may raise anything
            raise unreadable_error(self.cls, data, version or version_in(data), error) from error
        if self._unpack is not None:
            mark_all_fields_set(session, self._all_set)
        if carried is not None:
            carry(session, carried)
        write_back_version(session, stamp, revision)
        return session

    def _load_known(self, data: bytes, version: int) -> tuple[Session, Carried | None]:
        """Return the session, and what it carries that its class does not know."""
        present = self.cls.schema_version
        if not 0 < version < present and not has_notes(data):
            try:
                return self._load(data), Carried(version) if version > present else None
            except ValidationError as error:
                details = error.errors(include_url=False, include_context=False, include_input=False)
                if not any(each["type"] == "extra_forbidden" and len(each["loc"]) == 1 for each in details):
                    raise
        values = from_json(data)
        notes = take_notes(values)
        written = version or notes.version
        if 0 < written < present:
            values = self.cls.upgrade(values, written)
            if not isinstance(values, dict):
                raise TypeError(f"upgrade() must return a dict, not {type(values).__name__}")
        forbids_others = self.cls.model_config.get("extra") == "forbid"
        unknown = take_unknown(values, self._all_set) if forbids_others else b"{}"
        unknown_texts = tuple(path for path in notes.texts if forbids_others and path[0] not in self._all_set)
        carried = Carried(max(notes.version, version, present), unknown, unknown_texts)
        session = self._load(to_json(values))
        if len(notes.texts) > len(unknown_texts):
            session = self._with_texts(session, values, notes.texts)
        return session, None if carried == Carried(present) else carried

    def _with_texts(self, session: Session, values: dict[str, Any], texts: Places) -> Session:
        """Return the session with these texts of the JSON put back, or as it is if its class allows no texts there."""
        changed = copy_by_value(session)
        put_texts(changed, values, texts)
        parts = self._adapter.serializer.to_python(changed, by_alias=False, round_trip=True, warnings="none")
        try:
            validated = self._adapter.validator.validate_python(parts, by_alias=False, by_name=True)
        except ValidationError:
            return session
        return session if find_difference(changed, validated) else changed

    def round_trip(self, session: Session, now: datetime) -> tuple[dict[str, Any], bytes]:
        """Return the field values that come back from JSON, and the packed session, if they are equal; else raise."""
        given = _stand_in(session, now)
        carried = carried_by(session)
        try:
            check_names(given)
            data = self.dump(given)
            # Copied, because each read copies it, and a class may refuse that.
            loaded = copy_by_value(self._load(data))
            error = find_difference(given, loaded)
            texts = find_texts(given, loaded) if error is not None else ()
            if texts:
                loaded = copy_by_value(self._load_known(add_notes(data, None, texts), 0)[0])  # as each read does
                error = find_difference(given, loaded)
            declared = declared_values(loaded)
            error = error or find_widened_field(loaded, declared) or find_non_json_variable(given)
        except MemoryError:  # no fault of the session
            raise
        except Exception as raised:  # users' code may raise anything
            raise explain(self._adapter, given, raised) from None
        if error is not None:
            raise explain(self._adapter, given, error)
        # Index keys are made of what Session declares: of an enum, say, where a subclass keeps its value.
        values = {**loaded.__dict__, **declared}
        if carried is not None or texts:
            return values, add_notes(data, carried, texts) + self.json_suffix
        # JSON loads as exact types, so a plain class can pack the values now, unless they are very deep or long.
        return values, (self.pack and self.pack(loaded)) or data + self.json_suffix

    def _load(self, data: bytes) -> Session:
        session: Session = self._adapter.validator.validate_json(data, by_alias=False, by_name=True)
        return session


def write_back_version(session: Session, stamp: int, revision: int) -> None:
    """Set `last_activity_at` and `revision` of a session that was saved. `stamp` is in microseconds since 1970."""
    # Without validation: the session is stored already, so this must not fail, even for a frozen subclass.
    values = object.__getattribute__(session, "__dict__")
    values["last_activity_at"] = EPOCH + timedelta(0, 0, stamp)
    values["revision"] = revision
    fields_set = getattr(session, "__pydantic_fields_set__", None)
    if type(fields_set) is not set or not fields_set >= _VERSION_FIELDS:
        add_to_fields_set(session, _VERSION_FIELDS)


def _stand_in(session: Session, now: datetime) -> Session:
    """Return a session of the same parts, not copied and not validated, with stand-ins for stamp and revision."""
    cls = type(session)
    given = instance_dict(session)
    values = {name: value for name, value in given.items() if name in cls.model_fields}
    for name in given.keys() - values.keys():
        if name == CARRIED_KEY and carried_by(session) is not None:
            continue
        # A cached property keeps its value there as well.
        if type(name) is not str or not isinstance(getattr(cls, name, None), cached_property):
            raise InvalidSessionError(printable(name), "is no field of its class; declare it in a subclass of Session")
    values.update(last_activity_at=now, revision=1)
    return construct_unchecked(cls, values, *hidden_parts(session))
