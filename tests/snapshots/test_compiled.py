"""The generated code packs and unpacks every value of a plain class without change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from sessiondex import PendingMigration, Session, StepVisit
from sessiondex.snapshots.compiled import UUIDCache, compile_class, make_uuid
from sessiondex.snapshots.plain_types import is_plain_class
from sessiondex.testing import strategies as some
from tests.support.builders import START, NotedSession, TaggedSession, make_session, visit
from tests.support.exact_values import exact
from tests.support.snapshots import STAMP, is_accepted_at_once, make_codec, through_codec, unpack


class Everything(Session):
    """Has a field of each kind that a plain class may add."""

    number: int = 0
    ratio: float = 0.0
    is_new: bool = False
    name: str | None = None
    order: UUID = UUID(int=0)
    link: UUID | None = None
    anything: JsonValue = None
    scores: list[float] = []
    notes: dict[str, list[JsonValue]] = {}


instants = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters(codec="utf-8"), max_size=5)
counts = st.integers(0, 2**63 - 1)
small_integers = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | small_integers | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
full_visits = st.builds(
    StepVisit,
    step_id=st.uuids(),
    step_name=st.none() | texts,
    entered_at=instants,
    turn_number=counts,
    transition_reason=st.none() | texts,
    confidence=st.floats(0, 1),
    is_checkpoint=st.booleans(),
    checkpoint_description=st.none() | texts,
    step_content_hash=st.none() | texts,
)
full_migrations = st.builds(
    PendingMigration,
    target_version=counts,
    anchor_content_hash=texts,
    migration_plan_id=st.uuids(),
    marked_at=instants,
)
everything = st.builds(
    make_session,
    st.just(Everything),
    session_id=st.uuids(),
    tenant_id=st.uuids(),
    agent_id=st.uuids(),
    customer_profile_id=st.none() | st.uuids(),
    active_scenario_id=st.none() | st.uuids(),
    active_step_id=st.none() | st.uuids(),
    active_scenario_version=st.none() | counts,
    user_channel_id=texts.filter(lambda text: text and "\0" not in text),
    channel=some.channels,
    status=some.statuses,
    step_history=st.lists(full_visits, max_size=3),
    pending_migration=st.none() | full_migrations,
    rule_fires=st.dictionaries(texts, counts, max_size=2),
    variables=st.dictionaries(texts, json_values, max_size=3),
    variable_updated_at=st.dictionaries(texts, instants, max_size=2),
    scenario_checksum=st.none() | texts,
    created_at=instants,
    number=small_integers,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    is_new=st.booleans(),
    name=st.none() | texts,
    order=st.uuids(),
    link=st.none() | st.uuids(),
    anything=json_values,
    scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    notes=st.dictionaries(texts, st.lists(json_values, max_size=2), max_size=2),
)


@given(everything)
def test_every_field_at_every_extreme(session: Session) -> None:
    assert is_accepted_at_once(session)
    assert exact(through_codec(session)) == exact(session)


@pytest.mark.parametrize("number", [0, 1, 2**128 - 1])
def test_any_id(number: int) -> None:
    """The nil id is not `None`."""
    some_id = UUID(int=number)
    names = ("session_id", "tenant_id", "customer_profile_id", "active_step_id", "order", "link")
    session = make_session(Everything, **dict.fromkeys(names, some_id), step_history=[visit(step_id=some_id)])

    assert exact(through_codec(session)) == exact(session)


@pytest.mark.parametrize(
    "instant",
    [
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
def test_any_instant_of_the_calendar(instant: datetime) -> None:
    session = make_session(created_at=instant, variable_updated_at={"a": instant})
    session.step_history.append(visit(entered_at=instant))

    assert exact(through_codec(session)) == exact(session)


def test_unpacked_ids_and_datetimes_are_like_any_other() -> None:
    """They hash, compare, print and copy like those that a constructor made."""
    session = make_session(step_history=[visit()], customer_profile_id=uuid4())
    found = through_codec(session)

    for name in ("session_id", "tenant_id", "agent_id", "customer_profile_id"):
        made, given = getattr(found, name), getattr(session, name)
        assert (hash(made), str(made), made.is_safe, made.bytes) == (
            hash(given),
            str(given),
            given.is_safe,
            given.bytes,
        )
    assert (found.created_at.tzinfo, found.step_history[0].entered_at.tzinfo) == (UTC, UTC)
    assert found.model_copy(deep=True) == found == Session.model_validate_json(found.model_dump_json())
    assert hash(found.step_history[0]) == hash(session.step_history[0])


@pytest.mark.parametrize(
    "names",
    [
        ["values", "session", "packed", "new", "all_set", "fields", "v0", "v22", "pack", "unpack", "visits", "w0"],
        ["UTC", "dumps", "loads", "ids", "instant", "channels", "statuses", "set_dict", "is_valid_23", "Exception"],
        ["a b", "{}", "{0}", "$", "'", '"', "\\", "\n", "]", "None", "order-total"],
        ["class", "ﬁ", "fi"],
    ],
    ids=lambda names: names[0],
)
def test_fields_with_any_names(names: list[str]) -> None:
    """The generated code holds the names of fields, among names of its own. Python takes `ﬁ` and `fi` for one."""
    fields: dict[str, Any] = dict.fromkeys(names, (int, 0))
    fields[names[-1]] = (UUID | None, None)
    cls = create_model("Named", __base__=Session, **fields)
    session = make_session(cls, **{name: number for number, name in enumerate(names[:-1])})
    vars(session)[names[-1]] = UUID(int=7)

    assert is_accepted_at_once(session)
    assert exact(through_codec(session)) == exact(session)
    assert exact(compile_class(cls, bytes(4), UUIDCache()).copy(session)) == exact(session)


@pytest.mark.parametrize("name", ["$", "a = $", "']", "values", "copy_json"])
def test_containers_in_fields_with_any_name_are_copied(name: str) -> None:
    fields: dict[str, Any] = {name: (list[list[int]], [])}
    session = make_session(create_model("Named", __base__=Session, **fields), **{name: [[1]]})
    copied = compile_class(type(session), bytes(4), UUIDCache()).copy(session)
    vars(copied)[name][0].append(2)

    assert exact(through_codec(session)) == exact(session)
    assert (vars(session)[name], vars(copied)[name]) == ([[1]], [[1, 2]])


# -- shared ids --


def test_sessions_share_the_ids_of_agents_scenarios_and_steps() -> None:
    codec = make_codec()
    prepared = codec.prepare(
        make_session(active_scenario_id=uuid4(), customer_profile_id=uuid4(), step_history=[visit(step_id=uuid4())])
    )
    one, other = unpack(codec, prepared), unpack(codec, prepared)

    for name in ("tenant_id", "agent_id", "active_scenario_id"):
        assert getattr(one, name) is getattr(other, name)
    assert one.step_history[0].step_id is other.step_history[0].step_id
    assert one.customer_profile_id is not other.customer_profile_id


def test_the_cache_of_ids_never_grows_beyond_its_bound() -> None:
    ids, compiled = UUIDCache(max_size=3), None
    compiled = compile_class(Session, bytes(4), ids)
    for number in range(20):
        session = make_session(agent_id=UUID(int=number), active_step_id=UUID(int=99))
        packed = compiled.pack(session)
        assert packed is not None
        found = compiled.unpack(packed, session.session_id.bytes, session.tenant_id.bytes, STAMP, 0)
        assert (found.agent_id, found.active_step_id, found.tenant_id) == (
            UUID(int=number),
            UUID(int=99),
            session.tenant_id,
        )
        assert len(ids) <= 3


@given(st.uuids())
def test_a_uuid_made_of_bytes(given_id: UUID) -> None:
    assert exact(make_uuid(given_id.bytes)) == exact(given_id)


# -- plain classes --


class Validated(Session):
    @field_validator("turn_count")
    @classmethod
    def _even(cls, value: int) -> int:
        return value


class ValidatedWhole(Session):
    @model_validator(mode="after")
    def _any(self) -> ValidatedWhole:
        return self


class Serialized(Session):
    @field_serializer("turn_count")
    def _as_text(self, value: int) -> str:
        return str(value)


class SerializedWhole(Session):
    @model_serializer(mode="wrap")
    def _whole(self, handler: Any) -> Any:
        return handler(self)


class Computed(Session):
    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def turns(self) -> int:
        return self.turn_count


class Initialized(Session):
    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)


class Hooked(Session):
    def model_post_init(self, _context: Any, /) -> None:
        self.turn_count += 0


class Open(Session):
    model_config = ConfigDict(extra="allow")


class Private(Session):
    _cache: int = 0


class Narrowed(Session):
    user_channel_id: str


def with_field(annotation: Any) -> type[Session]:
    return create_model("Added", __base__=Session, added=(annotation, None))


@pytest.mark.parametrize(
    "cls",
    [
        Validated,
        ValidatedWhole,
        Serialized,
        SerializedWhole,
        Computed,
        Initialized,
        Hooked,
        Open,
        Private,
        Narrowed,
        TaggedSession,
        with_field(Annotated[float, Field(ge=0)]),
        with_field(Annotated[str, Field(alias="n")]),
        with_field(Annotated[str, Field(exclude=True)]),
        with_field(list[Annotated[int, Field(ge=0)]]),
        with_field(UUID | str),
        with_field(int | str),
        with_field(list[UUID]),
        with_field(Any),
        with_field(list),
        with_field(dict[int, str]),
        with_field(tuple[int, ...]),
        with_field(datetime),
    ],
)
def test_classes_that_may_change_their_values_are_not_plain(cls: type[Session]) -> None:
    assert not is_plain_class(cls)


class Documented(NotedSession):
    """Adds methods and a property."""

    def is_late(self) -> bool:
        return self.last_activity_at < START

    @property
    def first_note(self) -> str:
        return self.note


@pytest.mark.parametrize("cls", [Session, NotedSession, Everything, Documented])
def test_classes_that_add_json_fields_and_methods_are_plain(cls: type[Session]) -> None:
    assert is_plain_class(cls)
