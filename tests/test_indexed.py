"""Indexed fields: their items, what cannot be an item, and which fields a store knows."""

from __future__ import annotations

import gc
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any
from uuid import UUID
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, create_model
from typing_extensions import TypeAliasType

from sessiondex import (
    Indexed,
    InMemorySessionStore,
    InvalidArgumentError,
    InvalidSessionError,
    ReindexProgress,
    Session,
    StepVisit,
)
from sessiondex.indexed import MAX_ITEM_SIZE, IndexedField, KnownIndexes, indexed_fields, own_keys
from tests.support.builders import TENANT, IndexedSession, make_session


class Plan(StrEnum):
    FREE = "free"


class Level(IntEnum):
    HIGH = 3


class Mood(Enum):
    SAD = "sad"
    UNHAPPY = 2.5


class Order(Session):
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    anything: Annotated[Any, Indexed()] = None
    number: Annotated[int, Field(ge=0), Indexed()] = 0
    tags: Annotated[list[str] | str | None, Indexed()] = None
    not_indexed: str = ""


def field_of(cls: type[Session], name: str) -> IndexedField:
    return next(field for field in indexed_fields(cls) if field.name == name)


ANYTHING, EMAIL = field_of(Order, "anything"), field_of(Order, "email")
NUMBER, TAGS = field_of(Order, "number"), field_of(Order, "tags")
ID = UUID(int=7)


def normalized_by(normalize: Any) -> IndexedField:
    class Normalized(Session):
        note: Annotated[str, Indexed(normalize=normalize)] = ""

    [field] = indexed_fields(Normalized)
    return field


# -- items and keys --


def test_a_class_has_the_fields_that_it_declares_and_inherits() -> None:
    class Narrower(Order):
        note: Annotated[str, Indexed()] = ""

    assert [field.name for field in indexed_fields(Narrower)] == ["email", "anything", "number", "tags", "note"]
    assert indexed_fields(Session) == ()
    assert indexed_fields(Order) is indexed_fields(Order)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("Ann", ["Ann"]),
        ("", [""]),
        (5, [5]),
        (True, [True]),
        (ID, [ID]),
        (Plan.FREE, ["free"]),
        (Level.HIGH, [3]),
        (Mood.SAD, ["sad"]),
        (None, []),
        ([], []),
        (["a", None, "a"], ["a", "a"]),
        ((1, "1", True), [1, "1", True]),
        (frozenset({Plan.FREE}), ["free"]),
    ],
)
def test_the_items_of_a_value(value: object, items: list[object]) -> None:
    found = list(ANYTHING.items_of(value))

    assert [(type(one), one) for one in found] == [(type(one), one) for one in items]
    assert ANYTHING.keys_of(value) == tuple(sorted({ANYTHING.key_of(one) for one in found}))


items = st.text(max_size=3) | st.integers(-300, 300) | st.booleans() | st.uuids() | st.sampled_from(["5", 5, "1", 1])


@given(items, items, st.sampled_from([ANYTHING, EMAIL, TAGS]), st.sampled_from([ANYTHING, EMAIL, TAGS]))
def test_no_two_items_have_one_key(one: Any, other: Any, field: IndexedField, other_field: IndexedField) -> None:
    """They are compared by field, type and value: 1 is neither True nor "1"."""
    is_same = (field.name, type(one), one) == (other_field.name, type(other), other)

    assert (field.key_of(one) == other_field.key_of(other)) == is_same


def test_a_text_is_compared_after_normalize() -> None:
    assert EMAIL.keys_of("Ann@X") == EMAIL.keys_of("ann@x") == (EMAIL.key_of("ann@x"),)
    assert EMAIL.check_item("ANN@X") == "ann@x"
    assert TAGS.keys_of("Ann") != TAGS.keys_of("ann")


def test_numbers_and_ids_are_not_normalized() -> None:
    field = normalized_by(lambda text: pytest.fail(f"{text!r} was normalized"))

    assert list(field.items_of([5, True, ID])) == [5, True, ID]


# -- what cannot be an item --


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "float cannot be indexed"),
        (Mood.UNHAPPY, "float cannot be indexed"),
        ([["a"]], "list cannot be indexed"),
        ({"a": 1}, "dict cannot be indexed"),
        (b"a", "bytes cannot be indexed"),
        ("\ud800", "lone surrogate"),
        (["a", "x" * (MAX_ITEM_SIZE + 1)], "may have at most 1,024 bytes, not 1,025; index a digest"),
        ("é" * (MAX_ITEM_SIZE // 2) + "x", "may have at most 1,024 bytes, not 1,025"),
        (2 ** (MAX_ITEM_SIZE * 4), "may have at most 4,096 bits"),
        (-(2 ** (MAX_ITEM_SIZE * 4)), "may have at most 4,096 bits"),
    ],
)
def test_a_value_that_cannot_be_indexed_is_refused_with_the_name_of_its_field(value: object, reason: str) -> None:
    with pytest.raises(InvalidSessionError, match=reason) as caught:
        own_keys({"anything": value}, [ANYTHING])

    assert caught.value.field == "anything"
    with (
        pytest.raises(InvalidArgumentError, match=f"value: .*{reason}")
        if not isinstance(value, list)
        else pytest.raises(InvalidArgumentError)
    ):
        ANYTHING.check_item(value)


