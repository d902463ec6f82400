"""SessionTypes: the classes that a persistent store knows, each by a name that other processes find too."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any
from weakref import WeakValueDictionary

from sessiondex.errors import InvalidArgumentError, InvalidSessionError
from sessiondex.models import Session

MAX_TYPE_LENGTH = 200
MAX_SCHEMA_VERSION = 2**31 - 1
SESSION_TYPE = "sessiondex.Session"


class UnknownSession(Session):
    """Stands for the class of stored sessions whose type no known class has. Nothing loads as one."""


class SessionTypes:
    """Maps classes to types and back. No two known classes have one type.

    Known are `Session`, the given classes, and those whose sessions were saved. It keeps the given classes alive, and
    no others: a class that was created at run time can be collected once nothing else uses it.

    >>> class Ticket(Session):
    ...     session_type = "ticket"
    >>> types = SessionTypes([Ticket])
    >>> types.type_of(Ticket), types.class_of("ticket") is Ticket, types.class_of("order")
    ('ticket', True, None)
    """

    def __init__(self, session_classes: Iterable[type[Session]] = ()) -> None:
        """Raises `InvalidArgumentError` for what is no class of sessions, has no fixed type, or the type of another."""
        self._given: dict[str, type[Any]] = {SESSION_TYPE: Session}
        self._saved: WeakValueDictionary[str, type[Any]] = WeakValueDictionary()
        self._unknown: dict[tuple[str, int], type[Any]] = {}
        for cls in check_session_classes(session_classes):
            try:
                self._given[self.type_of(cls)] = cls
            except InvalidSessionError as error:
                raise InvalidArgumentError("session_classes", error.reason) from None

    def type_of(self, cls: type[Session]) -> str:
        """Return the type of the class, and know it from now on.

        Raises:
            InvalidSessionError: another process could not find the class by its name, or another class has the type.
        """
        name = declared_type(cls)
        known = self.class_of(name)
        if known is None:
            self._saved[name] = cls
        elif known is not cls:
            reason = f"{cls.__qualname__} and {known.__qualname__} of {known.__module__} both have the type {name!r}"
            raise InvalidSessionError(None, f"{reason}; give one another session_type")
        return name

    def class_of(self, name: str) -> type[Any] | None:
        """Return the known class of that type, or `None`."""
        return self._given.get(name) or self._saved.get(name)

    def class_or_unknown(self, name: str, version: int) -> type[Any]:
        """Return the known class of that type, or a subclass of `UnknownSession` that stands for it."""
        known = self.class_of(name)
        if known is not None:
            return known
        unknown = self._unknown.get((name, version))
        if unknown is None:
            declared = {"session_type": name, "schema_version": version, "__module__": __name__}
            unknown = self._unknown[name, version] = type("UnknownSession", (UnknownSession,), declared)
        return unknown


def check_session_classes(session_classes: Iterable[type[Session]]) -> list[type[Session]]:
    """Return the classes, or raise `InvalidArgumentError`."""
    given: Any = session_classes
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise InvalidArgumentError("session_classes", "must be classes, in a list or the like")
    classes: list[Any] = [*given]
    if not all(isinstance(cls, type) and issubclass(cls, Session) for cls in classes):
        raise InvalidArgumentError("session_classes", "must be subclasses of Session")
    return classes


def declared_type(cls: type[Session]) -> str:
    """Return the `session_type` that the class itself declares, or its module and name.

    Raises:
        InvalidSessionError: it declares none, and its name may mean another class elsewhere.
    """
    if cls is Session:
        return SESSION_TYPE
    version: Any = cls.schema_version
    if type(version) is not int or not 0 < version <= MAX_SCHEMA_VERSION or "schema_version" in cls.model_fields:
        reason = f"schema_version of {cls.__qualname__} must be a ClassVar[int] from 1 to {MAX_SCHEMA_VERSION}"
        raise InvalidSessionError(None, reason)
    declared = vars(cls).get("session_type")
    if declared is None:
        if flaw := _flaw_of_name(cls):
            reason = f'{cls.__qualname__} {flaw}; declare `session_type: ClassVar[str] = "..."` in it'
            raise InvalidSessionError(None, reason)
        return type_name(cls)
    if type(declared) is not str or not 0 < len(declared) <= MAX_TYPE_LENGTH or not declared.isprintable():
        reason = f"session_type of {cls.__qualname__} must be a printable text of 1 to {MAX_TYPE_LENGTH} characters"
        raise InvalidSessionError(None, reason)
    return declared


def _flaw_of_name(cls: type[Session]) -> str | None:
    """Return why module and name of the class do not say which class it is, or `None`."""
    if cls.__module__ == "__main__":
        return "is of the main module, which is another one in each program"
    if "[" in cls.__qualname__:
        return "has parameters, whose classes its name does not tell apart"
    if "<locals>" in cls.__qualname__:
        return "was made in a function, perhaps several times"
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return None if found is cls else f"cannot be found in the module {cls.__module__}"


def type_name(cls: type[Session]) -> str:
    """Return the type of the class, unchecked: for messages, and for classes whose name is known to be fixed."""
    declared = SESSION_TYPE if cls is Session else vars(cls).get("session_type")
    return declared if isinstance(declared, str) else f"{cls.__module__}:{cls.__qualname__}"
