"""Build one session of each unusual kind of class that `save` accepts, and the plain ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

from pydantic import Field, computed_field

from sessiondex import PendingMigration, Session, StepVisit
from tests.support.builders import CUSTOMER, SCENARIO, START, NotedSession, TaggedSession, at_step, make_session, visit
from tests.support.mutable_containers import NestedSession, OpenSession, session_with_everything
from tests.support.session_classes import (
    KEPT,
    Anything,
    Bare,
    Broken,
    ByHash,
    CachedByValidator,
    Chained,
    Constructed,
    Drawing,
    EnumValues,
    OddVisits,
    OnlyWebchat,
    Rated,
    RatedSession,
    Renamed,
    Rich,
    Secretive,
    Split,
)


class Text(str):
    """A subclass of `str`, as in markup libraries."""

    __slots__ = ()


class Id(UUID):
    """A subclass of `UUID`, as in database drivers."""


class Cached(Session, validate_default=True):
    """A class with plain fields that is still checked by a round trip."""


class Aliased(Session, serialize_by_alias=True, validate_by_alias=True, validate_by_name=True):
    """Dumped under its aliases by default, which are not the names of its fields."""

    loud: str = Field(default="", alias="LOUD")


class Computed(Session):
    """Dumped with a computed field by default, which it cannot load."""

    @computed_field  # type: ignore[prop-decorator]  # documented by pydantic
    @property
    def turns(self) -> int:
        return self.turn_count


def in_another_zone() -> Any:
    session = make_session()
    vars(session)["created_at"] = START.astimezone(timezone(timedelta(hours=2)))
    session.step_history.append(visit().model_copy(update={"entered_at": vars(session)["created_at"]}))
    return session


def lax() -> Any:
    session = make_session()
    vars(session).update(turn_count=True, user_channel_id=session.channel, scenario_checksum=Text("x"))
    session.rule_fires[Text("r")] = 1
    session.step_history.append(visit().model_copy(update={"step_name": Text("pay"), "confidence": 1}))
    session.variables[Text("x")] = Text("x")
    return session


def complete() -> Any:
    """Return a session in which every field differs from its default."""
    pending = PendingMigration(target_version=2, anchor_content_hash="h", migration_plan_id=uuid4(), marked_at=START)
    return at_step(
        customer_profile_id=CUSTOMER,
        config_version=2**63 - 1,
        active_step_id=UUID(int=2**128 - 1),
        relocalization_count=1,
        rule_fires={"": 0, "r": 1},
        rule_last_fire_turn={"r": 1},
        variables={"\0": [True, 1, 1.0, -0.0, 1e308, 5e-324, None, {"a": {}}], "z": 2**63 - 1, "a": "\u2028"},
        variable_updated_at={"z": datetime(1, 1, 1, tzinfo=UTC), "a": datetime.max.replace(tzinfo=UTC)},
        turn_count=7,
        status="interrupted",
        pending_migration=pending,
        scenario_checksum="e\u0301",
        created_at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    )


def pending_by_plan(plan_id: UUID) -> Any:
    pending = PendingMigration(target_version=2, anchor_content_hash="h", migration_plan_id=plan_id, marked_at=START)
    return make_session(pending_migration=pending)


ODD: dict[str, Callable[[], Any]] = {
    "foreign ids": lambda: make_session(session_id=Id(int=7), active_step_id=Id(int=8)),
    "foreign id of a visit": lambda: make_session(step_history=[visit(step_id=Id(int=7))]),
    "foreign id of a plan": lambda: pending_by_plan(Id(int=7)),
    "bare": make_session,
    "complete": complete,
    "lax values": lax,
    "another zone": in_another_zone,
    "JSON values": lambda: make_session(variables=KEPT),
    "short way": lambda: make_session(NotedSession, note="n", scores=[1.0, -0.0, 1e16]),
    "long way": lambda: make_session(TaggedSession, tags={"a", "b"}, step_history=[visit()]),
    "long way without a reason": lambda: make_session(Cached, step_history=[visit()], variables={"a": [1]}),
    "nested": lambda: session_with_everything(NestedSession),
    "extra fields": lambda: session_with_everything(OpenSession),
    "visits of its own": lambda: at_step(
        cls=OddVisits, step_history=[ByHash(step_id=SCENARIO, turn_number=1, step_content_hash="h")]
    ),
    "visits with more": lambda: make_session(
        RatedSession, step_history=[Rated(step_id=SCENARIO, turn_number=1, rating=5)]
    ),
    "enum values": lambda: at_step(cls=EnumValues, status="idle"),
    "literal": lambda: make_session(OnlyWebchat),
    "split": lambda: make_session(Split, tags="a,b"),
    "cached": lambda: make_session(CachedByValidator),
    "drawing": lambda: make_session(Drawing),
    "chained": lambda: make_session(Chained, node={"next": {"names": ["a"]}}),
    "bare generics": lambda: make_session(Bare, any_list=[[1]], any_dict={"a": [1]}, plain_list=[1]),
    "__new__": lambda: make_session(Constructed),
    "excluded": lambda: make_session(Secretive),
    "anything": lambda: make_session(Anything, thing={"a": [1, 1.0, True]}),
    "broken but unused": lambda: make_session(Broken),
    "renamed": lambda: make_session(Renamed, LOUD="x"),
    "aliased": lambda: make_session(Aliased, LOUD="x"),
    "computed": lambda: make_session(Computed, turn_count=3),
    "rich": lambda: make_session(Rich, child={"day": date(2026, 1, 1), "price": "1.10"}, tags={"a"}),
    "constructed": lambda: Session.model_construct(
        **{**vars(make_session()), "step_history": [StepVisit.model_construct(**vars(visit()))]}
    ),
}
