"""Sessions from the codec share nothing that a caller can change, and only validated visits skip the checks."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, PlainValidator

from sessiondex import InvalidSessionError, PendingMigration, Session, StepVisit
from sessiondex.snapshots.class_codec import write_back_version
from sessiondex.snapshots.instances import VALIDATED
from tests.support.builders import START, make_session, visit
from tests.support.exact_values import exact
from tests.support.mutable_containers import CLASSES, containers, session_with_everything, spoil
from tests.support.snapshots import (
    STAMP,
    full_session,
    is_accepted_at_once,
    make_codec,
    through_codec,
    unpack,
)
from tests.support.unusual_sessions import ODD

# -- no sharing --


@pytest.mark.parametrize("cls", CLASSES)
def test_unpacked_sessions_and_copies_share_nothing_mutable(cls: type[Session]) -> None:
    codec, session = make_codec(), session_with_everything(cls)
    prepared = codec.prepare(session)
    first, second = unpack(codec, prepared), unpack(codec, prepared)
    third = codec.copy(second)
    parts = [{id(part) for part in (*containers(one), vars(one))} for one in (session, first, second, third)]
    assert all(not mine & other for n, mine in enumerate(parts) for other in parts[n + 1 :])
    expected = exact(second)
    for one in (session, first, third):
        assert spoil(one) >= 10

    assert exact(second) == expected == exact(unpack(codec, prepared))


def test_changes_after_prepare_do_not_reach_the_packed_session() -> None:
    codec, session = make_codec(), full_session()
    prepared = codec.prepare(session)
    expected = exact(unpack(codec, prepared))
    session.step_history.append(visit())
    session.variables["a"]["b"].append(1)

    assert exact(unpack(codec, prepared)) == expected


# -- fields sets --


def test_the_set_of_set_fields_belongs_to_the_caller() -> None:
    codec = make_codec()
    prepared = codec.prepare(full_session())
    found = unpack(codec, prepared)
    found.model_fields_set.clear()
    found.step_history[0].model_fields_set.clear()
    found.pending_migration.model_fields_set.clear()

    for one in (found, unpack(codec, prepared)):
        assert one.model_fields_set == set(Session.model_fields)
        assert one.step_history[0].model_fields_set == set(StepVisit.model_fields) == VALIDATED
        assert one.pending_migration.model_fields_set == set(PendingMigration.model_fields)


def change_everything(found: Any) -> None:
    """Change a session in each way that pydantic offers."""
    found.turn_count = 9
    with pytest.raises(ValueError, match="nickname"):
        found.nickname = "x"
    del found.scenario_checksum
    found.scenario_checksum = "again"
    found.model_copy(update={"turn_count": 1, "nickname": "x"})
    found.model_copy(deep=True).turn_count = 2
    copy.copy(found).turn_count = 3
    copy.deepcopy(found).turn_count = 4
    pickle.loads(pickle.dumps(found)).turn_count = 5  # noqa: S301  # our own
    found.__setstate__(found.__getstate__())
    Session.model_construct(found.model_fields_set, turn_count=6)
    write_back_version(found, 0, 1)


def test_a_changed_session_does_not_change_the_others() -> None:
    """They share the set of set fields: assignment, `model_copy`, pickle, `deepcopy` and `del` leave it alone."""
    codec = make_codec()
    prepared = codec.prepare(full_session())
    found, other = unpack(codec, prepared), unpack(codec, prepared)
    expected = exact(other)
    change_everything(found)

    assert found.turn_count == 9
    for one in (other, codec.copy(other), unpack(codec, prepared)):
        assert one.model_fields_set == set(Session.model_fields)
        assert one.model_dump(exclude_unset=True) == one.model_dump()
        assert exact(one) == expected


@pytest.mark.parametrize("make", [ODD["complete"], ODD["long way"], ODD["extra fields"]])
@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])  # noqa: S301  # our own
def test_unpacked_sessions_can_be_copied_and_pickled(make: Callable[[], Any], through: Callable[[Any], Any]) -> None:
    codec = make_codec()
    found = unpack(codec, codec.prepare(make()))
    again = through(found)

    assert exact(again) == exact(found)
    assert again.model_fields_set == found.model_fields_set
    assert [v.model_fields_set for v in again.step_history] == [v.model_fields_set for v in found.step_history]
    assert exact(unpack(codec, codec.prepare(again))) == exact(found)


def test_an_extra_field_counts_as_set_in_one_session_only() -> None:
    codec = make_codec()
    prepared = codec.prepare(ODD["extra fields"]())
    found, other = unpack(codec, prepared), unpack(codec, prepared)
    found.more = 1

    assert "more" in found.model_fields_set
    assert "more" not in other.model_fields_set


def test_a_session_of_the_callers_keeps_its_own_set() -> None:
    session = make_session()
    given = session.model_fields_set
    make_codec().prepare(session)
    session.turn_count = 1

    assert session.model_fields_set == {*given, "turn_count"}


@pytest.mark.parametrize("fields_set", [None, frozenset({"agent_id"}), set(), {"agent_id"}])
def test_a_session_with_an_odd_set_of_set_fields_gets_its_version(fields_set: Any) -> None:
    """Nothing that can fail may come after the commit."""
    session = make_session()
    object.__setattr__(session, "__pydantic_fields_set__", fields_set)
    write_back_version(session, STAMP, 4)

    assert (session.last_activity_at, session.revision) == (START, 4)
    assert session.model_fields_set == {*(fields_set or ()), "last_activity_at", "revision"}


def test_a_frozen_session_gets_its_version() -> None:
    class Frozen(Session):
        model_config = ConfigDict(frozen=True)

    session = make_session(Frozen)
    write_back_version(session, STAMP, 4)

    assert (session.last_activity_at, session.revision) == (START, 4)


@pytest.mark.parametrize("fields_set", [None, set(), MISSING := object()])
def test_a_session_without_a_set_of_set_fields_is_checked_all_the_same(fields_set: Any) -> None:
    session = make_session()
    if fields_set is MISSING:
        object.__delattr__(session, "__pydantic_fields_set__")
    else:
        object.__setattr__(session, "__pydantic_fields_set__", fields_set)
    assert through_codec(session) == session
    vars(session)["turn_count"] = -1

    with pytest.raises(InvalidSessionError, match="turn_count"):
        make_codec().prepare(session)


# -- visits that were validated before --


def spoilt(known: StepVisit) -> StepVisit:
    vars(known)["confidence"] = 7.0
    return known


DERIVED: dict[str, Callable[[StepVisit], StepVisit]] = {
    "model_copy": lambda known: known.model_copy(update={"confidence": 7.0}),
    "deep model_copy": lambda known: known.model_copy(update={"confidence": 7.0}, deep=True),
    "model_construct": lambda known: StepVisit.model_construct(**{**vars(known), "confidence": 7.0}),
    "model_construct with its set": lambda known: StepVisit.model_construct(
        known.model_fields_set, **{**vars(known), "confidence": 7.0}
    ),
    "copy": lambda known: spoilt(copy.copy(known)),
    "deepcopy": lambda known: spoilt(copy.deepcopy(known)),
    "pickle": lambda known: spoilt(pickle.loads(pickle.dumps(known))),  # noqa: S301  # our own
    "validation": lambda known: spoilt(StepVisit.model_validate(known.model_dump())),
}


@pytest.mark.parametrize("by_json", [False, True])
@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_a_visit_that_was_made_from_an_unpacked_one_is_checked(
    derive: Callable[[StepVisit], StepVisit], *, by_json: bool
) -> None:
    codec = make_codec()
    session_id, tenant_id, packed, _, _ = codec.prepare(full_session())
    args = session_id.bytes, tenant_id.bytes, STAMP, 1
    session = codec.from_json(*codec.to_json(packed, *args), STAMP, 1) if by_json else codec.unpack(packed, *args)
    assert session.step_history[0].__pydantic_fields_set__ is VALIDATED
    assert is_accepted_at_once(session)
    session.step_history[0] = derive(session.step_history[0])

    with pytest.raises(InvalidSessionError, match=r"step_history\.0\.confidence"):
        codec.prepare(session)


def unchecked(value: Any) -> StepVisit:
    if isinstance(value, StepVisit):
        return value
    checked = StepVisit.model_validate({**value, "confidence": 1.0})
    return StepVisit.model_construct(**{**vars(checked), "confidence": value["confidence"]})


class Unchecked(Session):
    """Checks less of its visits than `Session` does."""

    step_history: list[Annotated[StepVisit, PlainValidator(unchecked)]] = []


def test_a_visit_from_a_class_that_checks_less_is_checked() -> None:
    session = make_session(Unchecked)
    session.step_history.append(visit().model_copy(update={"confidence": 7.0}))
    found = through_codec(session)
    assert found.step_history[0].confidence == 7.0

    with pytest.raises(InvalidSessionError, match=r"step_history\.0"):
        make_codec().prepare(make_session().model_copy(update={"step_history": found.step_history}))
