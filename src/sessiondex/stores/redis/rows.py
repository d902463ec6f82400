"""Rows: what the server keeps of a session, and the session that it stands for.

The head of a row is the server's, see `lua/`. The rest is made here: where it is filed, see `keys`, which the server
reads as well; and the value, which it does not: the name of the class, empty for `Session` itself, a NUL, and the
session as JSON.
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


class Rows(Generic[S]):
    """Makes values of sessions, and sessions of rows. Knows the classes that it was given, or was given sessions of."""

    def __init__(self, session_classes: Iterable[type[S]]) -> None:
        self.records = Records()
        self._classes: dict[bytes, type[Any]] = {b"": Session}
        given: Any = session_classes
        if not isinstance(given, Iterable) or isinstance(given, str | bytes):
            raise InvalidArgumentError("session_classes", "must be classes, in a list or the like")
        for cls in given:
            if not (isinstance(cls, type) and issubclass(cls, Session)):
                raise InvalidArgumentError("session_classes", "must be subclasses of Session")
            self._classes[_name(cls)] = cls

    def value(self, kept: Kept[S]) -> bytes:
        """Return what is to be kept of a snapshot. Cost: a `model_dump_json`, or nothing if it was made before."""
        cls = type(kept.snapshot)
        name = _name(cls)
        if self._classes.get(name) is not cls:
            self._classes[name] = cls
        return name + b"\0" + self.records.dump(kept)

    def session(self, row: bytes) -> S:
        """Return the session that the row stands for, which is the caller's own. Cost: a `model_validate_json`.

        Raises:
            InvalidSessionError: its class is not known here, or refuses what it accepted when it was saved.
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


def _name(cls: type[Session]) -> bytes:
    return b"" if cls is Session else f"{cls.__module__}:{cls.__qualname__}".encode()
