"""Law 6: accepted means kept. What could not come back equal is refused by name, and nothing changes."""

from __future__ import annotations

from datetime import date, timedelta, timezone
from itertools import repeat
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import InvalidSessionError, Session, StepVisit
from tests.support.builders import START, TENANT, TaggedSession, make_session, visit
from tests.support.refused_values import PLANTED, REFUSED
from tests.support.session_classes import (
    KEPT,
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


@pytest.mark.parametrize("name", KEPT)
async def test_json_values_come_back_equal(store: Any, name: str) -> None:
    session = make_session()
    session.variables["value"] = KEPT[name]
    await store.save(session)
    found = await store.get(session.session_id)

    assert found == session
    assert Session.model_validate_json(found.model_dump_json()) == session


@pytest.mark.parametrize("name", REFUSED)
async def test_a_value_that_json_would_change_is_refused_by_path(store: Any, name: str) -> None:
    """The error names the path and the remedy; the session in the store is as before."""
    value, path, reason = REFUSED[name]
    session = make_session()
    await store.save(session)
    saved = session.model_copy(deep=True)
    session.variables["value"] = value
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert (error.value.field, reason in error.value.reason) == (path, True), str(error.value)
    str(error.value).encode()
    assert error.value.__cause__ is None
    assert await store.get(session.session_id) == saved


@pytest.mark.parametrize("name", PLANTED)
async def test_planted_values_that_do_not_validate_are_refused(store: Any, name: str) -> None:
    """Values planted past validation, in place or by `model_construct`, are found by `save`."""
    field, value, path = PLANTED[name]
    session = make_session()
    await store.save(session)
    saved = session.model_copy(deep=True)
    vars(session)[field] = value
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert (error.value.field or "").startswith(path), str(error.value)
    assert vars(session)[field] is value
    assert await store.get(saved.session_id) == saved


@pytest.mark.parametrize("field", ["tenant_id", "step_history", "variables", "created_at"])
async def test_a_missing_field_is_refused_by_name(store: Any, field: str) -> None:
    session = Session.model_construct(**{key: value for key, value in make_session() if key != field})
    vars(session).pop(field, None)
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert error.value.field == field


@pytest.mark.parametrize("thing", [None, {"session_id": uuid4()}, StepVisit, object(), Session])
async def test_something_that_is_no_session_is_refused(store: Any, thing: Any) -> None:
    with pytest.raises(InvalidSessionError, match=r"save\(\) takes a sessiondex.Session, not") as error:
        await store.save(thing)
    assert error.value.field is None


async def test_a_session_that_was_never_initialised_is_refused(store: Any) -> None:
    with pytest.raises(InvalidSessionError):
        await store.save(Session.__new__(Session))


async def test_lax_values_that_come_back_equal_are_kept(store: Any) -> None:
    """Equal is what counts: True for 1 and a subclass of str for str load as their plain equals."""
    session = make_session()
    vars(session).update(turn_count=True, user_channel_id=session.channel)
    await store.save(session)
    found = await store.get(session.session_id)

    assert found == session
    assert (type(found.turn_count), type(found.user_channel_id)) == (int, str)


@pytest.mark.parametrize("field", ["created_at", "step_history", "variable_updated_at"])
@pytest.mark.parametrize(("seconds", "kept"), [(7200, True), (1172, False)])
async def test_planted_instants_of_other_zones(store: Any, field: str, seconds: int, *, kept: bool) -> None:
    """JSON keeps an offset of whole minutes, and cuts the seconds of any other."""
    instant = START.astimezone(timezone(timedelta(seconds=seconds)))
    session = make_session()
    vars(session)[field] = {
        "created_at": instant,
        "step_history": [visit().model_copy(update={"entered_at": instant})],
        "variable_updated_at": {"x": instant},
    }[field]
    if kept:
        await store.save(session)
        assert await store.get(session.session_id) == session
    else:
        with pytest.raises(InvalidSessionError, match=field):
            await store.save(session)


class Marked(StepVisit):
    """Nothing but another class: its fields would come back, it would not."""


@pytest.mark.parametrize("cls", [Rated, Marked])
async def test_a_visit_of_a_subclass_needs_a_session_that_declares_it(store: Any, cls: type[StepVisit]) -> None:
    session = make_session()
    session.step_history.append(cls(step_id=UUID(int=1), turn_number=1))
    with pytest.raises(InvalidSessionError, match="step_history"):
        await store.save(session)

    assert await store.get(session.session_id) is None


async def test_a_visit_of_a_declared_subclass_is_kept_there_and_nowhere_else(store: Any) -> None:
    """That the store knows a visit from a session of one class does not let it into a session of another."""
    declared = make_session(RatedSession, step_history=[Rated(step_id=UUID(int=1), turn_number=1, rating=5)])
    await store.save(declared)
    found = await store.get(declared.session_id)
    assert found == declared
    assert found.step_history[0].rating == 5

    with pytest.raises(InvalidSessionError, match="step_history"):
        await store.save(make_session(session_id=declared.session_id, step_history=found.step_history))
    assert await store.get(declared.session_id) == declared


def private() -> Private:
    session = make_session(Private)
    assert isinstance(session, Private)
    session._cache["a"] = 1
    return session


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: make_session(Secretive, secret="x"), "secret"),  # noqa: S106  # no password
        (lambda: make_session(Hashed, password="x"), "password"),  # noqa: S106  # no password
        (private, None),
        (lambda: make_session(Anything, thing={1, 2}), "thing"),
        (lambda: make_session(Anything, thing=float("nan")), "thing"),
        (lambda: make_session(Open, more=(1, 2)), None),
        (lambda: make_session(Broken, point=Point()), "point"),
    ],
    ids=["excluded", "not idempotent", "private", "a set for Any", "NaN for Any", "extra", "no JSON"],
)
async def test_a_value_that_a_subclass_would_lose_is_refused(store: Any, make: Any, path: str | None) -> None:
    """Users' classes are tried, not trusted: dumped, loaded and compared."""
    session = make()
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert error.value.field == path, str(error.value)
    assert await store.get(session.session_id) is None


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
async def test_a_value_that_a_subclass_keeps_is_accepted(store: Any, make: Any) -> None:
    session = make()
    await store.save(session)
    found = await store.get(session.session_id)

    assert type(found) is type(session)
    assert found == session
    assert found.tenant_id == TENANT


