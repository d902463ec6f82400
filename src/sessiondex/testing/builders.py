"""Builders of sessions, visits and clocks for tests. They fill every field that a test does not set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, overload
from uuid import UUID, uuid4

from sessiondex.models import Channel, PendingMigration, Session, SessionStatus, StepVisit

SomeSession = TypeVar("SomeSession", bound=Session)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""Initial time of a `ManualClock`, and `created_at` of the sessions that these builders make."""


class ManualClock:
    """A clock for tests: it stands still until `move` or an assignment to `time` changes it.

    >>> clock = ManualClock()
    >>> clock.move(hours=1, microseconds=-1)
    >>> clock() - START
    datetime.timedelta(seconds=3599, microseconds=999999)
    """

    def __init__(self, now: datetime = START) -> None:
        self.time: datetime = now

    def __call__(self) -> datetime:
        """Return the current time of the clock."""
        return self.time

    def move(self, **by: float) -> None:
        """Move the clock forward, or back for negative values, by the keyword arguments of `timedelta`."""
        self.time += timedelta(**by)


@overload
def make_session(**fields: Any) -> Session: ...


@overload
def make_session(cls: type[SomeSession], **fields: Any) -> SomeSession: ...


def make_session(cls: type[Session] = Session, **fields: Any) -> Session:
    """Return a session of that class with these fields, and a new tenant and agent unless they are given.

    >>> session = make_session(user_channel_id="ann")
    >>> session.channel, session.user_channel_id, session.revision
    (<Channel.WEBCHAT: 'webchat'>, 'ann', 0)
    """
    defaults = {
        "tenant_id": uuid4(),
        "agent_id": uuid4(),
        "channel": Channel.WEBCHAT,
        "user_channel_id": "user-1",
        "created_at": START,
    }
    return cls(**{**defaults, **fields})


def every_field(**fields: Any) -> dict[str, Any]:
    """Return fields for a session: each differs from its default, and none is empty.

    >>> session, plain = make_session(**every_field()), make_session()
    >>> [name for name in Session.model_fields if getattr(session, name) == getattr(plain, name)]
    ['revision']
    """
    visit = make_visit(
        transition_reason="asked for it",
        confidence=0.25,
        is_checkpoint=True,
        checkpoint_description="paid",
        turn_number=3,
        entered_at=START + timedelta(microseconds=1),
    )
    migration = PendingMigration(
        target_version=2, anchor_content_hash="anchor", migration_plan_id=UUID(int=7), marked_at=START
    )
    defaults = {
        "channel": Channel.VOICE,
        "user_channel_id": "user-2",
        "customer_profile_id": uuid4(),
        "config_version": 2,
        "active_scenario_id": uuid4(),
        "active_step_id": visit.step_id,
        "active_scenario_version": 3,
        "step_history": [make_visit("earlier", "greet"), visit],
        "relocalization_count": 4,
        "rule_fires": {"r": 1},
        "rule_last_fire_turn": {"r": 2},
        "variables": {"flat": "x", "list": [1, [2, {"deep": [3]}]], "dict": {"a": {"b": {}}}},
        "variable_updated_at": {"flat": START},
        "turn_count": 5,
        "pending_migration": migration,
        "scenario_checksum": "checksum",
        "created_at": START - timedelta(days=1),
        "last_activity_at": START,
        "status": SessionStatus.PROCESSING,
    }
    return {**defaults, **fields}


def make_visit(content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> StepVisit:
    """Return a visit to a step with that content hash and name.

    >>> make_visit("9f86d081", is_checkpoint=True).step_content_hash
    '9f86d081'
    """
    defaults = {
        "step_id": uuid4(),
        "step_name": name,
        "turn_number": 1,
        "entered_at": START,
        "step_content_hash": content_hash,
    }
    return StepVisit(**{**defaults, **fields})


def at_step(content_hash: str | None = "hash-1", name: str | None = "pay", **fields: Any) -> dict[str, Any]:
    """Return fields for a session at that step, in version 1 of a new scenario unless `fields` name another.

    >>> session = make_session(**at_step("9f86d081"), turn_count=2)
    >>> session.active_scenario_version, session.step_history[-1].step_content_hash
    (1, '9f86d081')
    """
    defaults = {
        "active_scenario_id": uuid4(),
        "active_scenario_version": 1,
        "step_history": [make_visit("earlier", "greet"), make_visit(content_hash, name)],
    }
    return {**defaults, **fields}
