"""Accepted means stored: a session that would not come back equal is refused, with the field and the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone
from itertools import repeat
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
from pydantic import Field

from sessiondex import InvalidSessionError, Session, StepVisit
from tests.support.builders import START, make_session, visit
from tests.support.exact_values import exact
from tests.support.refused_values import NAIVE, PLANTED, REFUSED
from tests.support.session_classes import (
    KEPT,
    Secretive,
)
from tests.support.snapshots import ByRoundTrip, make_codec, refusal, through_codec


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
@pytest.mark.parametrize("name", KEPT)
def test_json_values_come_back_equal(name: str, cls: type[Session]) -> None:
    session = make_session(cls)
    session.variables["value"] = KEPT[name]
    found = through_codec(session)

    assert found == session
    assert cls.model_validate_json(found.model_dump_json()) == session


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_json_would_change_is_refused_by_path(name: str, cls: type[Session]) -> None:
    value, path, reason = REFUSED[name]
    session = make_session(cls)
    session.variables["value"] = value
    error = refusal(session)

    assert (error.field, reason in error.reason) == (path, True), str(error)


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


def test_a_forgotten_await_is_named() -> None:
    async def get() -> None:
        return None

    forgotten: Any = get()
    with pytest.raises(InvalidSessionError, match=r"not coroutine; await it$"):
        make_codec().prepare(forgotten)
    forgotten.close()


class SecretRequired(Session):
    secret: str = Field(exclude=True)


@pytest.mark.parametrize("cls", [Secretive, SecretRequired])
def test_a_field_that_its_declaration_leaves_out_of_json_is_refused_with_the_reason(cls: type[Session]) -> None:
    with pytest.raises(InvalidSessionError, match=r"^secret: JSON leaves it out, since it is declared with `exclude`"):
        make_codec().prepare(make_session(cls, secret="x"))  # noqa: S106  # no password


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
