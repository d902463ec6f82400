"""Law 10: subclasses survive, also odd ones; what cannot be kept or indexed is refused by both stores alike."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from unittest.mock import Mock
from uuid import UUID, uuid4

import pytest
from pydantic import (
    AfterValidator,
)

from sessiondex import (
    Channel,
    InvalidArgumentError,
    InvalidSessionError,
    ScopeFilter,
    Session,
    SessionStatus,
)
from tests.support.builders import AGENT, SCENARIO, TENANT, NotedSession, at_step, make_session, visit
from tests.support.session_classes import (
    Bare,
    ByHash,
    CachedByValidator,
    Chained,
    Constructed,
    Drawing,
    EnumValues,
    OddVisits,
    OnlyWebchat,
    Shape,
    Split,
)


async def test_a_visit_that_calls_itself_equal_moves_with_its_hash(store: Any) -> None:
    """Index keys are computed from plain values, also where a subclass of the user returns others."""
    step_id = UUID(int=5)
    session = at_step(cls=OddVisits, step_history=[ByHash(step_id=step_id, turn_number=1, step_content_hash="h1")])
    await store.save(session)
    session.step_history = [ByHash(step_id=step_id, turn_number=1, step_content_hash="h2")]
    await store.save(session)

    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h1") == []
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h2") == [session]


async def test_enums_kept_as_their_values_are_found(store: Any) -> None:
    session = at_step(cls=EnumValues)
    session.status = "active"
    await store.save(session)

    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == [session]
    scope = ScopeFilter(include_channels=[Channel.WEBCHAT])
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1", scope) == [session]
    assert await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE) == [session]
    assert await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1") == session


async def test_fields_may_be_narrowed(store: Any) -> None:
    session = make_session(OnlyWebchat)
    await store.save(session)

    assert await store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1") == session


def widened(field: str, annotation: Any) -> type[Session]:
    return type("Widened", (Session,), {"__annotations__": {field: annotation}})


@pytest.mark.parametrize(
    ("field", "annotation", "value"),
    [
        ("session_id", str, "s1"),
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
async def test_a_widened_field_is_refused_by_name(store: Any, field: str, annotation: Any, value: Any) -> None:
    """An index would not know what to make of it, and the stores would not agree."""
    session = make_session(widened(field, annotation), **{field: value})
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert (error.value.field or "").split(".")[0] == field
    assert await store.list_by_agent(TENANT, AGENT) == []


class Poly(Shape):
    points: list[int] = [1]


@pytest.mark.parametrize(
    ("make", "container"),
    [
        (lambda: make_session(Split, tags="a,b"), lambda session: session.tags),
        (lambda: make_session(CachedByValidator), lambda session: session.words),
        (lambda: make_session(Drawing), lambda session: session.shape.names),
    ],
    ids=["made by a validator", "cached by a validator", "cached in a frozen model"],
)
async def test_nothing_mutable_is_shared_whatever_the_annotation_says(
    store: Any, make: Callable[[], Any], container: Callable[[Any], list[Any]]
) -> None:
    session = make()
    await store.save(session)
    container(session).append("spoilt")
    container(await store.get(session.session_id)).append("spoilt")

    assert "spoilt" not in container(await store.get(session.session_id))


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_session(Chained, node={"next": {"names": ["a"]}}),
        lambda: make_session(Bare, any_list=[[1]], any_dict={"a": [1]}, plain_list=[1]),
        lambda: make_session(Constructed),
    ],
    ids=["recursive", "bare generics", "__new__"],
)
async def test_odd_declarations_are_kept(store: Any, make: Callable[[], Any]) -> None:
    session = make()
    await store.save(session)

    assert await store.get(session.session_id) == session


class Handle(str):
    __slots__ = ()

    def __deepcopy__(self, memo: Any) -> Handle:
        raise TypeError("a handle cannot be copied")


class Handled(Session):
    handle: Annotated[str, AfterValidator(Handle)] = Handle("")


async def test_a_session_that_cannot_be_copied_is_refused(store: Any) -> None:
    """It would be stored and never read again."""
    session = make_session(Handled, handle="x")
    with pytest.raises(InvalidSessionError):
        await store.save(session)

    assert await store.get(session.session_id) is None


async def test_an_integer_that_no_float_holds_is_refused_in_a_float_field(store: Any) -> None:
    session = make_session(NotedSession)
    session.scores.append(2**60 + 1)
    with pytest.raises(InvalidSessionError, match="scores"):
        await store.save(session)


async def test_a_mock_of_a_session_is_no_session(store: Any) -> None:
    with pytest.raises(InvalidSessionError, match=r"takes a sessiondex\.Session, not Mock"):
        await store.save(Mock(spec=Session))


async def test_a_session_with_a_frozen_set_of_set_fields_is_stamped(store: Any) -> None:
    """Nothing that can fail comes after the change."""
    given = make_session()
    session = Session.model_construct(_fields_set=frozenset(vars(given)), **vars(given))  # type: ignore[arg-type]
    await store.save(session)

    assert await store.get(session.session_id) == session


async def test_a_visit_with_a_missing_field_is_refused(store: Any) -> None:
    """It would be filled with the default, and no longer be equal, once it has been through JSON."""
    unsound = visit(is_checkpoint=True)
    del vars(unsound)["is_checkpoint"]
    session = make_session()
    session.step_history.append(unsound)
    with pytest.raises(InvalidSessionError, match="step_history"):
        await store.save(session)


async def test_the_error_names_the_field_at_fault_not_an_innocent_one(store: Any) -> None:
    class Numbered(Session):
        numbered: dict[int, str] = {}

    session = make_session(Numbered, numbered={1: "a"})
    await store.save(session)
    vars(session)["turn_count"] = "five"
    with pytest.raises(InvalidSessionError) as error:
        await store.save(session)

    assert error.value.field == "turn_count"


async def test_huge_arguments_find_what_there_is(store: Any) -> None:
    session = at_step()
    await store.save(session)

    assert await store.list_by_agent(TENANT, AGENT, limit=sys.maxsize + 1) == [session]
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 10**5000, "hash-1") == []


async def test_a_scope_filter_that_skipped_validation_is_refused(store: Any) -> None:
    scope = ScopeFilter(max_session_age_days=1).model_copy(update={"max_session_age_days": "seven"})
    with pytest.raises(InvalidArgumentError, match="scope_filter: max_session_age_days"):
        await store.find_sessions_by_step_hash(uuid4(), uuid4(), 1, "h", scope)
