"""The generated checks repeat the constraints of the models: they accept no value that the round trip refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from sessiondex import Channel, PendingMigration, Session, SessionStatus, StepVisit
from sessiondex.snapshots.compiled import MIGRATION_FORMS, SESSION_FORMS, VISIT_FORMS
from tests.support.builders import START, NotedSession, visit
from tests.support.exact_values import exact
from tests.support.sizes import search_size
from tests.support.snapshots import (
    ByRoundTrip,
    full_session,
    is_accepted_at_once,
    through_codec,
    verdict,
    with_class,
)
from tests.support.unusual_sessions import Id, Text


class Number(int):
    pass


class Level(IntEnum):
    LOW = 1


class Ratio(float):
    pass


class Dict(dict[Any, Any]):
    pass


class List(list[Any]):
    pass


class Instant(datetime):
    pass


class Visit(StepVisit):
    pass


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


ODD_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, 10**5000),
    *(Number(5), Level.LOW, 0.0, -0.0, 0.5, 1.0, 1.5, 1e308, float("nan"), float("inf"), Ratio(0.5), 1j, Decimal(1)),
    *("", "x", "a\0b", "é", "\ud800", "\U0001f600", Text("x"), "webchat", "closed", "1", str(UUID(int=1)), b"x"),
    *(bytearray(b"x"), memoryview(b"x"), UUID(int=0), UUID(int=2**128 - 1), Id(int=7)),
    *(Channel.SMS, SessionStatus.CLOSED, object(), int, frozenset({1}), {1}, (), (1, 2), ..., StopIteration),
    *(
        START,
        START.replace(tzinfo=None),
        START.astimezone(timezone(timedelta(hours=2))),
        datetime.max.replace(tzinfo=UTC),
    ),
    *(START.replace(fold=1), START.replace(tzinfo=UTC), START.astimezone(ZoneInfo("Europe/Lisbon"))),
    *(Instant(2026, 1, 1, tzinfo=UTC), START.date(), START.timetz(), START.isoformat()),
    *([], [1], ["x"], [0.5], [None], [visit()], [Visit(**vars(visit()))], (visit(),), [visit(), None], [{}], List([1])),
    *({}, {"a": 1}, {"a": -1}, {"a": True}, {"a": "x"}, {"a": 2**63}, {"\ud800": 1}, {1: 1}, {Text("x"): 1}),
    *({"a": START}, {"a": START.replace(tzinfo=None)}, {"a": Number(1)}, {"a": b"x"}, {"a": [(1,)]}, Dict(a=1)),
    *({"a": [Dict(a=1)]}, {"a": float("nan")}, {"a": nested(1, 30)}, {"a": nested(1, 40)}, {"a": nested(1, 196)}),
    visit(),
    full_session().pending_migration,
]
MISSING = object()


def with_value(session: Any, field: str, value: Any) -> Any:
    """Return the session with the value past validation: in `field`, or in a part for `part.field`."""
    part, _, name = field.rpartition(".")
    if not part:
        vars(session)[name] = value
        return session
    values = vars(session)["step_history"][-1] if part == "visit" else vars(session)["pending_migration"]
    changed = values.model_copy(update={name: value})
    if value is MISSING:
        del vars(changed)[name]
    vars(session).update({"pending_migration": changed} if part == "migration" else {"step_history": [changed]})
    return session


def accepted_values(cls: type[Session], field: str, values: list[Any]) -> list[Any]:
    """Return the values that the generated check accepts, each compared with the verdict of the round trip."""
    accepted = []
    for value in values:
        session = with_value(full_session(cls), field, value)
        if is_accepted_at_once(session):
            accepted.append(value)
            assert_round_trip_agrees(session, (field, value))
    return accepted


def assert_round_trip_agrees(session: Any, label: object) -> None:
    """Fail unless the round trip accepts the session, and both ways return values of the same types."""
    slow_class = ByRoundTrip if type(session) is Session else SLOW_CLASSES[type(session)]
    slow = verdict(with_class(slow_class, session))

    assert slow.error is None, (label, slow.error)
    assert slow.values == verdict(session).values, label
    assert through_codec(session) == session, label


SESSION_SET_BY_STORE = {"last_activity_at", "revision"}
OWN_FIELDS = [
    *(name for name in Session.model_fields if name not in SESSION_SET_BY_STORE),
    *(f"visit.{name}" for name in StepVisit.model_fields),
    *(f"migration.{name}" for name in PendingMigration.model_fields),
]


@pytest.mark.parametrize("field", OWN_FIELDS)
def test_odd_values_in_each_field(field: str) -> None:
    """The generated check accepts a value only if the round trip does, with an equal result."""
    accepted = accepted_values(Session, field, ODD_VALUES)

    assert 0 < len(accepted) < len(ODD_VALUES) / 2


class AddedFields(Session):
    """Has a field of each type that a plain class may add."""

    number: int = 0
    ratio: float = 0.0
    is_new: bool = False
    nothing: None = None
    name: str = ""
    nickname: str | None = None
    order: UUID = UUID(int=0)
    link: UUID | None = None
    anything: JsonValue = None
    maybe: JsonValue | None = None
    scores: list[float] = []
    flags: list[bool] | None = None
    notes: dict[str, list[JsonValue]] = {}
    counts: dict[str, int | None] = {}


class AddedByRoundTrip(AddedFields, validate_default=True):
    pass


class NotedByRoundTrip(NotedSession, validate_default=True):
    pass


SLOW_CLASSES: dict[type[Session], type[Session]] = {AddedFields: AddedByRoundTrip, NotedSession: NotedByRoundTrip}
ADDED = [name for name in AddedFields.model_fields if name not in Session.model_fields]


@pytest.mark.parametrize("field", ADDED)
def test_odd_values_in_each_field_that_a_plain_class_adds(field: str) -> None:
    """The types of elements count too: a list of floats holds no integer and no NaN."""
    accepted = accepted_values(AddedFields, field, ODD_VALUES)

    assert 0 < len(accepted) < len(ODD_VALUES)


@pytest.mark.parametrize(
    ("field", "accepted", "refused"),
    [
        ("scores", [1.0, 2.5], [1.0, 2]),
        ("scores", [], [1.0, float("nan")]),
        ("flags", [True], [1]),
        ("flags", None, [None]),
        ("notes", {"a": [1, {"b": []}]}, {"a": [(1,)]}),
        ("notes", {}, {"a": 1}),
        ("counts", {"a": None, "b": 1}, {"a": True}),
        ("counts", {"é": 1}, {"\ud800": 1}),
        ("anything", [1, "x", None], [1, b"x"]),
        ("name", "é", "\ud800"),
    ],
)
def test_elements_of_added_fields(field: str, accepted: Any, refused: Any) -> None:
    assert is_accepted_at_once(with_value(full_session(AddedFields), field, accepted))
    assert not is_accepted_at_once(with_value(full_session(AddedFields), field, refused))


@pytest.mark.parametrize("field", [name for name in OWN_FIELDS if "." in name])
def test_a_missing_value_in_a_visit_or_migration(field: str) -> None:
    """Validation would add the default, so the session would not come back equal."""
    assert not is_accepted_at_once(with_value(full_session(), field, MISSING))


@pytest.mark.parametrize(
    ("cls", "forms"), [(Session, SESSION_FORMS), (StepVisit, VISIT_FORMS), (PendingMigration, MIGRATION_FORMS)]
)
def test_every_field_has_a_form(cls: Any, forms: dict[str, Any]) -> None:
    """A field that is added to a model needs a form here and a case in this file."""
    assert list(forms) == list(cls.model_fields)


def test_subclasses_of_visits_and_migrations_are_in_doubt() -> None:
    class Migration(PendingMigration):
        pass

    session = full_session()
    session.step_history.append(Visit(**vars(visit())))
    assert not is_accepted_at_once(session)

    session = full_session()
    vars(session)["pending_migration"] = Migration(**vars(session.pending_migration))
    assert not is_accepted_at_once(session)


def test_an_unset_or_unknown_attribute_is_in_doubt() -> None:
    session = full_session()
    vars(session)["nickname"] = "x"
    assert not is_accepted_at_once(session)

    del vars(session)["nickname"], vars(session)["turn_count"]
    assert not is_accepted_at_once(session)


HOSTILE = st.recursive(
    st.sampled_from([value for value in ODD_VALUES if not isinstance(value, dict | list | int)])
    | st.sampled_from([4_299, 4_300, 5_000]).map(lambda digits: 10**digits)
    | st.sampled_from([True, Number(5), Level.LOW, 2**63, -(2**63) - 1])
    | st.integers()
    | st.floats()
    | st.text(st.characters())  # surrogates too
    | st.binary(max_size=3)
    | st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=2))])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters(), max_size=3) | st.integers(), inner, max_size=3)
        | inner.map(lambda value: nested(value, 196))
    ),
    max_leaves=6,
)


@pytest.mark.search
@settings(max_examples=search_size(1_600))
@given(st.sampled_from([*OWN_FIELDS, *ADDED]), HOSTILE, st.booleans())
def test_any_value_anywhere(field: str, value: Any, inside: bool) -> None:
    """In a field, or inside the list or dict that stands there: what is accepted at once survives the round trip."""
    session = full_session(AddedFields)
    container = None if "." in field else vars(session)[field]
    if inside and isinstance(container, dict):
        container["planted"] = value
    elif inside and isinstance(container, list):
        container.append(value)
    else:
        with_value(session, field, value)
    if is_accepted_at_once(session):
        assert_round_trip_agrees(session, (field, value))
    elif (found := verdict(session)).error is None:
        assert found.values == verdict(with_class(AddedByRoundTrip, session)).values


@pytest.mark.search
@settings(max_examples=search_size(400))
@given(st.dictionaries(st.text(max_size=3), HOSTILE, max_size=3))
def test_any_variables(variables: dict[str, Any]) -> None:
    session = with_value(full_session(), "variables", variables)
    if is_accepted_at_once(session):
        assert_round_trip_agrees(session, variables)
        assert exact(through_codec(session).variables) == exact(variables)
