"""SessionCodec: encodes sessions as values, and decodes rows to sessions.

The server owns the head of a row, see `lua/rows.lua`. The client makes the rest: the index keys, see `keys`, and the
value. A value is the name of the class, a NUL, and the session as JSON. The name of `Session` itself is empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any, Generic, NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from pydantic_core import to_json

from sessiondex.contract import S
from sessiondex.errors import InvalidArgumentError, InvalidSessionError, StoreUnavailableError
from sessiondex.models import Session
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.stores.redis import keys

_HEAD = Struct(">QQQI")


class EncodedSession(NamedTuple):
    """A session that passed all checks, in the form that is sent to the server."""

    session_id: UUID
    tenant_id: UUID
    data: bytes
    """The client's part of the row: index keys and value."""
    index_size: int
    """The size of the index keys in bytes."""


class SessionCodec(Generic[S]):
    """Encodes sessions of any class. Decodes those of the given classes, and of classes that it has encoded.

    It keeps the given classes alive, and no others: a class that was created at run time can be collected once nothing
    else uses it.
    """

    def __init__(self, session_classes: Iterable[type[S]], host: str) -> None:
        """`host` is the server, for errors."""
        self._host = host
        # The server assigns stamp and revision.
        self._snapshots: SnapshotCodec[S] = SnapshotCodec(keys.index_keys)
        self._given: dict[bytes, type[Any]] = {b"": Session}
        self._encoded: WeakValueDictionary[bytes, type[Any]] = WeakValueDictionary()
        given: Any = session_classes
        if not isinstance(given, Iterable) or isinstance(given, str | bytes):
            raise InvalidArgumentError("session_classes", "must be classes, in a list or the like")
        for cls in given:
            if not (isinstance(cls, type) and issubclass(cls, Session)):
                raise InvalidArgumentError("session_classes", "must be subclasses of Session")
            self._given[_class_name(cls)] = cls

    def encode(self, session: S) -> EncodedSession:
        """Check the session and encode it. The session is left as it is.

        Cost: about four `model_dump_json()` of it, ten for a class that is not plain.

        Raises:
            InvalidSessionError: the session would not come back equal. Names the field.
        """
        session_id, tenant_id, packed, index_keys = self._snapshots.prepare(session)
        cls, value = self._snapshots.to_json(packed, session_id.bytes, tenant_id.bytes, stamp=0, revision=1)
        name = _class_name(cls)
        if self._class_of(name) is not cls:
            self._encoded[name] = cls
        index_json = to_json(index_keys)
        return EncodedSession(session_id, tenant_id, b"%b%b\0%b" % (index_json, name, value), len(index_json))

    def decode(self, row: bytes, tenant_id: UUID) -> S:
        """Return a new session from a row of the tenant. Cost: a `model_validate_json`.

        Raises:
            InvalidSessionError: the store does not know the class, or the class no longer accepts the session.
            StoreUnavailableError: the session belongs to another tenant.
        """
        session = self._load(row)
        if session.tenant_id != tenant_id:
            reason = "it answered with a session of another tenant, which was withheld"
            raise StoreUnavailableError(self._host, "read", reason)
        return session

    def _load(self, row: bytes) -> S:
        stamp, revision, _, index_size = _HEAD.unpack_from(row)
        name, _, data = row[_HEAD.size + index_size :].partition(b"\0")
        cls = self._class_of(name)
        if cls is None:
            unknown = name.decode(errors="replace")
            raise InvalidSessionError(
                None, f"it is of the class {unknown}, which this store does not know; give it in session_classes"
            )
        session: S = self._snapshots.from_json(cls, data, stamp, revision)
        return session

    def _class_of(self, name: bytes) -> type[Any] | None:
        # The class encoded last comes first: it may replace a given one of the same name, as after a reload.
        return self._encoded.get(name) or self._given.get(name)


def _class_name(cls: type[Session]) -> bytes:
    return b"" if cls is Session else f"{cls.__module__}:{cls.__qualname__}".encode()
