"""Accepted means stored: a session that would not come back equal is refused, with the field and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import repeat
from typing import Annotated, Any
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
from pydantic import AfterValidator, BaseModel, PrivateAttr, create_model, field_validator

from sessiondex import InvalidSessionError, PendingMigration, Session, StepVisit
from tests.support.builders import START, NotedSession, TaggedSession, make_session, visit
from tests.support.exact_values import exact
from tests.support.session_classes import (
    KEPT,
    Anything,
    Broken,
    Point,
    Rated,
    RatedSession,
    Renamed,
    Rich,
    Secretive,
    nested,
)
from tests.support.snapshots import ByRoundTrip, make_codec, through_codec

SURROGATE = "\ud800"
NAIVE = datetime(2026, 1, 1)


def refusal(session: Any) -> InvalidSessionError:
    """Return the error of the codec, and check that the session is as before."""
    before = {name: id(value) for name, value in vars(session).items()}
    with pytest.raises(InvalidSessionError) as error:
        make_codec().prepare(session)
    assert {name: id(value) for name, value in vars(session).items()} == before
    str(error.value).encode()
    assert error.value.__cause__ is None
    return error.value


def circular() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
@pytest.mark.parametrize("name", KEPT)
def test_json_values_come_back_equal(name: str, cls: type[Session]) -> None:
    session = make_session(cls)
    session.variables["value"] = KEPT[name]
    found = through_codec(session)

    assert found == session
    assert cls.model_validate_json(found.model_dump_json()) == session


REFUSED: dict[str, tuple[Any, str, str]] = {
    "not a number": (float("nan"), "variables.value", "NaN"),
    "infinity": ([1, {"a": float("-inf")}], "variables.value.1.a", "infinity"),
    "surrogate": ({"a": ["x" + SURROGATE]}, "variables.value.a.0", "surrogate"),
    "surrogate in a key": ({SURROGATE: 1}, r"variables.value.\ud800", "surrogate"),
    "integer key": ({1: "a", "1": "b"}, "variables.value", "keys must be strings, not int"),
    "tuple": ((1, 2), "variables.value", "tuple is not a JSON value"),
    "set": ({1}, "variables.value", "set is not a JSON value"),
    "bytes": ([b"x"], "variables.value.0", "bytes is not a JSON value"),
    "datetime": (START, "variables.value", "datetime is not a JSON value"),
    "uuid": (uuid4(), "variables.value", "UUID is not a JSON value"),
    "decimal": (Decimal(1), "variables.value", "Decimal is not a JSON value"),
    "nested too deeply": (nested(250), "variables.value.0.0.0.0.0.0...", "nested too deeply"),
    "nested without end": (nested(100_000), "variables.value.0.0.0.0.0.0...", "nested too deeply"),
    "circular": (circular(), "variables.value.0.0.0.0.0.0...", "contains itself"),
    "5,000 digits": (10**5000, "variables.value", "more digits"),
}


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_json_would_change_is_refused_by_path(name: str, cls: type[Session]) -> None:
    value, path, reason = REFUSED[name]
    session = make_session(cls)
    session.variables["value"] = value
    error = refusal(session)

    assert (error.field, reason in error.reason) == (path, True), str(error)


PLANTED: dict[str, tuple[str, Any, str]] = {
    "naive datetime": ("created_at", NAIVE, "created_at"),
    "no datetime": ("created_at", "yesterday", "created_at"),
    "beyond the calendar in UTC": (
        "created_at",
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
        "created_at",
    ),
    "number as text": ("turn_count", "5", "turn_count"),
    "negative count": ("turn_count", -1, "turn_count"),
    "huge count": ("turn_count", 10**5000, "turn_count"),
    "id as text": ("agent_id", str(uuid4()), "agent_id"),
    "session id as text": ("session_id", str(uuid4()), "session_id"),
    "no id": ("agent_id", None, "agent_id"),
    "unknown channel": ("channel", "fax", "channel"),
    "unknown status": ("status", None, "status"),
    "empty user": ("user_channel_id", "", "user_channel_id"),
    "NUL in user": ("user_channel_id", "a\0", "user_channel_id"),
    "surrogate in user": ("user_channel_id", SURROGATE, "user_channel_id"),
    "surrogate in text": ("scenario_checksum", SURROGATE, "scenario_checksum"),
    "surrogate in a count's key": ("rule_fires", {SURROGATE: 1}, r"rule_fires.\ud800"),
    "integer key": ("rule_fires", {1: 1}, "rule_fires"),
    "wrong value in a dict": ("rule_fires", {"r": "many"}, "rule_fires.r"),
    "variables no dict": ("variables", [("a", 1)], "variables"),
    "history no list": ("step_history", (visit(),), "step_history"),
    "visit as dict": ("step_history", [visit().model_dump()], "step_history"),
    "invalid visit": ("step_history", [visit(), StepVisit.model_construct(step_id="x")], "step_history.1"),
    "visit out of range": (
        "step_history",
        [visit().model_copy(update={"confidence": 7.0})],
        "step_history.0.confidence",
    ),
    "visit with surrogate": ("step_history", [visit().model_copy(update={"step_name": SURROGATE})], "step_history"),
    "visit with naive time": ("step_history", [visit().model_copy(update={"entered_at": NAIVE})], "step_history.0"),
    "visit that cannot be dumped": (
        "step_history",
        [visit().model_copy(update={"step_name": b"\xff"})],
        "step_history",
    ),
    "invalid migration": (
        "pending_migration",
        PendingMigration.model_construct(target_version="x"),
        "pending_migration",
    ),
}


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
@pytest.mark.parametrize("name", PLANTED)
def test_a_value_planted_past_validation_is_refused(name: str, cls: type[Session]) -> None:
    field, value, path = PLANTED[name]
    session = make_session(cls)
    vars(session)[field] = value
    error = refusal(session)

    assert (error.field or "").startswith(path), str(error)


@pytest.mark.parametrize("field", ["tenant_id", "step_history", "variables", "created_at"])
def test_a_missing_field_is_refused_by_name(field: str) -> None:
    session = make_session()
    del vars(session)[field]

    assert refusal(session).field == field


@pytest.mark.parametrize("field", ["last_activity_at", "revision"])
@pytest.mark.parametrize("value", [None, "x", -1, NAIVE])
@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
def test_stamp_and_revision_of_the_given_session_do_not_matter(cls: type[Session], field: str, value: Any) -> None:
    """The store sets them."""
    session = make_session(cls)
    vars(session)[field] = value

    assert exact(vars(through_codec(session))[field]) == exact(value)
    assert make_codec().prepare(session).session_id == session.session_id


@pytest.mark.parametrize("thing", [None, {"session_id": uuid4()}, StepVisit, object(), Session, visit()])
def test_an_object_that_is_no_session_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidSessionError, match=r"save\(\) takes a sessiondex.Session, not") as error:
        make_codec().prepare(thing)
    assert error.value.field is None


def test_a_mock_of_a_session_is_refused() -> None:
    with pytest.raises(InvalidSessionError, match=r"takes a sessiondex\.Session, not Mock"):
        make_codec().prepare(Mock(spec=Session))


def test_a_session_that_was_never_initialised_is_refused() -> None:
    with pytest.raises(InvalidSessionError):
        make_codec().prepare(Session.__new__(Session))


def test_an_attribute_that_is_no_field_is_refused() -> None:
    """`model_copy` accepts any name, and the value would be lost."""
    error = refusal(make_session().model_copy(update={"nickname": "x"}))

    assert (error.field, "is no field" in error.reason) == ("nickname", True)


def test_an_attribute_whose_name_is_no_text_is_refused() -> None:
    session: Any = make_session()
    vars(session)[1] = "stray"

    assert refusal(session).field == "1"


def test_lax_values_that_come_back_equal_are_accepted() -> None:
    """`True` for 1 and a subclass of str for str load as their plain equals."""
    session = make_session()
    vars(session).update(turn_count=True, user_channel_id=session.channel)
    found = through_codec(session)

    assert found == session
    assert (type(found.turn_count), type(found.user_channel_id)) == (int, str)


@pytest.mark.parametrize("field", ["created_at", "step_history", "variable_updated_at"])
@pytest.mark.parametrize(("seconds", "is_kept"), [(7200, True), (1172, False)])
def test_datetimes_of_other_zones(field: str, seconds: int, *, is_kept: bool) -> None:
    """JSON keeps an offset of whole minutes, and cuts the seconds of any other."""
    instant = START.astimezone(timezone(timedelta(seconds=seconds)))
    session = make_session()
    vars(session)[field] = {
        "created_at": instant,
        "step_history": [visit().model_copy(update={"entered_at": instant})],
        "variable_updated_at": {"x": instant},
    }[field]
    if is_kept:
        assert through_codec(session) == session
    else:
        assert (refusal(session).field or "").startswith(field)


class Marked(StepVisit):
    """Has the fields of a visit, and another class."""


@pytest.mark.parametrize("cls", [Rated, Marked])
def test_a_visit_of_a_subclass_needs_a_session_that_declares_it(cls: type[StepVisit]) -> None:
    session = make_session()
    session.step_history.append(cls(step_id=UUID(int=1), turn_number=1))

    assert (refusal(session).field or "").startswith("step_history")


def test_a_visit_of_a_declared_subclass_is_accepted_there_and_nowhere_else() -> None:
    declared = make_session(RatedSession, step_history=[Rated(step_id=UUID(int=1), turn_number=1, rating=5)])
    found = through_codec(declared)
    assert found == declared
    assert found.step_history[0].rating == 5

    assert (refusal(make_session(step_history=found.step_history)).field or "").startswith("step_history")


def test_a_visit_with_a_missing_field_is_refused() -> None:
    """Loading would fill in the default."""
    changed = visit(is_checkpoint=True)
    del vars(changed)["is_checkpoint"]

    assert (refusal(make_session(step_history=[changed])).field or "").startswith("step_history")


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


class Handle(str):
    __slots__ = ()

    def __deepcopy__(self, memo: Any) -> Handle:
        raise TypeError("a handle cannot be copied")


class Handled(Session):
    handle: Annotated[str, AfterValidator(Handle)] = Handle("")


class Counting(BaseModel):
    def model_post_init(self, _: Any) -> None:
        self.__dict__["turn_count"] = self.__dict__.get("turn_count", 0) + 1


class CountingSession(Session, Counting):
    pass


class WithAny(Session):
    thing: Any = None


def private() -> Any:
    session: Any = make_session(Private)
    session._cache["a"] = 1
    return session


def large_score() -> Any:
    session = make_session(NotedSession)
    session.scores.append(2**60 + 1)
    return session


LOST: dict[str, tuple[Callable[[], Any], str | None]] = {
    "excluded": (lambda: make_session(Secretive, secret="x"), "secret"),  # noqa: S106  # no password
    "not idempotent": (lambda: make_session(Hashed, password="x"), "password"),  # noqa: S106  # no password
    "private": (private, None),
    "a set for Any": (lambda: make_session(Anything, thing={1, 2}), "thing"),
    "NaN for Any": (lambda: make_session(Anything, thing=float("nan")), "thing"),
    "extra": (lambda: make_session(Open, more=(1, 2)), None),
    "no JSON": (lambda: make_session(Broken, point=Point()), "point"),
    "not copyable": (lambda: make_session(Handled, handle="x"), "handle"),
    "a hook of another base": (lambda: make_session(CountingSession), "turn_count"),
    "an integer that no float holds": (large_score, "scores"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_value_that_a_subclass_would_lose_is_refused(name: str) -> None:
    """Users' classes are tried: dumped, loaded and compared."""
    make, path = LOST[name]

    assert (refusal(make()).field or "").split(".")[0] == (path or "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_session(Secretive),
        lambda: make_session(Private),
        lambda: make_session(Anything, thing={"a": [1]}),
        lambda: make_session(Open, more={"a": [1]}),
        lambda: make_session(Broken),
        lambda: make_session(Renamed, LOUD="x"),
        lambda: make_session(Rich, child={"day": date(2026, 1, 1), "price": "1.10"}, tags={"a"}),
        lambda: make_session(TaggedSession, tags={"a", "b"}),
    ],
)
def test_a_value_that_a_subclass_would_not_lose_is_accepted(make: Callable[[], Any]) -> None:
    session = make()
    found = through_codec(session)

    assert type(found) is type(session)
    assert found == session


