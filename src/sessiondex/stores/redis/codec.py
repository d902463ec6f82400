"""SessionCodec: encodes sessions as values, and decodes rows to sessions.

The server owns the head of a row, see `lua/rows.lua`. The client makes the rest: the index keys, see `keys`, and the
value. A value is the type of the class, a NUL, and the session as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Generic, NamedTuple
from uuid import UUID

from sessiondex import schema
from sessiondex.errors import StoreUnavailableError, UnreadableSessionError
from sessiondex.indexed import KnownIndexes
from sessiondex.models import Session
from sessiondex.reading import S
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.snapshots.differences import id_in
from sessiondex.snapshots.session_types import SessionTypes, check_session_classes
from sessiondex.stores.redis import keys
from sessiondex.stores.unreadable import UnreadableSessions

_HEAD = Struct(">QQQII")


class RowHead(NamedTuple):
    """The head of a row."""

    stamp: int
    """In microseconds."""
    revision: int
    fencing_token: int
    index_size: int
    """The size of the index keys in bytes."""
    schema_version: int


def head_of(row: bytes) -> RowHead:
    """Return the head of a row."""
    return RowHead(*_HEAD.unpack_from(row))


def index_keys_in(row: bytes) -> bytes:
    """Return the packed index keys in a row."""
    return row[_HEAD.size : _HEAD.size + head_of(row).index_size]


class EncodedSession(NamedTuple):
    """A session that passed all checks, in the form that is sent to the server."""

    session_id: UUID
    tenant_id: UUID
    data: bytes
    """The client's part of the row: index keys and value."""
    index_size: int
    """The size of the index keys in bytes."""
    schema_version: int
    """The highest version of the class that wrote the session, as far as the session knows."""


class SessionCodec(Generic[S]):
    """Encodes sessions of any class whose name is fixed. Decodes those of the classes that it knows."""

    def __init__(
        self, session_classes: Iterable[type[Session]], host: str, unreadable: UnreadableSessions | None = None
    ) -> None:
        """`host` is the server, for errors. `unreadable` decides about sessions that cannot be decoded."""
        self._host = host
        self._unreadable = unreadable or UnreadableSessions()
        # The server assigns stamp and revision.
        classes = check_session_classes(session_classes)
        self._snapshots: SnapshotCodec[S] = SnapshotCodec(schema.index_keys, indexes=KnownIndexes(classes))
        self._types = SessionTypes(classes)

    @property
    def indexes(self) -> KnownIndexes:
        """The indexed fields of the known classes."""
        return self._snapshots.indexes

    def encode(self, session: S) -> EncodedSession:
        """Check the session and encode it. The session is left as it is.

        Cost: about four `model_dump_json()` of it, ten for a class that is not plain.

        Raises:
            InvalidSessionError: the session would not come back equal, or its class has no name that is fixed.
        """
        session_id, tenant_id, packed, index_keys, _ = self._snapshots.prepare(session)
        cls, version, data = self._snapshots.to_json(packed, session_id.bytes, tenant_id.bytes, stamp=0, revision=1)
        value = b"%b\0%b" % (self._types.type_of(cls).encode(), data)
        packed_keys = keys.pack_names(index_keys)
        return EncodedSession(session_id, tenant_id, packed_keys + value, len(packed_keys), version)

    def index_keys_of(self, session: S) -> bytes:
        """Return the packed index keys of a session, as its class declares them now. Raises as `encode` does."""
        return keys.pack_names(self._snapshots.prepare(session).index_keys)

    def decode(self, row: bytes, tenant_id: UUID) -> S:
        """Return a new session from a row of the tenant. Cost: a `model_validate_json`.

        Raises:
            UnreadableSessionError: the store does not know the class, or the class does not load the session.
            StoreUnavailableError: the session belongs to another tenant.
        """
        session = self._load(row)
        if session.tenant_id != tenant_id:
            reason = "it answered with a session of another tenant, which was withheld"
            raise StoreUnavailableError(self._host, "read", reason)
        return session

    def decode_or_skip(self, row: bytes, tenant_id: UUID, *, is_logged: bool = True) -> S | None:
        """Decode as `decode` does, or return `None` if the session is unreadable and to be skipped."""
        try:
            return self.decode(row, tenant_id)
        except UnreadableSessionError as error:
            handle = self._unreadable.skip_or_raise if is_logged else self._unreadable.check
            handle(error)
            return None

    def decode_all(self, rows: Iterable[bytes], tenant_id: UUID) -> list[S]:
        """Return the sessions of the rows, except those that are to be skipped."""
        found = (self.decode_or_skip(row, tenant_id) for row in rows)
        return [session for session in found if session is not None]

    def _load(self, row: bytes) -> S:
        stamp, revision, _, index_size, version = _HEAD.unpack_from(row)
        name, _, data = row[_HEAD.size + index_size :].partition(b"\0")
        session_type = name.decode(errors="replace")
        cls = self._types.class_of(session_type)
        if cls is None:
            reason = "no class of this store has the type; give it in session_classes"
            raise UnreadableSessionError(id_in(data), session_type, version, None, reason)
        session: S = self._snapshots.from_json(cls, version, data, stamp, revision)
        return session
