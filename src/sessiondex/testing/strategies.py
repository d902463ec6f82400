"""Hypothesis strategies for sessions. Their domains are small, so that keys collide often.

Needs Hypothesis: `pip install "sessiondex[testing]"`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError('strategies need Hypothesis: pip install "sessiondex[testing]"') from error

from pydantic import Field

from sessiondex.indexed import Indexed
from sessiondex.models import Channel, PendingMigration, ScopeFilter, Session, SessionStatus, StepVisit
from sessiondex.testing.builders import START, make_visit

TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
AGENT, OTHER_AGENT = UUID(int=11), UUID(int=12)
CUSTOMER, OTHER_CUSTOMER = UUID(int=21), UUID(int=22)
SCENARIO, OTHER_SCENARIO = UUID(int=31), UUID(int=32)
IDS = [UUID(int=number) for number in range(1, 15)]
"""Session ids: few, so that most operations meet a stored session."""


class NotedSession(Session):
    """A subclass with fields of plain types, some of them indexed."""

    note: str = ""
    scores: list[float] = Field(default_factory=list)
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    order_ids: Annotated[list[str], Indexed()] = Field(default_factory=list)
    priority: Annotated[bool | int | None, Indexed()] = None


class TaggedSession(Session):
    """A subclass with an indexed field whose type JSON does not have, and one that `NotedSession` indexes as well."""

    tags: Annotated[set[str], Indexed()] = Field(default_factory=set)
    order_ids: Annotated[list[str], Indexed()] = Field(default_factory=list)


ids: st.SearchStrategy[UUID] = st.sampled_from(IDS)
tenants: st.SearchStrategy[UUID] = st.sampled_from([TENANT, OTHER_TENANT])
agents: st.SearchStrategy[UUID] = st.sampled_from([AGENT, OTHER_AGENT])
customers: st.SearchStrategy[UUID] = st.sampled_from([CUSTOMER, OTHER_CUSTOMER])
channels: st.SearchStrategy[Channel | str] = st.sampled_from(
    [Channel.SMS, Channel.EMAIL, Channel.API, "telegram", "a:b"]
)
user_channel_ids: st.SearchStrategy[str] = st.sampled_from(["u", "U", "é", "e\u0301"])
statuses: st.SearchStrategy[SessionStatus] = st.sampled_from(SessionStatus)
scenarios: st.SearchStrategy[UUID] = st.sampled_from([SCENARIO, OTHER_SCENARIO])
versions: st.SearchStrategy[int] = st.sampled_from([1, 2])
hashes: st.SearchStrategy[str] = st.sampled_from(["hash-1", "hash-2"])
nodes: st.SearchStrategy[str] = st.sampled_from(["pay", "ask"])
ages: st.SearchStrategy[timedelta] = st.integers(-1, 4).flatmap(
    lambda days: st.integers(-1, 1).map(lambda off: timedelta(days=days, microseconds=off))
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
visits: st.SearchStrategy[StepVisit] = st.builds(
    make_visit,
    hashes | st.none(),
    nodes | st.none(),
    transition_reason=st.none() | nodes,
    confidence=st.sampled_from([0.0, 0.5, 1.0]),
    is_checkpoint=st.booleans(),
    checkpoint_description=st.none() | nodes,
)
migrations: st.SearchStrategy[PendingMigration] = st.builds(
    PendingMigration,
    target_version=versions,
    anchor_content_hash=hashes,
    migration_plan_id=st.uuids(),
    marked_at=st.just(START),
)

changes: dict[str, st.SearchStrategy[Any]] = {
    "agent_id": agents,
    "channel": channels,
    "user_channel_id": user_channel_ids,
    "customer_profile_id": customers | st.none(),
    "status": statuses,
    "active_scenario_id": scenarios | st.none(),
    "active_scenario_version": versions | st.none(),
    "step_history": st.lists(visits, max_size=3),
    "variables": st.dictionaries(st.text(max_size=3), json_values, max_size=3),
    "rule_fires": st.dictionaries(st.sampled_from("rs"), st.integers(0, 9), max_size=2),
    "config_version": versions,
    "active_step_id": st.none() | st.uuids(),
    "relocalization_count": st.integers(0, 2),
    "rule_last_fire_turn": st.dictionaries(st.sampled_from("rs"), st.integers(0, 9), max_size=2),
    "variable_updated_at": st.dictionaries(st.sampled_from("vw"), ages.map(lambda age: START - age), max_size=2),
    "turn_count": st.integers(0, 2),
    "scenario_checksum": st.none() | hashes,
    "created_at": ages.map(lambda age: START - age),
    "pending_migration": st.none() | migrations,
}
"""Values for each field that a service changes in a session."""

own_items: dict[str, st.SearchStrategy[Any]] = {
    "email": st.sampled_from(["ann@x", "ANN@x", "bob@x"]),
    "order_ids": st.sampled_from(["1", "2", "\u00e9", ""]),
    "priority": st.sampled_from([True, False, 1, 0, 2]),
    "tags": st.sampled_from(["a", "b"]),
}
"""Items of each indexed field of the subclasses, as a query takes them."""

own_changes: dict[str, st.SearchStrategy[Any]] = {
    "email": st.none() | own_items["email"],
    "order_ids": st.lists(own_items["order_ids"], max_size=3),
    "priority": st.none() | own_items["priority"],
    "tags": st.sets(own_items["tags"]),
}
"""Values of each indexed field of the subclasses."""


def has_item(session: Session, name: str, item: Any) -> bool:
    """Return whether the session has the item in its indexed field, written out for the classes above."""
    value = getattr(session, name, None)
    if name == "email":
        return value is not None and value.casefold() == item.casefold()
    if name == "priority":  # True is not 1
        return type(value) is type(item) and value == item
    return value is not None and item in value


@st.composite
def sessions(draw: st.DrawFn, session_id: UUID) -> Session:
    """Draw a session of `Session` or a subclass, usually active and at a step."""
    cls = draw(st.sampled_from([Session, NotedSession, NotedSession, TaggedSession]))
    fields = {name: draw(values) for name, values in changes.items()}
    if draw(st.integers(0, 3)):
        fields |= {"status": SessionStatus.ACTIVE, "active_scenario_id": SCENARIO, "active_scenario_version": 1}
        fields["step_history"] = [*fields["step_history"], make_visit("hash-1", draw(nodes))]
    fields |= {name: draw(values) for name, values in own_changes.items() if name in cls.model_fields}
    if cls is NotedSession:
        fields |= {"note": draw(st.text(max_size=3)), "scores": [0.5]}
    return cls(session_id=session_id, tenant_id=draw(tenants), **fields)


@st.composite
def scope_filters(draw: st.DrawFn) -> ScopeFilter | None:
    """Draw `None` or a filter with any combination of conditions."""
    if draw(st.booleans()):
        return None
    low, high = sorted([draw(st.integers(0, 4)), draw(st.integers(0, 4))])
    return ScopeFilter(
        include_channels=draw(st.none() | st.sets(channels, min_size=1)),
        exclude_channels=draw(st.none() | st.sets(channels)),
        include_current_nodes=draw(st.none() | st.sets(nodes, min_size=1)),
        exclude_current_nodes=draw(st.none() | st.sets(nodes)),
        min_session_age_days=draw(st.none() | st.just(low)),
        max_session_age_days=draw(st.none() | st.just(high)),
    )
