"""Sessions of subclasses are stored if they come back equal, else refused by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import AfterValidator, BaseModel, create_model

from sessiondex import Session, StepVisit
from tests.support.builders import NotedSession, TaggedSession, make_session, visit
from tests.support.session_classes import (
    Anything,
    Broken,
    Hashed,
    Open,
    Point,
    Private,
    Rated,
    RatedSession,
    Renamed,
    Rich,
    Secretive,
)
from tests.support.snapshots import refusal, through_codec


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
        ("channel", int, 5),
        ("channel", str, "x" * 65),
        ("customer_profile_id", UUID | str | None, "ann"),
        ("active_scenario_version", str, "v1"),
        ("active_scenario_version", str, "1"),
        ("created_at", datetime, datetime(2026, 1, 1)),
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
