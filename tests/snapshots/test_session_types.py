"""SessionTypes: a class has one type, which other processes and releases find, or is refused."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import pytest

from sessiondex import InvalidArgumentError, InvalidSessionError, Session
from sessiondex.snapshots.session_types import SessionTypes, type_name

V = TypeVar("V")


class Plain(Session):
    pass


class Renamed(Session):
    session_type = "ticket"


class Child(Renamed):
    pass


class Generics(Session, Generic[V]):
    value: V | None = None


class Outer:
    class Nested(Session):  # noqa: D106  # named like the rest
        pass


def test_the_type_is_the_name_unless_the_class_itself_declares_one() -> None:
    types = SessionTypes()

    assert types.type_of(Session) == "sessiondex.Session"
    assert types.type_of(Plain) == f"{__name__}:Plain"
    assert types.type_of(Outer.Nested) == f"{__name__}:Outer.Nested"
    assert types.type_of(Renamed) == "ticket"
    assert types.type_of(Child) == f"{__name__}:Child"
    assert [types.class_of(name) for name in ("ticket", "sessiondex.Session", "order")] == [Renamed, Session, None]


def test_messages_name_the_stored_type() -> None:
    assert [type_name(cls) for cls in (Session, Plain, Renamed)] == [
        "sessiondex.Session",
        f"{__name__}:Plain",
        "ticket",
    ]


def local() -> type[Session]:
    class Local(Session):
        pass

    return Local


def of_main() -> type[Session]:
    return type("OfMain", (Session,), {"__module__": "__main__"})


def replaced() -> type[Session]:
    return type("Plain", (Session,), {"__module__": __name__})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (local, "was made in a function"),
        (of_main, "is of the main module"),
        (replaced, "cannot be found in the module"),
        (lambda: Generics[int], "has parameters"),
        (lambda: type("Empty", (Session,), {"session_type": ""}), "must be a printable text"),
        (lambda: type("Odd", (Session,), {"session_type": "a\0b"}), "must be a printable text"),
        (lambda: type("Number", (Session,), {"session_type": 5}), "must be a printable text"),
    ],
)
def test_a_class_without_a_fixed_name_is_refused(make: Any, reason: str) -> None:
    cls = make()
    with pytest.raises(InvalidSessionError, match=reason):
        SessionTypes().type_of(cls)
    with pytest.raises(InvalidArgumentError, match=f"session_classes: .*{reason}"):
        SessionTypes([cls])


@pytest.mark.parametrize("make", [local, of_main, replaced])
def test_any_class_may_declare_its_type(make: Any) -> None:
    cls = make()
    cls.session_type = "declared"

    assert SessionTypes([cls]).class_of("declared") is cls


@pytest.mark.parametrize("version", [0, -1, 1.5, True, None, "2", 2**40])
def test_a_schema_version_is_checked(version: Any) -> None:
    cls = type("Versioned", (Session,), {"session_type": "versioned", "schema_version": version})
    with pytest.raises(InvalidSessionError, match="schema_version of Versioned must be a ClassVar"):
        SessionTypes().type_of(cls)


def test_a_schema_version_is_no_field() -> None:
    with pytest.warns(UserWarning, match="schema_version"):
        cls = type("Fielded", (Session,), {"__annotations__": {"schema_version": int}, "schema_version": 3})
    with pytest.raises(InvalidSessionError, match="schema_version of Fielded"):
        SessionTypes().type_of(cls)
