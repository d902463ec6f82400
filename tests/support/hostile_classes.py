"""Define the classes of hostile values: subclasses of JSON types, and objects that lie or raise."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

CANARY = "kanarie"
SURROGATE = "\ud800"


class PlantedError(Exception):
    """Raised only by hostile values."""


class Number(int):
    pass


class Real(float):
    pass


class Text(str):
    __slots__ = ()


class Row(list[Any]):
    pass


class Mapping(dict[Any, Any]):
    pass


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    CANARY = CANARY
    KEY = "key"


class Plain(Enum):
    CANARY = CANARY


class OldWord(str, Enum):  # noqa: UP042  # as it was written before StrEnum
    CANARY = CANARY


class Id(UUID):
    pass


class Instant(datetime):
    pass


Pair = namedtuple("Pair", "first second")  # noqa: PYI024  # as people have it


@dataclass
class Point:
    name: str = CANARY


class Model(BaseModel):
    name: str = CANARY


class AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


class NeverEqual(Text):
    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class EqualTuple(tuple[Any, ...]):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = tuple.__hash__


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # wrong on purpose
        raise PlantedError


class OfNamelessClass(metaclass=Nameless):
    pass


class Everything:
    """Returns itself for every attribute and call, as a mock does."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        return self


class OddZone(tzinfo):
    def tzname(self, _: datetime | None) -> str:
        raise PlantedError

    def dst(self, _: datetime | None) -> timedelta:
        raise PlantedError

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise PlantedError


def claiming(cls: type) -> Any:
    """Return an object whose `__class__` is that class, without any of its behaviour."""
    return type("Claiming", (), {"__class__": cls})()


def raising(base: type, *names: str) -> type:
    """Return a subclass in which these methods raise."""

    def fail(*_: object) -> Any:
        raise PlantedError

    made: dict[str, Any] = {name: property(fail) if name == "__class__" else fail for name in names}
    if "__eq__" in names and "__hash__" not in names:
        made["__hash__"] = base.__hash__
    return type(f"Raising{base.__name__.title()}", (base,), made)


def methods_of(base: type) -> list[str]:
    kept = {"__new__", "__init__", "__class__", "__del__", "__getattribute__", "__init_subclass__", "__subclasshook__"}
    return [name for name in dir(base) if callable(getattr(base, name)) and name not in kept]
