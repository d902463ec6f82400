"""The models: what they accept, and what they make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from sessiondex import Channel, PendingMigration, ScopeFilter, Session, SessionStatus, StepVisit
from tests.support.builders import START, make_session, visit

NAIVE = datetime(2026, 1, 1)
NOT_UTF8 = "\ud800"
BEYOND_UTC = datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))


def test_only_four_fields_are_required() -> None:
    required = {name for name, field in Session.model_fields.items() if field.is_required()}

    assert required == {"tenant_id", "agent_id", "channel", "user_channel_id"}


def test_defaults() -> None:
    session = make_session()

    assert (session.status, session.step_history, session.variables) == (SessionStatus.ACTIVE, [], {})
    assert make_session().session_id != session.session_id
    assert make_session().variables is not session.variables


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tenant_id", "acme"),
        ("channel", ""),
        ("channel", "x" * 65),
        ("channel", "a\0b"),
        ("channel", NOT_UTF8),
        ("channel", 5),
        ("user_channel_id", ""),
        ("user_channel_id", "a\0b"),
        ("user_channel_id", NOT_UTF8),
        ("config_version", -1),
        ("turn_count", 2**63),
        ("rule_fires", {NOT_UTF8: 1}),
        ("variables", {"at": START}),
        ("variables", {"x": float("nan")}),
        ("variables", {"x": (1, 2)}),
        ("variables", {1: "x"}),
        ("variable_updated_at", {"x": NAIVE}),
        ("scenario_checksum", NOT_UTF8),
        ("created_at", NAIVE),
        ("created_at", BEYOND_UTC),
        ("nickname", "a field that Session does not have"),
    ],
)
def test_bad_values_are_refused_by_name(field: str, value: Any) -> None:
    """A bad value is refused when a session is made, by an error that names the field and shows no content."""
    with pytest.raises(ValidationError, match=field) as error:
        make_session(**{field: value})
    assert "input_value" not in str(error.value)


@pytest.mark.parametrize(("field", "value"), [("created_at", NAIVE), ("channel", ""), ("user_channel_id", "")])
def test_assignments_are_validated(field: str, value: Any) -> None:
    session = make_session()

    with pytest.raises(ValidationError, match=field):
        setattr(session, field, value)
    assert session == make_session(session_id=session.session_id, last_activity_at=session.last_activity_at)


@pytest.mark.parametrize("zone", [ZoneInfo("Europe/Berlin"), timezone(timedelta(minutes=19, seconds=32)), UTC])
def test_instants_are_kept_in_utc(zone: Any) -> None:
    """Also an offset with seconds and a repeated local time come back as the same instant."""
    instant = datetime(2026, 10, 25, 2, 30, tzinfo=zone)
    session = make_session(created_at=instant)

    assert session.created_at.tzinfo is UTC
    assert session.created_at == instant.astimezone(UTC)
    assert Session.model_validate_json(session.model_dump_json()) == session


@pytest.mark.parametrize(
    "fields",
    [{"confidence": 1.1}, {"confidence": float("nan")}, {"turn_number": -1}, {"entered_at": NAIVE}, {"who": 1}],
)
def test_bad_visits_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        visit(**fields)


def test_facts_are_frozen() -> None:
    pending = PendingMigration(target_version=2, anchor_content_hash="h", migration_plan_id=uuid4())

    with pytest.raises(ValidationError, match="frozen"):
        visit().turn_number = 2
    with pytest.raises(ValidationError, match="frozen"):
        pending.target_version = 3


def test_user_channel_ids_are_not_normalised() -> None:
    assert make_session(user_channel_id=" É ").user_channel_id == " É "
    assert make_session(user_channel_id="e\u0301").user_channel_id != "\u00e9"


@pytest.mark.parametrize("collection", [list, tuple, set, frozenset])
def test_a_scope_filter_takes_any_collection(collection: Any) -> None:
    scope = ScopeFilter(include_channels=collection([Channel.SMS]), exclude_current_nodes=collection(["pay"]))

    assert scope.include_channels == {Channel.SMS}
    assert scope == ScopeFilter.model_validate({"include_channels": ["sms"], "exclude_current_nodes": ["pay"]})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"include_channels": []}, "must not be empty"),
        ({"include_current_nodes": []}, "must not be empty"),
        ({"include_channels": [""]}, "include_channels"),
        ({"include_channels": "sms"}, "include_channels"),
        ({"include_current_nodes": "pay"}, "include_current_nodes"),
        ({"exclude_current_nodes": ["\ud800"]}, "exclude_current_nodes"),
        ({"max_session_age_days": -1}, "max_session_age_days"),
        ({"min_session_age_days": 1.5}, "min_session_age_days"),
        ({"min_session_age_days": 3, "max_session_age_days": 2}, "must not be greater"),
        ({"channels": ["sms"]}, "channels"),
    ],
)
def test_a_scope_filter_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ScopeFilter(**fields)


def test_step_visit_fields() -> None:
    assert list(StepVisit.model_fields) == [
        "step_id",
        "step_name",
        "entered_at",
        "turn_number",
        "transition_reason",
        "confidence",
        "is_checkpoint",
        "checkpoint_description",
        "step_content_hash",
    ]


def test_the_names_of_set_fields_are_a_copy() -> None:
    """Sessions and visits from a store share the set of names, so callers get a copy."""
    session = make_session(step_history=[visit()])
    for model in (session, session.step_history[0]):
        before = model.model_fields_set
        model.model_fields_set.clear()
        assert model.model_fields_set == before != set()
    session.turn_count = 1

    assert "turn_count" in session.model_fields_set
