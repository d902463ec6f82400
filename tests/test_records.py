"""Records: the short way is never more generous than the round trip, copies are right, and packing loses nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    computed_field,
    field_serializer,
    field_validator,
)

from sessiondex import Channel, InvalidSessionError, PendingMigration, Session, StepVisit
from sessiondex.copying import _copy_value
from sessiondex.packing import SOUND
from sessiondex.records import Records, _Codec
from tests.support.builders import AGENT, START, NotedSession, TaggedSession, make_session, visit
from tests.support.exact_values import exact
from tests.support.sizes import search_size
from tests.support.unusual_sessions import ODD, Text


class Level(IntEnum):
    LOW = 1


class Number(int):
    """As some libraries have it."""


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1])
    | st.sampled_from([4_299, 4_300, 5_000]).map(lambda digits: 10**digits)
    | st.floats()
    | st.text(st.characters())  # surrogates too
    | st.binary(max_size=3)
    | st.uuids()
    | st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=2))]))
    | st.sampled_from([Channel.SMS, Level.LOW, Text("x"), Number(5), visit(), object(), 1j]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters(), max_size=3) | st.integers(), inner, max_size=3)
        | inner.map(lambda value: nested(value, 196))
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from([*Session.model_fields, "note", "scores", "link"])
VISIT_FIELDS = st.sampled_from(list(StepVisit.model_fields))
MISSING = object()


class LinkedSession(NotedSession):
    link: UUID | None = None
    notes: dict[str, list[JsonValue]] = {}


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def full_session(cls: type[Session] = LinkedSession) -> Any:
    return make_session(
        cls,
        step_history=[visit(), visit()],
        variables={"a": {"b": [1, 2.5, None]}},
        rule_fires={"r": 1},
        variable_updated_at={"a": START},
        pending_migration=PendingMigration(
            target_version=2, anchor_content_hash="h", migration_plan_id=uuid4(), marked_at=START
        ),
    )


def kept_by_round_trip(codec: _Codec, session: Session) -> Session | None:
    """Return the snapshot that the long way makes, or `None` if it refuses."""
    try:
        return codec.round_trip(session.model_copy(update={"last_activity_at": START, "revision": 0})).snapshot
    except InvalidSessionError:
        return None


@pytest.mark.search
@settings(max_examples=search_size(1_000))
@given(FIELDS, HOSTILE, st.booleans())
def test_the_short_way_is_never_more_generous_than_the_round_trip(field: str, value: Any, within: bool) -> None:
    """Whatever is planted wherever: what the short way keeps, the round trip keeps, and both make equal snapshots."""
    session = full_session()
    earlier = _Codec(LinkedSession, 0)._short_way(session.__dict__, START, 0, None)
    plant(session, field, value, within=within)
    codec = _Codec(LinkedSession, 0)
    assert codec._has_short_way
    short = codec._short_way(session.__dict__, START, 0, earlier)
    long = kept_by_round_trip(codec, session)

    assert short is None or short == long


@pytest.mark.search
@settings(max_examples=search_size(500))
@given(VISIT_FIELDS, HOSTILE | st.just(MISSING), st.booleans())
def test_nor_within_a_visit(field: str, value: Any, known: bool) -> None:
    """The same for what is planted in a visit, or missing from it; a known visit before it makes no difference."""
    session = full_session(Session)
    codec = _Codec(Session, 0)
    earlier = codec._short_way(session.__dict__, START, 0, None) if known else None
    planted = visit()
    vars(planted)[field] = value
    if value is MISSING:
        del vars(planted)[field]
    session.step_history.append(planted)
    short = codec._short_way(session.__dict__, START, 0, earlier)
    long = kept_by_round_trip(codec, session)

    assert short is None or short == long
    assert short is None or Session.model_validate_json(short.model_dump_json()) == short


class LongWay(LinkedSession, validate_default=True):
    """The same, but for a setting that makes no class simpler."""


def plant(session: Session, field: str, value: Any, *, within: bool) -> None:
    """Put the value where the field is, or into the list or dict that is there."""
    container = session.__dict__[field]
    if within and isinstance(container, dict):
        container["planted"] = value
    elif within and isinstance(container, list):
        container.append(value)
    else:
        session.__dict__[field] = value


def is_packed_the_same(session: Session) -> bool:
    """Whether the session is refused, or else unpacked as what it was: of the same types, down to the last value."""
    records = Records()
    try:
        snapshot, packed = records.snapshot(session, START, revision=0)
    except InvalidSessionError:
        return True
    expected = exact(snapshot)
    assert packed is None or exact(records.unpack(packed)) == expected
    assert exact(records.copy(snapshot)) == expected
    return bool(exact(records.unpack(records.pack(snapshot))) == expected)


@pytest.mark.search
@settings(max_examples=search_size(500))
@given(st.sampled_from([LinkedSession, LongWay]), FIELDS, HOSTILE, st.booleans())
def test_what_is_accepted_is_unpacked_as_what_it_was(cls: type[Session], field: str, value: Any, within: bool) -> None:
    """Whatever is planted wherever, the short way and the long way: equal, and of the same types."""
    assert _Codec(LinkedSession, 0)._has_short_way
    assert not _Codec(LongWay, 0)._has_short_way
    session = full_session(cls)
    plant(session, field, value, within=within)

    assert is_packed_the_same(session)


@pytest.mark.search
@settings(max_examples=search_size(300))
@given(st.sampled_from([Session, LongWay]), VISIT_FIELDS, HOSTILE | st.just(MISSING))
def test_so_are_visits(cls: type[Session], field: str, value: Any) -> None:
    session, planted = full_session(cls), visit()
    vars(planted)[field] = value
    if value is MISSING:
        del vars(planted)[field]
    session.step_history.append(planted)

    assert is_packed_the_same(session)


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_so_are_sessions_of_whatever_class(make: Callable[[], Any]) -> None:
    session, records = make(), Records()
    snapshot, packed = records.snapshot(session, session.last_activity_at, revision=0)

    assert snapshot == session
    assert is_packed_the_same(session)
    unpacked = records.unpack(packed or records.pack(snapshot))
    records.share(unpacked)
    for shared in (snapshot, unpacked):
        again = records.copy(shared)
        assert exact(again) == exact(unpacked)
        assert again.model_fields_set == set(type(session).model_fields)
        again.__pydantic_fields_set__.clear()
        assert records.copy(shared).model_fields_set == set(type(session).model_fields)


def test_sessions_of_many_classes_are_each_unpacked_as_their_own() -> None:
    records = Records()
    snapshots = [records.snapshot(make(), START, revision=0).snapshot for _ in range(2) for make in ODD.values()]
    packed = [records.pack(snapshot) for snapshot in snapshots]

    assert [exact(records.unpack(one)) for one in packed] == [exact(snapshot) for snapshot in snapshots]


@pytest.mark.parametrize("cls", [Session, LongWay])
def test_unpacking_twice_gives_two_that_share_nothing_mutable(cls: type[Session]) -> None:
    records = Records()
    packed = records.pack(records.snapshot(full_session(cls), START, revision=0).snapshot)
    one, other = records.unpack(packed), records.unpack(packed)
    one.variables["a"]["b"].clear()  # type: ignore[index, union-attr, call-overload]  # as it was made
    one.step_history.clear()
    one.__pydantic_fields_set__.clear()

    assert exact(other) == exact(records.unpack(packed))
    assert other.model_fields_set == set(cls.model_fields)


@pytest.mark.parametrize("cls", [Session, NotedSession, LinkedSession])
def test_common_sessions_take_the_short_way(cls: type[Session]) -> None:
    session = full_session(cls)
    codec = _Codec(cls, 0)
    snapshot = codec._short_way(session.__dict__, session.last_activity_at, 0, None)

    assert snapshot == session
    assert exact(codec.round_trip(session).snapshot) == exact(snapshot)


def subclass(**namespace: Any) -> type[Session]:
    annotations = {name: value for name, value in namespace.items() if not name.startswith("_")}
    return type(
        "Sub", (Session,), {"__annotations__": annotations, **{k: v for k, v in namespace.items() if k[0] == "_"}}
    )


class Validated(Session):
    @field_validator("turn_count")
    @classmethod
    def _even(cls, value: int) -> int:
        return value


class Serialized(Session):
    @field_serializer("turn_count")
    def _as_text(self, value: int) -> str:
        return str(value)


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


@pytest.mark.parametrize(
    "cls",
    [
        Validated,
        Serialized,
        Computed,
        Initialized,
        Hooked,
        Open,
        Private,
        Narrowed,
        TaggedSession,
        subclass(score=Annotated[float, Field(ge=0)]),
        subclass(name=Annotated[str, Field(alias="n")]),
        subclass(name=Annotated[str, Field(exclude=True)]),
        subclass(either=UUID | str),
        subclass(anything=Any),
        subclass(numbered=dict[int, str]),
        subclass(day=type(START)),
    ],
)
def test_classes_that_may_change_what_they_keep_take_the_long_way(cls: type[Session]) -> None:
    assert not _Codec(cls, 0)._has_short_way


def test_known_visits_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long history costs no more to save than a short one: only visits that are not in the store are checked."""
    session = full_session(Session)
    records = Records()
    earlier = records.snapshot(session, START, revision=0).snapshot
    checked: list[BaseModel] = []
    monkeypatch.setattr("sessiondex.records._check_fact", lambda _cls, fact, *_: checked.append(fact))
    session.step_history.append(visit("new"))
    records.snapshot(session, START, earlier, revision=0)
    assert checked == [session.step_history[-1]]

    session.step_history[0] = visit("rewritten")
    checked.clear()
    records.snapshot(session, START, earlier, revision=0)
    assert checked == session.step_history


