"""Accepted means stored: a session that would not come back equal is refused, with the field and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import repeat
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest

from sessiondex import InvalidSessionError, PendingMigration, Session, StepVisit
from tests.support.builders import START, make_session, visit
from tests.support.exact_values import exact
from tests.support.session_classes import (
    KEPT,
    nested,
)
from tests.support.snapshots import ByRoundTrip, make_codec, refusal, through_codec

SURROGATE = "\ud800"
NAIVE = datetime(2026, 1, 1)


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


@dataclass(eq=False)
class Money:
    """Compares equal to the dict that JSON makes of it."""

    amount: int = 1

    def __eq__(self, other: object) -> bool:
        return other == {"amount": self.amount} or (isinstance(other, Money) and other.amount == self.amount)

    __hash__ = None  # type: ignore[assignment]  # as Python has it


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
def test_an_object_that_equals_its_json_form_is_refused(cls: type[Session]) -> None:
    """It would come back as a dict."""
    session = make_session(cls)
    session.variables["price"] = Money()

    assert refusal(session).field == "variables.price"
