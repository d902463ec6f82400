"""SessionCodec: encodes sessions as values, and decodes rows to sessions.

The server owns the head of a row, see `lua/rows.lua`. The client makes the rest: the index keys, see `keys`, and the
value. A value is the type of the class, a NUL, and the session as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Generic, NamedTuple
from uuid import UUID

from pydantic_core import to_json

from sessiondex.contract import S
from sessiondex.errors import StoreUnavailableError, UnreadableSessionError
from sessiondex.models import Session
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.snapshots.differences import id_in
from sessiondex.snapshots.session_types import SessionTypes
from sessiondex.stores.redis import keys
from sessiondex.stores.unreadable import UnreadableSessions

_HEAD = Struct(">QQQII")


def stamp_of(row: bytes) -> int:
    """Return the stamp in the head of a row, in microseconds."""
    stamp: int = _HEAD.unpack_from(row)[0]
    return stamp


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
        self._snapshots: SnapshotCodec[S] = SnapshotCodec(keys.index_keys)
        self._types = SessionTypes(session_classes)

    def encode(self, session: S) -> EncodedSession:
        """Check the session and encode it. The session is left as it is.

        Cost: about four `model_dump_json()` of it, ten for a class that is not plain.

        Raises:
            InvalidSessionError: the session would not come back equal, or its class has no name that is fixed.
        """
        session_id, tenant_id, packed, index_keys = self._snapshots.prepare(session)
        cls, version, data = self._snapshots.to_json(packed, session_id.bytes, tenant_id.bytes, stamp=0, revision=1)
        value = b"%b\0%b" % (self._types.type_of(cls).encode(), data)
        index_json = to_json(index_keys)
        return EncodedSession(session_id, tenant_id, index_json + value, len(index_json), version)

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