def widened(field: str, annotation: Any) -> type[Session]:
    fields: dict[str, Any] = {field: (annotation, ...)}
    return create_model("Widened", __base__=Session, **fields)


@pytest.mark.parametrize(
    ("field", "annotation", "value"),
    [
        ("session_id", str, "s1"),
        ("session_id", str, str(UUID(int=1))),
        ("agent_id", UUID | str, "bot"),
        ("channel", str, "fax"),
        ("customer_profile_id", UUID | str | None, "ann"),
        ("active_scenario_version", str, "v1"),
        ("active_scenario_version", str, "1"),
        ("created_at", datetime, NAIVE),
        ("step_history", list[dict[str, int]], [{"a": 1}]),
    ],
)
def test_a_widened_field_is_refused_by_name(field: str, annotation: Any, value: Any) -> None:
    """Indexes and queries could not use the value."""
    error = refusal(make_session(widened(field, annotation), **{field: value}))

    assert (error.field or "").split(".")[0] == field


def test_the_error_names_the_wrong_field_not_a_strict_one() -> None:
    """Strict validation refuses a str key for `dict[int, str]`, which JSON handles."""

    class Numbered(Session):
        numbered: dict[int, str] = {}

    session = make_session(Numbered, numbered={1: "a"})
    assert through_codec(session) == session
    vars(session)["turn_count"] = "five"

    assert refusal(session).field == "turn_count"


def test_errors_show_no_content() -> None:
    """Messages go to logs, so they hold paths and reasons, not what the customer said."""
    session = make_session()
    vars(session).update(turn_count="my password is hunter2")
    error = refusal(session)

    assert "hunter2" not in f"{error!s} {error!r} {error.args} {error.__context__!r}"


class Endless(dict[str, Any]):
    """Overrides methods that JSON does not use."""

    def __iter__(self) -> Any:
        return repeat("a")

    def items(self) -> Any:
        return repeat(("a", self))


def test_a_container_that_overrides_iteration_is_stored_by_its_contents() -> None:
    session = make_session(variables={})
    session.variables["x"] = Endless(a=1)

    assert exact(through_codec(session).variables) == exact({"x": {"a": 1}})