async def test_errors_show_no_content(store: Any) -> None:
    """Messages go to logs, so they hold paths and reasons, not what the customer said."""
    session = make_session()
    vars(session).update(turn_count="my password is hunter2")
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert "hunter2" not in f"{error.value!s} {error.value!r} {error.value.args} {error.value.__context__!r}"


class Endless(dict[str, Any]):
    """Of whose methods none comes to an end."""

    def __iter__(self) -> Any:
        return repeat("a")

    def values(self) -> Any:
        return [self]

    def items(self) -> Any:
        return repeat(("a", self))


class EndlessList(list[Any]):
    def __iter__(self) -> Any:
        return repeat(1)


class EqualNaN(float):
    """Says that it is equal to whatever it is compared with."""

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = float.__hash__


async def test_a_container_without_end_is_kept_as_what_it_holds(store: Any) -> None:
    """JSON is made of that, not of what its methods say."""
    for value, plain in ((Endless(a=1), {"a": 1}), (EndlessList([1, 2]), [1, 2])):
        session = make_session(variables={})
        session.variables["x"] = value
        await store.save(session)
        assert (await store.get(session.session_id)).variables == {"x": plain}


async def test_a_nan_that_lies_is_refused(store: Any) -> None:
    session = make_session(variables={"x": 1})
    session.variables["x"] = EqualNaN("nan")
    with pytest.raises(InvalidSessionError, match=r"variables\.x: NaN"):
        await store.save(session)
