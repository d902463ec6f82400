"""Encode sessions as values, and decode rows to sessions.

The server owns the head of a row, see `lua/rows.lua`. The client makes the rest: the index keys, see `keys`, and the
value. A value is the name of the class, a NUL, and the session as JSON. The name of `Session` itself is empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any, Generic

from sessiondex.clock import EPOCH, MICROSECOND
from sessiondex.contract import S
from sessiondex.errors import InvalidArgumentError, InvalidSessionError
from sessiondex.models import Session
from sessiondex.records import Kept, Records, values_of

_HEAD = Struct(">QQQI")


class SessionCodec(Generic[S]):
    """Encodes and decodes sessions of the given classes, and of classes that it has encoded before."""

    def __init__(self, session_classes: Iterable[type[S]]) -> None:
        self.records = Records()
        self._classes: dict[bytes, type[Any]] = {b"": Session}
        given: Any = session_classes
        if not isinstance(given, Iterable) or isinstance(given, str | bytes):
            raise InvalidArgumentError("session_classes", "must be classes, in a list or the like")
        for cls in given:
            if not (isinstance(cls, type) and issubclass(cls, Session)):
                raise InvalidArgumentError("session_classes", "must be subclasses of Session")
            self._classes[_class_name(cls)] = cls

    def encode(self, snapshot: Kept[S]) -> bytes:
        """Return the value of a snapshot. Cost: a `model_dump_json`, unless the snapshot has the JSON already."""
        cls = type(snapshot.snapshot)
        name = _class_name(cls)
        if self._classes.get(name) is not cls:
            self._classes[name] = cls
        return name + b"\0" + self.records.dump(snapshot)

    def decode(self, row: bytes) -> S:
        """Return a new session from a row. Cost: a `model_validate_json`.

        Raises:
            InvalidSessionError: the store does not know the class, or the class no longer accepts the session.
        """
        stamp, revision, _, size = _HEAD.unpack_from(row)
        name, _, data = row[_HEAD.size + size :].partition(b"\0")
        cls = self._classes.get(name)
        if cls is None:
            known = name.decode(errors="replace")
            raise InvalidSessionError(
                None, f"it is of the class {known}, which this store does not know; give it in session_classes"
            )
        session: S = self.records.load(cls, data)
        values = values_of(session)
        values["last_activity_at"], values["revision"] = EPOCH + stamp * MICROSECOND, revision
        return session


def _class_name(cls: type[Session]) -> bytes:
    return b"" if cls is Session else f"{cls.__module__}:{cls.__qualname__}".encode()
