"""Find and empty every mutable container inside a session."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, JsonValue

from sessiondex import Session
from tests.support.builders import CUSTOMER, START, NotedSession, TaggedSession, at_step


class Address(BaseModel):
    lines: list[str] = []


class NestedSession(Session):
    address: Address = Address()
    addresses: list[Address] = []
    by_name: dict[str, list[int]] = {}
    anything: dict[str, JsonValue] = {}
    pair: tuple[list[int], int] = ([], 0)


class OpenSession(Session, extra="allow"):
    pass


CLASSES = [Session, NotedSession, TaggedSession, NestedSession, OpenSession]


def session_with_everything(cls: type[Session]) -> Any:
    """Return a session of one of `CLASSES` with a value in every container."""
    extras: dict[type[Session], dict[str, Any]] = {
        NotedSession: {"scores": [1.0]},
        TaggedSession: {"tags": {"a"}},
        NestedSession: {
            "address": {"lines": ["1"]},
            "addresses": [{"lines": ["2"]}],
            "by_name": {"a": [1]},
            "anything": {"a": {"b": [1]}},
            "pair": ([1], 2),
        },
        OpenSession: {"custom": {"a": [1]}},
    }
    return at_step(
        cls=cls,
        customer_profile_id=CUSTOMER,
        rule_fires={"r": 1},
        rule_last_fire_turn={"r": 1},
        variables={"flat": "x", "list": [1, [2, {"deep": [3]}]], "dict": {"a": {"b": {}}}},
        variable_updated_at={"flat": START},
        **extras.get(cls, {}),
    )


def containers(value: Any) -> list[Any]:
    """Return every mutable container that the value contains, at any depth."""
    if isinstance(value, Session) or (isinstance(value, BaseModel) and not value.model_config.get("frozen")):
        inner = [*vars(value).values(), value.model_extra]
    elif isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list | tuple | set):
        inner = list(value)
    else:
        return []
    found = [value] if isinstance(value, list | dict | set) else []
    return found + [container for item in inner for container in containers(item)]


def spoil(session: Any) -> int:
    """Empty every container that the value contains; return their number."""
    found = containers(session)
    for container in found:
        container.clear()
    return len(found)