@pytest.mark.parametrize("value", ["x" * MAX_ITEM_SIZE, "é" * (MAX_ITEM_SIZE // 2), 2 ** (MAX_ITEM_SIZE * 4) - 1])
def test_the_longest_items_are_accepted(value: Any) -> None:
    assert ANYTHING.keys_of(value) == (ANYTHING.key_of(ANYTHING.check_item(value)),)


def test_the_size_is_that_after_normalize() -> None:
    shorter, longer = normalized_by(lambda text: text[:5]), normalized_by(lambda text: text * 2)

    assert shorter.keys_of("x" * 5_000) == (shorter.key_of("xxxxx"),)
    with pytest.raises(ValueError, match="may have at most 1,024 bytes, not 1,026"):
        longer.keys_of("x" * (MAX_ITEM_SIZE // 2 + 1))


def fails(text: str) -> str:
    raise KeyError(text)


@pytest.mark.parametrize(
    ("normalize", "reason"),
    [
        (fails, "its `normalize` raised KeyError"),
        (lambda _: None, "its `normalize` must return a str, not NoneType"),
        (lambda _: b"x", "its `normalize` must return a str, not bytes"),
        (lambda _: "\ud800", "lone surrogate"),
    ],
)
def test_a_normalize_that_fails_refuses_the_session_and_the_query(normalize: Any, reason: str) -> None:
    field = normalized_by(normalize)
    with pytest.raises(InvalidSessionError, match=reason) as refused:
        own_keys({"note": "secret"}, [field])
    with pytest.raises(InvalidArgumentError, match=reason) as not_found:
        field.check_item("secret")

    assert (refused.value.field, not_found.value.argument) == ("note", "value")
    assert "secret" not in f"{refused.value}{not_found.value}"


class LoudText(str):
    """A text that `normalize` might return: it is stored as a plain one."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return b"loud"


def test_a_text_of_a_subclass_is_taken_as_a_plain_one() -> None:
    field = normalized_by(LoudText)

    assert field.keys_of("a") == field.keys_of(LoudText("a")) == (field.key_of("a"),)
    assert ANYTHING.keys_of(LoudText("a")) == ANYTHING.keys_of("a")


# -- queries --


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (EMAIL, 5, "must be an item of email: Input should be a valid string"),
        (NUMBER, -1, "must be an item of number: Input should be greater than or equal to 0"),
        (NUMBER, "many", "must be an item of number: Input should be a valid integer"),
        (TAGS, ["a"], "must be an item of tags: Input should be a valid string"),
        (ANYTHING, None, "must not be None"),
        (ANYTHING, 1.5, "float cannot be indexed"),
    ],
)
def test_a_query_takes_one_item_of_the_field(field: IndexedField, value: object, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        field.check_item(value)

    assert caught.value.argument == "value"
    assert reason in caught.value.reason


# -- declarations --


def test_a_declaration_within_a_type_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.email: Indexed\(\) must be around the whole type"):

        class Wrong(Session):
            email: Annotated[str, Indexed()] | None = None

    with pytest.raises(TypeError, match=r"AlsoWrong\.tags: Indexed\(\) must be around the whole type"):

        class AlsoWrong(Session):
            tags: list[Annotated[str, Indexed()]] = []


@pytest.mark.parametrize("kind", [float, dict[str, int], bytes, datetime, Decimal, StepVisit, list[float] | None])
def test_a_type_that_cannot_be_indexed_is_refused_when_the_class_is_made(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"Wrong\.value: .* cannot be indexed; index str, int, bool, UUID or an enum"):
        create_model("Wrong", __base__=Session, value=(Annotated[kind, Indexed()], ...))


def test_a_field_that_the_store_sets_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.revision: a field that the store sets cannot be indexed"):

        class Wrong(Session):
            revision: Annotated[int, Indexed()] = 0


def test_a_declaration_without_parentheses_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.email: Indexed\(\) must be"):

        class Wrong(Session):
            email: Annotated[str, Indexed] = ""


Labels = TypeAliasType("Labels", list[str])


class Aliased(Session):
    labels: Annotated[Labels | None, Indexed()] = None
    short: Annotated[Annotated[list[str], Field(max_length=5)] | None, Indexed()] = None


def test_aliases_and_constraints_are_looked_through() -> None:
    assert [field.check_item("a") for field in indexed_fields(Aliased)] == ["a", "a"]


class Early(Session):
    colour: Annotated[Colour, Indexed()]  # type: ignore[name-defined]  # noqa: F821  # not yet


def test_a_class_whose_annotations_were_not_defined_yet_is_indexed_later() -> None:
    """It is complete, and known with its indexes, as soon as it is used."""
    assert indexed_fields(Early) == ()
    globals()["Colour"] = StrEnum("Colour", ["RED"])
    known = KnownIndexes([Early])

    assert known.find("colour").check_item("red") == "red"


def test_classes_that_are_gone_leave_nothing() -> None:
    """Not even if what `normalize` refers to leads back to the class."""

    def made(number: int) -> Any:
        class Made(Session):
            pass

        fields: Any = {f"own_{number}": (Annotated[str, Indexed(normalize=lambda text: f"{text}{Made}")], "")}
        return create_model(f"Own{number}", __base__=Made, **fields)

    known = KnownIndexes()
    classes = [made(number) for number in range(5)]
    for cls in classes:
        known.add(cls)
    alive = [ref(cls) for cls in classes]
    del classes, cls
    gc.collect()
    known.add(IndexedSession)

    assert [one() for one in alive] == [None] * 5
    with pytest.raises(InvalidArgumentError, match=r"indexed are email, order_ids;"):
        known.find("own_1")


@pytest.mark.parametrize("normalize", ["casefold", 5, True])
def test_a_normalize_that_is_no_function_is_refused(normalize: Any) -> None:
    with pytest.raises(TypeError, match="normalize must be None or a function"):
        Indexed(normalize=normalize)


# -- which fields a store knows --


class OtherEmail(Session):
    email: Annotated[str | None, Indexed()] = None


class IntEmail(Session):
    email: Annotated[int, Indexed(normalize=str.casefold)] = 0


class SameEmail(Session):
    """Indexes the field as `Order` does, with another default."""

    email: Annotated[str | None, Indexed(normalize=str.casefold)] = "none"


@pytest.mark.parametrize("other", [OtherEmail, IntEmail])
def test_two_classes_that_index_a_field_in_different_ways_are_in_conflict(other: type[Session]) -> None:
    """The first is known all the same, and nothing of the second."""
    known = KnownIndexes([Order])
    with pytest.raises(InvalidSessionError, match=f"{other.__name__} and Order index it with different") as caught:
        known.add(other)
    with pytest.raises(InvalidArgumentError, match="session_classes: email: "):
        KnownIndexes([Order, other])

    assert caught.value.field == "email"
    assert known.find("email") is EMAIL


def test_classes_that_index_a_field_in_the_same_way_are_known_together() -> None:
    known = KnownIndexes([Order, SameEmail, Order, IndexedSession])

    assert known.find("email").is_like(field_of(SameEmail, "email"))
    assert known.find("order_ids").name == "order_ids"


def test_a_class_that_is_gone_is_in_conflict_with_none() -> None:
    class Temporary(Session):
        email: Annotated[int, Indexed()] = 0

    known = KnownIndexes()
    known.add(Temporary)
    assert known.find("email").is_like(field_of(Temporary, "email"))
    del Temporary
    gc.collect()

    with pytest.raises(InvalidArgumentError, match="nor any field"):
        known.find("email")
    known.add(Order)
    assert known.find("email").is_like(EMAIL)


@pytest.mark.parametrize("name", [None, 5, ["email"], Session])
def test_the_name_of_a_field_is_a_text(name: object) -> None:
    """The error does not show the value, which may be a session."""
    with pytest.raises(InvalidArgumentError, match=r"^field: must be the name of a field, not [A-Za-z]+$"):
        KnownIndexes([IndexedSession]).find(name)


@pytest.mark.parametrize("name", ["Email", "not_indexed", ""])
def test_a_field_that_no_known_class_indexes_is_not_found(name: str) -> None:
    """The error lists those that are."""
    with pytest.raises(
        InvalidArgumentError, match=r"no known class indexes .*; indexed are email, order_ids; give the classes"
    ) as caught:
        KnownIndexes([IndexedSession]).find(name)

    assert caught.value.argument == "field"
    with pytest.raises(InvalidArgumentError, match="give the classes that declare Indexed fields in session_classes"):
        KnownIndexes([Session]).find(name)


async def test_a_store_knows_a_class_from_its_first_save_on(store: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="field: no known class"):
        await store.count_by_field(TENANT, "email", "ann")
    await store.save(make_session(IndexedSession, email="Ann"))

    assert await store.count_by_field(TENANT, "email", "ANN") == 1


async def test_a_session_of_a_class_in_conflict_is_not_saved(store: Any) -> None:
    session = make_session(IndexedSession, email="Ann")
    await store.save(session)
    with pytest.raises(InvalidSessionError, match="email: OtherEmail and IndexedSession index it"):
        await store.save(make_session(OtherEmail, email="Ann"))

    assert await store.list_by_tenant(TENANT) == [session]
    assert await store.list_by_field(TENANT, "email", "ann") == [session]


async def test_a_store_in_memory_has_nothing_to_reindex(store: Any) -> None:
    """Each session was indexed by the class that it has."""
    await store.save(make_session(IndexedSession, email="Ann"))

    assert await store.reindex() == ReindexProgress(read=0, reindexed=0)
    assert await store.count_by_field(TENANT, "email", "ann") == 1


def test_a_store_refuses_classes_in_conflict() -> None:
    with pytest.raises(InvalidArgumentError, match="session_classes: email: OtherEmail and Order"):
        InMemorySessionStore(session_classes=[Order, OtherEmail])