def test_an_unsound_visit_among_known_ones_is_found() -> None:
    session = full_session(Session)
    records = Records()
    earlier = records.snapshot(session, START, revision=0).snapshot
    session.step_history.insert(1, StepVisit.model_construct(step_id="x", entered_at=START))
    with pytest.raises(InvalidSessionError, match=r"step_history\.1"):
        records.snapshot(session, START, earlier, revision=0)


class EqualToAll:
    """Whoever compares it with what is known takes it for that."""

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # as Python has it


class Marked(StepVisit):
    """Nothing but another class."""


def with_another_class(known: StepVisit) -> StepVisit:
    object.__setattr__(known, "__class__", Marked)
    return known


@pytest.mark.parametrize(
    "disguised", [lambda known: known.model_copy(update={"step_name": EqualToAll()}), with_another_class]
)
def test_a_visit_that_looks_like_a_known_one_is_checked(disguised: Callable[[StepVisit], StepVisit]) -> None:
    session, records = full_session(Session), Records()
    earlier = records.snapshot(session, START, revision=0).snapshot
    session.step_history[0] = disguised(session.step_history[0])
    with pytest.raises(InvalidSessionError):
        records.snapshot(session, START, earlier, revision=0)


def test_what_is_not_quite_plain_is_packed_as_json() -> None:
    """Should a validation ever let pass a string that is more than one, it is not the packing that breaks."""
    records = Records()
    snapshot = records.snapshot(full_session(Session), START, revision=0).snapshot
    vars(snapshot)["scenario_checksum"] = Text("x")
    unpacked = records.unpack(records.pack(snapshot))

    assert unpacked == snapshot
    assert type(unpacked.scenario_checksum) is str


