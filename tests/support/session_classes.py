"""Define session classes as users write them: subclasses, validators, other types, cached properties."""

from __future__ import annotations

import typing
from datetime import date
from decimal import Decimal
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from sessiondex import Channel, Session, StepVisit


class Level(IntEnum):
    LOW = 1


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


KEPT: dict[str, Any] = {
    "null": None,
    "booleans": [True, False],
    "integers": [0, -1, 2**63, -(2**63) - 1, 10**4299],
    "floats": [0.1, -0.0, 1e308, 5e-324],
    "text": ["", "é", "e\u0301", "\u2028", "\U0001f600", '"\\/\n\0'],
    "keys": {"": 1, "a.b": 2, "é": 3, "\0": 4},
    "nested 190 deep": nested(190),
    "empty": [[], {}],
    "integer enum": Level.LOW,
    "string enum": Channel.SMS,
}


class Rated(StepVisit):
    rating: int = 0


class RatedSession(Session):
    step_history: list[Rated] = []  # type: ignore[assignment]  # narrowed, as in code of users


class Secretive(Session):
    secret: str = Field(default="", exclude=True)


class Anything(Session):
    thing: Any = None


class Point:
    pass


class Broken(Session, arbitrary_types_allowed=True):
    point: Point | None = None


class Renamed(Session):
    loud: str = Field(default="", alias="LOUD", serialization_alias="L")


class Child(BaseModel):
    day: date
    price: Decimal


class Rich(Session):
    child: Child | None = None
    tags: frozenset[str] = frozenset()


class ByHash(StepVisit):
    """Equal to every object that its own `__eq__` accepts, with any hash."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByHash) and self.step_id == other.step_id

    __hash__ = StepVisit.__hash__


class OddVisits(Session):
    step_history: list[ByHash] = []  # type: ignore[assignment]  # narrowed, as in code of users


class EnumValues(Session):
    model_config = ConfigDict(use_enum_values=True)


class OnlyWebchat(Session):
    channel: Literal[Channel.WEBCHAT] = Channel.WEBCHAT


class Split(Session):
    tags: Annotated[
        str,
        BeforeValidator(lambda value: ",".join(value) if isinstance(value, list) else value),
        AfterValidator(lambda value: value.split(",")),
        PlainSerializer(",".join),
    ] = ""


class CachedByValidator(Session):
    @cached_property
    def words(self) -> list[str]:
        return [self.user_channel_id]

    @model_validator(mode="after")
    def _touch(self) -> CachedByValidator:
        assert self.words
        return self


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True)

    @cached_property
    def names(self) -> list[str]:
        return ["x"]


class Drawing(Session):
    shape: SerializeAsAny[Shape] = Shape()


class Node(BaseModel):
    model_config = ConfigDict(frozen=True)
    next: Node | None = None
    names: list[str] = []


class Chained(Session):
    node: Node | None = None


class Bare(Session):
    any_list: typing.List = []  # type: ignore[type-arg]  # noqa: UP006  # as users write it
    any_dict: typing.Dict = {}  # type: ignore[type-arg]  # noqa: UP006  # as users write it
    plain_list: list = []  # type: ignore[type-arg]


class Constructed(Session):
    def __new__(cls, *_: Any, **__: Any) -> Any:
        return super().__new__(cls)


class Hashed(Session):
    password: str = ""

    @field_validator("password")
    @classmethod
    def _hash(cls, value: str) -> str:
        return f"#{value}"


class Private(Session):
    _cache: dict[str, int] = PrivateAttr(default_factory=dict)


class Open(Session, extra="allow"):
    pass
