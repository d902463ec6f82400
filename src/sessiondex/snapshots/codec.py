"""Convert sessions to the form that stores keep, and back.

The rule of stores is: an accepted session comes back equal. The proof is a round trip: dump the session to JSON, load
it, compare. This works for any class, and its verdict is final, but it costs as much as eight `model_dump_json()`.

Plain classes have a fast path. Generated code checks that each value is exactly of its type and within the bounds that
JSON keeps, and packs it (see `compiled`). The fast path accepts a session or leaves it to the round trip. It never
refuses one.

A packed session ends with four bytes: the number of its class, and whether the rest is JSON.

The codec must not keep classes alive that were created at run time, but a stored session needs its class. So storages
count the stored sessions of each class by `retain` and `release`. When the codec meets a new class, it forgets those
that no stored session has. It still finds a forgotten class while the class exists elsewhere, so a save in progress is
not affected. Numbers of classes are never reused.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import count
from threading import RLock
from typing import Any, Generic, NamedTuple, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary, WeakValueDictionary

from sessiondex.errors import InvalidSessionError
from sessiondex.indexed import IndexedField, KnownIndexes
from sessiondex.models import Session, in_utc, utc_now
from sessiondex.snapshots.carried import version_in, with_version
from sessiondex.snapshots.class_codec import ClassCodec
from sessiondex.snapshots.compiled import SUFFIX_SIZE, UUIDCache
from sessiondex.snapshots.differences import unreadable_error
from sessiondex.snapshots.index_values import IndexValues
from sessiondex.snapshots.session_types import SessionTypes, UnknownSession, type_name

S = TypeVar("S", bound=Session)
T = TypeVar("T", bound=Session)

log: logging.Logger = logging.getLogger("sessiondex")

_new_tuple = tuple.__new__
_every_session = IndexValues(Session)


class ClassGoneError(LookupError):
    """The class of a packed session no longer exists, so the session was deleted from its store."""


class Document(NamedTuple):
    """A session as a file keeps it, for other processes and releases."""

    session_type: str
    version: int
    """The highest schema version that wrote it."""
    data: bytes
    """JSON, in which `last_activity_at` and `revision` have no meaning."""


class Prepared(NamedTuple):
    """A session that passed all checks, in the form that a store keeps."""

    session_id: UUID
    tenant_id: UUID
    packed: bytes
    index_keys: tuple[Any, ...]
    document: Document | None = None
    """Only if the codec knows the types of sessions."""


class Portable(NamedTuple, Generic[S]):
    """A session that other processes and releases can read."""

    cls: type[S]
    version: int
    """The highest schema version that wrote it."""
    data: bytes
    """JSON."""


class SnapshotCodec(Generic[S]):
    """Checks, packs, unpacks and copies sessions, in any thread.

    `index_keys` computes the keys of a session from its checked field values, in which `last_activity_at` and
    `revision` have no meaning, and from the indexed fields of its class. It must not change or keep them. `indexes`
    knows the indexed fields of all classes: those given to it, and those whose sessions are prepared. `now` gives the
    time that stands in for `last_activity_at` during a round trip; 1 stands in for the revision.

    With `types`, sessions get a document as well, and those of a class without a fixed name are refused.

    The storage calls `retain` when a packed session is added and `release` when one is removed.

    >>> from uuid import UUID
    >>> codec = SnapshotCodec[Session](lambda values, indexed: (values["status"].value,))
    >>> ids = {"session_id": UUID(int=3), "tenant_id": UUID(int=1), "agent_id": UUID(int=2)}
    >>> prepared = codec.prepare(Session(**ids, channel="sms", user_channel_id="+1"))
    >>> prepared.index_keys
    ('active',)
    >>> codec.unpack(prepared.packed, UUID(int=3).bytes, UUID(int=1).bytes, stamp=0, revision=1).last_activity_at
    datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """

    def __init__(
        self,
        index_keys: Callable[[Mapping[str, Any], tuple[IndexedField, ...]], tuple[Any, ...]],
        now: Callable[[], datetime] = utc_now,
        indexes: KnownIndexes | None = None,
        types: SessionTypes | None = None,
    ) -> None:
        self._index_keys = index_keys
        self._types = types
        self.indexes: KnownIndexes = KnownIndexes() if indexes is None else indexes
        self._now = now
        self._ids = UUIDCache()
        self._by_class: dict[type[Session], ClassCodec] = {}
        self._by_suffix: dict[bytes, ClassCodec] = {}
        self._next_number = count()
        self._lock = RLock()  # for classes and their counts; not taken for sessions of a known class
        # Classes that were ever met and still exist.
        self._numbers: WeakKeyDictionary[type[Session], int] = WeakKeyDictionary()
        self._classes: WeakValueDictionary[int, type[Session]] = WeakValueDictionary()

    def prepare(self, session: S) -> Prepared:
        """Check the session and pack it. The session is left as it is.

        Cost: about one `model_dump_json()` of it, eight for a class that is not plain or a value in doubt.

        Raises:
            InvalidSessionError: the session would not come back equal, or cannot be indexed. Names the field.
        """
        codec = self._by_class.get(type(session)) or self._codec_of(type(session))
        if codec.pack is not None:
            packed = codec.pack(session)
            if packed is not None:
                values = session.__dict__
                keys = self._index_keys(values, codec.indexed)
                name = codec.session_type
                document = None if name is None else Document(name, codec.cls.schema_version, codec.dump_plain(session))
                return _new_tuple(Prepared, (values["session_id"], values["tenant_id"], packed, keys, document))
        values, packed = codec.round_trip(session, in_utc(self._now()))
        session_id, tenant_id = _exact_uuid(values["session_id"]), _exact_uuid(values["tenant_id"])
        document = None
        if codec.session_type is not None:
            _, version, data = self.to_json(packed, session_id.bytes, tenant_id.bytes, 0, 1)
            document = Document(codec.session_type, version, data)
        return Prepared(session_id, tenant_id, packed, self._index_keys(values, codec.indexed), document)

    def prepare_stored(self, document: Document) -> Prepared:
        """Return the session in a document, as `prepare` does, but without one. Only for a codec that knows types.

        Of a plain class only the values are read that its index keys are made of, so the rest may turn out to be
        unreadable later. What the class does not load, or cannot index, has the keys that every session has; so has
        the session of an unknown class. Cost: a third of `from_json`, six times that for other classes and versions.

        Raises:
            UnreadableSessionError: not even these can be read.
        """
        assert self._types is not None
        session_type, version, data = document
        cls = self._types.class_or_unknown(session_type, version)
        codec = self._by_class.get(cls) or self._codec_of(cls)
        values = codec.indexed_values(data, version)
        try:
            if values is None:
                return self.prepare(cast("S", codec.load(data, 0, 1, version)))._replace(document=None)
            keys = self._index_keys(values, codec.indexed)
        except InvalidSessionError as error:
            values = _every_session.read(data)
            if values is None:
                raise unreadable_error(cls, data, version, error) from error
            log.warning("a session is restored without the indexes of its class: %s", error)
            data, keys = with_version(data, version), self._index_keys(values, ())
        return _new_tuple(Prepared, (values["session_id"], values["tenant_id"], data + codec.json_suffix, keys, None))

    def keep_version(self, prepared: Prepared, replaced: bytes) -> Prepared:
        """Return the session with the highest schema version that wrote it or the packed JSON that it replaces.

        A session of another type keeps its own version, and so does one without a document.
        """
        old = self._by_suffix.get(replaced[-SUFFIX_SIZE:]) or self._codec_of_suffix(replaced)
        version = max(old.cls.schema_version, version_in(replaced[:-SUFFIX_SIZE]))
        document = prepared.document
        if document is None or version <= document.version or type_name(old.cls) != document.session_type:
            return prepared
        new = self._by_suffix.get(prepared.packed[-SUFFIX_SIZE:]) or self._codec_of_suffix(prepared.packed)
        data = with_version(document.data, version)
        return prepared._replace(packed=data + new.json_suffix, document=Document(document.session_type, version, data))

    def keys_of_every_session(self, packed: bytes) -> tuple[Any, ...] | None:
        """Return the keys that do not depend on the class of a session that `prepare_stored` returned, if it is JSON.

        It returns `None` if they cannot be read.
        """
        values = _every_session.read(packed[:-SUFFIX_SIZE])
        return None if values is None else self._index_keys(values, ())

    def repack(self, packed: bytes) -> bytes | None:
        """Return a packed session in its smaller form, or `None` if it has none. Raises like `unpack`."""
        codec = self._by_suffix.get(packed[-SUFFIX_SIZE:]) or self._codec_of_suffix(packed)
        if codec.pack is None or not packed.endswith(codec.json_suffix):
            return None
        return codec.pack(codec.load(packed[:-SUFFIX_SIZE], 0, 1))

    def unpack(self, packed: bytes, session_id: bytes, tenant_id: bytes, stamp: int, revision: int) -> S:
        """Return the session, which nobody else has. `stamp` is in microseconds since 1970.

        Cost: about one `model_dump_json()` of it, three for a class that is not plain.

        Raises:
            UnreadableSessionError: a validator of its class refuses a value that it accepted before.
            ClassGoneError: its class no longer exists, so the row that held it was deleted since.
        """
        codec = self._by_suffix.get(packed[-SUFFIX_SIZE:]) or self._codec_of_suffix(packed)
        session: S = codec.unpack(packed, session_id, tenant_id, stamp, revision)  # type: ignore[assignment]  # `cast` is a call
        return session

    def class_of(self, packed: bytes) -> type[Session]:
        """Return the class of a packed session. While the caller keeps it, `unpack` finds it.

        Raises:
            ClassGoneError: the class no longer exists.
        """
        return (self._by_suffix.get(packed[-SUFFIX_SIZE:]) or self._codec_of_suffix(packed)).cls

    def copy(self, snapshot: S) -> S:
        """Return a copy that shares no mutable state. Cost: about 1.2 shallow `model_copy()`."""
        codec = self._by_class.get(type(snapshot)) or self._codec_of(type(snapshot))
        copied: S = codec.copy(snapshot)  # type: ignore[assignment]  # as above
        return copied

    def to_json(self, packed: bytes, session_id: bytes, tenant_id: bytes, stamp: int, revision: int) -> Portable[S]:
        """Return a packed session in a form that `from_json` reads in any process and release. Raises like `unpack`.

        The JSON of a class that is not plain is that of the round trip, with its stand-ins for stamp and revision.
        """
        codec = self._by_suffix.get(packed[-SUFFIX_SIZE:]) or self._codec_of_suffix(packed)
        cls = cast("type[S]", codec.cls)
        if packed.endswith(codec.json_suffix):
            data = packed[:-SUFFIX_SIZE]
            return Portable(cls, max(cls.schema_version, version_in(data)), data)
        session = codec.unpack(packed, session_id, tenant_id, stamp, revision)
        return Portable(cls, cls.schema_version, codec.dump(session))

    def from_json(self, cls: type[T], version: int, data: bytes, stamp: int, revision: int) -> T:
        """Return the session of that class. Stamp and revision are those given, not those in the JSON.

        `version` is the schema version that wrote the JSON: `upgrade` of the class is called if it is lower.

        Raises:
            UnreadableSessionError: the class does not load the JSON.
        """
        codec = self._by_class.get(cls) or self._codec_of(cls)
        return cast("T", codec.load(data, stamp, revision, version))

    # -- classes --

    def retain(self, packed: bytes) -> None:
        """Count one more stored session of the class. Only the last four bytes of `packed` matter.

        Raises:
            ClassGoneError: the class no longer exists. Cannot happen while a session of it exists.
        """
        with self._lock:
            codec = self._by_suffix.get(packed[-SUFFIX_SIZE:]) or self._codec_of_suffix(packed)
            codec.stored_count += 1

    def release(self, packed: bytes) -> None:
        """Count one stored session of the class less. Cannot fail: a surplus call is ignored until `recount`."""
        with self._lock:
            codec = self._by_suffix.get(packed[-SUFFIX_SIZE:])
            if codec is not None and codec.stored_count:
                codec.stored_count -= 1

    def recount(self, stored: Iterable[bytes]) -> None:
        """Count anew, from all stored packed sessions. Repairs the counts after an interrupted commit."""
        counts = Counter(packed[-SUFFIX_SIZE:] for packed in stored)
        with self._lock:
            for codec in self._by_suffix.values():
                codec.stored_count = 0
            for suffix, stored_count in counts.items():
                with suppress(ClassGoneError):  # a class made at run time, whose first save was interrupted
                    (self._by_suffix.get(suffix) or self._codec_of_suffix(suffix)).stored_count += stored_count

    def _codec_of(self, cls: type[Any]) -> ClassCodec:
        if not issubclass(cls, Session):
            advice = "await it" if issubclass(cls, Awaitable) else "build one with Session(...)"
            raise InvalidSessionError(None, f"save() takes a sessiondex.Session, not {cls.__name__}; {advice}")
        with self._lock:
            codec = self._by_class.get(cls)
            return self._register(cls) if codec is None else codec

    def _register(self, cls: type[Session]) -> ClassCodec:
        indexed = self.indexes.add(cls)
        session_type = None
        if self._types is not None and not issubclass(cls, UnknownSession):
            session_type = self._types.type_of(cls)
        number = self._numbers.get(cls)
        if number is None:
            # For a new class only. If a forgotten class did this on its return, two could evict each other for ever.
            self._forget_unused_classes()
            number = next(self._next_number)
        codec = ClassCodec(cls, number, self._ids, indexed, session_type)
        self._numbers[cls], self._classes[number] = number, cls
        self._by_suffix[codec.suffix] = self._by_suffix[codec.json_suffix] = codec
        self._by_class[cls] = codec
        return codec

    def _codec_of_suffix(self, packed: bytes) -> ClassCodec:
        cls = self._classes.get(int.from_bytes(packed[-SUFFIX_SIZE:]) // 2)
        if cls is None:
            raise ClassGoneError("the class of this packed session no longer exists")
        return self._codec_of(cls)

    def _forget_unused_classes(self) -> None:
        self._by_class = {cls: codec for cls, codec in self._by_class.items() if codec.stored_count}
        self._by_suffix = {suffix: codec for suffix, codec in self._by_suffix.items() if codec.stored_count}


def is_json(packed: bytes) -> bool:
    """Return whether a packed session is JSON. Only its last byte matters."""
    return packed[-1] % 2 == 1  # the suffixes of `ClassCodec`


def _exact_uuid(value: UUID) -> UUID:
    return value if type(value) is UUID else UUID(int=value.int)
