"""Sessions of plain classes as bytes: what was packed is what is unpacked, of the very same types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, create_model

from sessiondex import PendingMigration, Session, StepVisit
from sessiondex.copying import is_plain_class
from sessiondex.packing import SOUND, compiled_packing, sound
from sessiondex.records import Records
from sessiondex.testing import strategies as some
from tests.support.builders import START, make_session, visit
from tests.support.exact_values import exact
from tests.support.unusual_sessions import ODD, Text


class Everything(Session):
    """A field of each kind that a plain class may add."""

    number: int = 0
    ratio: float = 0.0
    is_new: bool = False
    name: str | None = None
    order: UUID = UUID(int=0)
    link: UUID | None = None
    anything: JsonValue = None
    scores: list[float] = []
    notes: dict[str, list[JsonValue]] = {}


def unpacked(session: Session) -> Session:
    packing = compiled_packing(type(session), set(type(session).model_fields))
    return packing.unpack(packing.pack(session))


instants = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters(codec="utf-8"), max_size=5)
full_visits = st.builds(
    StepVisit,
    step_id=st.uuids(),
    step_name=st.none() | texts,
    entered_at=instants,
    turn_number=st.integers(0, 2**63 - 1),
    transition_reason=st.none() | texts,
    confidence=st.floats(0, 1),
    is_checkpoint=st.booleans(),
    checkpoint_description=st.none() | texts,
    step_content_hash=st.none() | texts,
)
full_migrations = st.builds(
    PendingMigration,
    target_version=st.integers(0, 2**63 - 1),
    anchor_content_hash=texts,
    migration_plan_id=st.uuids(),
    marked_at=instants,
)
everything = st.builds(
    make_session,
    st.just(Everything),
    session_id=st.uuids(),
    customer_profile_id=st.none() | st.uuids(),
    active_scenario_id=st.none() | st.uuids(),
    active_step_id=st.none() | st.uuids(),
    active_scenario_version=st.none() | st.integers(0, 2**63 - 1),
    user_channel_id=texts.filter(lambda text: text and "\0" not in text),
    channel=some.channels,
    status=some.statuses,
    step_history=st.lists(full_visits, max_size=3),
    pending_migration=st.none() | full_migrations,
    rule_fires=st.dictionaries(texts, st.integers(0, 2**63 - 1), max_size=2),
    variables=st.dictionaries(texts, some.json_values, max_size=3),
    variable_updated_at=st.dictionaries(texts, instants, max_size=2),
    scenario_checksum=st.none() | texts,
    created_at=instants,
    last_activity_at=instants,
    number=st.integers(),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    is_new=st.booleans(),
    name=st.none() | texts,
    order=st.uuids(),
    link=st.none() | st.uuids(),
    anything=some.json_values,
    scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    notes=st.dictionaries(texts, st.lists(some.json_values, max_size=2), max_size=2),
)


@given(everything)
def test_what_is_packed_is_unpacked_the_same(session: Session) -> None:
    """Every field, of every kind, at every extreme."""
    assert is_plain_class(Everything)
    assert exact(unpacked(session)) == exact(session)


PLAIN = {name: make for name, make in ODD.items() if is_plain_class(type(make()))}


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_snapshots_of_odd_values_are_unpacked_the_same(make: Callable[[], Any]) -> None:
    """Also those that went the long way, for the sake of their values."""
    session = make()
    snapshot = Records().snapshot(session, session.last_activity_at, revision=0).snapshot

    assert exact(unpacked(snapshot)) == exact(snapshot)


@pytest.mark.parametrize("field", ["user_channel_id", "scenario_checksum", "variables"])
def test_a_string_that_is_more_than_one_is_refused(field: str) -> None:
    """It would be unpacked as less than it was."""
    session = make_session(Everything)
    if field == "variables":
        session.variables["note"] = Text("x")
    else:
        vars(session)[field] = Text("x")
    with pytest.raises(ValueError, match="unmarshallable"):
        unpacked(session)


def test_all_fields_count_as_set_and_the_set_is_nobody_elses() -> None:
    all_set = set(Session.model_fields)
    packing = compiled_packing(Session, all_set)
    packed = packing.pack(make_session())
    found = packing.unpack(packed)
    assert found.model_fields_set == all_set
    found.model_fields_set.clear()

    assert packing.unpack(packed).model_fields_set == all_set == set(Session.model_fields)
    assert (found.model_extra, found.__pydantic_private__) == (None, None)


def test_unpacked_ids_and_instants_are_like_any_other() -> None:
    """Made past their constructors, they hash, compare, print and can be copied as if they were not."""
    session = make_session(step_history=[visit()])
    found = unpacked(session)

    assert (hash(found.session_id), str(found.session_id)) == (hash(session.session_id), str(session.session_id))
    assert found.session_id.is_safe is session.session_id.is_safe
    assert (found.created_at.tzinfo, found.step_history[0].entered_at.tzinfo) == (UTC, UTC)
    assert found.model_copy(deep=True) == found == Session.model_validate_json(found.model_dump_json())
    assert hash(found.step_history[0]) == hash(session.step_history[0])


@pytest.mark.parametrize("number", [0, 1, 2**128 - 1])
def test_any_id_is_packed(number: int) -> None:
    """Also the nil one, which is none no more than others."""
    some_id = UUID(int=number)
    session = make_session(
        Everything, session_id=some_id, customer_profile_id=some_id, active_step_id=some_id, order=some_id, link=some_id
    )
    session.step_history.append(visit(step_id=some_id))

    assert exact(unpacked(session)) == exact(session)


@pytest.mark.parametrize(
    "instant",
    [
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
def test_any_instant_of_the_calendar_is_packed(instant: datetime) -> None:
    session = make_session(created_at=instant, variable_updated_at={"a": instant}, step_history=[visit()])
    session.step_history.append(visit(entered_at=instant))

    assert exact(unpacked(session)) == exact(session)


@pytest.mark.parametrize(
    "names",
    [
        ["values", "session", "data", "new", "all_set", "id_", "v0", "v22", "pack", "unpack"],
        ["UTC", "dumps", "loads", "uuid", "instant", "channels", "statuses", "set_attribute"],
        ["a b", "{}", "{0}", "'", '"', "\\", "\n", "]", "None"],
        ["class", "ﬁ", "fi"],
    ],
    ids=lambda names: names[0],
)
def test_fields_may_be_called_what_the_compiled_code_calls_its_own(names: list[str]) -> None:
    fields: dict[str, Any] = dict.fromkeys(names, (int, 0))
    fields[names[-1]] = (UUID | None, None)
    cls = create_model("Named", __base__=Session, **fields)
    session = make_session(cls, **{name: number for number, name in enumerate(names[:-1])})
    vars(session)[names[-1]] = UUID(int=7)

    assert is_plain_class(cls)
    assert exact(unpacked(session)) == exact(session)


@pytest.mark.parametrize(
    "fact",
    [
        StepVisit(step_id=UUID(int=1), turn_number=1),
        PendingMigration(target_version=1, anchor_content_hash="h", migration_plan_id=UUID(int=1), marked_at=START),
    ],
)
def test_a_sound_twin_has_the_same_values_all_of_which_count_as_set(fact: Any) -> None:
    """The given one is left as it is."""
    given = set(fact.__pydantic_fields_set__)
    twin = sound(fact)

    assert twin == fact
    assert twin is not fact
    assert type(twin) is type(fact)
    assert twin.model_fields_set == set(type(fact).model_fields)
    assert (twin.__pydantic_fields_set__ is SOUND) == (type(fact) is StepVisit)
    assert fact.__pydantic_fields_set__ == given