def unchecked(value: Any) -> StepVisit:
    if isinstance(value, StepVisit):
        return value
    sound = StepVisit.model_validate({**value, "confidence": 1.0})
    return StepVisit.model_construct(**{**vars(sound), "confidence": value["confidence"]})


class Unchecked(Session):
    """Its visits may be as confident as they like."""

    step_history: list[Annotated[StepVisit, PlainValidator(unchecked)]] = []


def test_a_visit_that_was_good_enough_for_another_class_is_checked() -> None:
    """What a class accepts that checks less than `Session` does is not known to be sound."""
    session, records = make_session(Unchecked), Records()
    session.step_history.append(visit().model_copy(update={"confidence": 7.0}))
    earlier = records.snapshot(session, START, revision=0).snapshot
    assert earlier.step_history[0].confidence == 7.0
    plain = make_session(session_id=session.session_id)
    plain.step_history += earlier.step_history
    with pytest.raises(InvalidSessionError, match=r"step_history\.0"):
        records.snapshot(plain, START, earlier, revision=0)


def unpacked_session() -> Any:
    """Return a session as a store gives it that had packed it."""
    records = Records()
    return records.unpack(records.pack(records.snapshot(full_session(Session), START, revision=0).snapshot))


def test_visits_that_were_unpacked_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the earlier snapshot is not at hand, and also by another store."""
    session = unpacked_session()
    session.step_history.append(visit("new"))
    session.pending_migration = None
    checked: list[BaseModel] = []
    monkeypatch.setattr("sessiondex.records._check_fact", lambda _cls, fact, *_: checked.append(fact))
    snapshot = Records().snapshot(session, START, revision=0).snapshot

    assert checked == session.step_history[-1:]
    assert snapshot.step_history == session.step_history


def test_the_mark_of_an_unpacked_visit_cannot_be_changed_or_passed_on() -> None:
    """What `model_fields_set` gives is a copy: of one visit, not of all."""
    session = unpacked_session()
    known, other = session.step_history
    assert known.model_fields_set == set(StepVisit.model_fields)
    known.model_fields_set.clear()

    assert known.model_fields_set is not known.model_fields_set
    assert known.model_fields_set == other.model_fields_set == set(StepVisit.model_fields) == SOUND


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


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_what_was_made_from_an_unpacked_visit_is_checked(derive: Callable[[StepVisit], StepVisit]) -> None:
    """It is another visit, and its values are other values, which nobody has looked at."""
    session = unpacked_session()
    session.step_history[0] = derive(session.step_history[0])
    with pytest.raises(InvalidSessionError, match=r"step_history\.0\.confidence"):
        Records().snapshot(session, START, revision=0)


class Point(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str = ""

    @cached_property
    def words(self) -> list[str]:
        return [self.name]


@pytest.mark.parametrize(
    "value",
    [
        [1, [2, {"a": [3]}]],
        {"a": {"b": [1]}},
        {(1, 2): [3]},
        {1, 2},
        ([1], 2),
        [Point(name="x")],
        visit(step_id=AGENT),
        Channel.SMS,
        START,
    ],
    ids=repr,
)
def test_copies_by_value_share_nothing_mutable(value: Any) -> None:
    copied = _copy_value(value)

    assert copied == value
    assert type(copied) is type(value)
    assert not {id(container) for container in mutable_in(value)} & {id(container) for container in mutable_in(copied)}


def mutable_in(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(found for item in value.values() for found in mutable_in(item))]
    if isinstance(value, list | tuple | set):
        inner = [found for item in value for found in mutable_in(item)]
        return inner if isinstance(value, tuple) else [value, *inner]
    return [value, vars(value)] if isinstance(value, Point) else []


class Cached(Session):
    @cached_property
    def words(self) -> list[str]:
        return ["a", "b"]


def test_a_cached_property_does_not_go_along() -> None:
    """What Python caches in the instance is no field: it is not kept, and does not get in the way."""
    session = full_session(Cached)
    assert session.words == ["a", "b"]
    snapshot = Records().snapshot(session, session.last_activity_at, revision=0).snapshot

    assert "words" not in snapshot.__dict__
    assert snapshot == session


def test_an_attribute_that_is_no_field_is_refused() -> None:
    """It would be lost without a word: `model_copy` lets one plant anything."""
    session = full_session(Session).model_copy(update={"nickname": "x"})

    with pytest.raises(InvalidSessionError, match="nickname: is no field"):
        Records().snapshot(session, START, revision=0)
