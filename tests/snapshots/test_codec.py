"""The codec returns every accepted session as it was, in memory and through JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, ValidationInfo, field_validator

from sessiondex import Channel, InvalidSessionError, Session, SessionStatus, UnreadableSessionError
from sessiondex.snapshots.class_codec import write_back_version
from sessiondex.snapshots.codec import SnapshotCodec
from sessiondex.testing import strategies as some
from tests.support.builders import AGENT, START, NotedSession, TaggedSession, make_session
from tests.support.exact_values import exact
from tests.support.session_classes import EnumValues, Secretive
from tests.support.snapshots import (
    STAMP,
    ByRoundTrip,
    full_session,
    is_accepted_at_once,
    make_codec,
    through_codec,
    unpack,
)
from tests.support.unusual_sessions import ODD, Id, Text


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_sessions_of_all_kinds_come_back(make: Callable[[], Any]) -> None:
    """Unpacked, copied, and through JSON: equal, with equal types in all three."""
    codec, session = make_codec(), make()
    before = exact(session)
    prepared = codec.prepare(session)
    found, again = unpack(codec, prepared), unpack(codec, prepared)
    portable = codec.to_json(prepared.packed, prepared.session_id.bytes, prepared.tenant_id.bytes, STAMP, 7)
    loaded = make_codec().from_json(*portable, STAMP, 7)

    assert exact(session) == before
    cls = type(session)
    assert portable.cls is type(found) is cls
    assert through_codec(session) == session
    assert exact(found) == exact(again) == exact(codec.copy(again)) == exact(loaded)
    assert (found.last_activity_at, found.revision) == (START, 7)
    for one in (found, codec.copy(found), loaded):
        assert one.model_fields_set == set(cls.model_fields)


def test_sessions_of_many_classes_are_each_unpacked_as_their_own() -> None:
    codec = make_codec()
    sessions = [make() for _ in range(2) for make in ODD.values()]
    prepared = [codec.prepare(session) for session in sessions]

    assert [type(unpack(codec, one)) for one in prepared] == [type(session) for session in sessions]


@pytest.mark.parametrize("cls", [Session, NotedSession, ByRoundTrip, TaggedSession])
def test_the_row_decides_on_stamp_and_revision(cls: type[Session]) -> None:
    codec = make_codec()
    prepared = codec.prepare(make_session(cls, last_activity_at=START - timedelta(days=1), revision=3))
    found = unpack(codec, prepared, stamp=1, revision=2**40)

    assert (found.last_activity_at, found.revision) == (datetime(1970, 1, 1, 0, 0, 0, 1, UTC), 2**40)
    assert type(found.last_activity_at) is datetime


def test_a_plain_packed_session_does_not_depend_on_the_version() -> None:
    """So a conflict or a touch never packs again."""
    session = full_session()
    packed = make_codec().prepare(session).packed
    write_back_version(session, STAMP + 1, 9)

    assert make_codec().prepare(session).packed == packed
    assert session.session_id.bytes not in packed
    assert session.tenant_id.bytes not in packed


@pytest.mark.parametrize("stamp", [0, 1, STAMP, 253_402_300_799_999_999])
def test_any_stamp(stamp: int) -> None:
    codec = make_codec()
    found = unpack(codec, codec.prepare(make_session()), stamp=stamp)

    assert (found.last_activity_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) == stamp


# -- index keys --


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
def test_index_keys_are_computed_from_checked_values(cls: type[Session]) -> None:
    seen: list[Any] = []

    def index_keys(values: Any, _indexed: Any) -> tuple[Any, ...]:
        seen.append(dict(values))
        return values["agent_id"].bytes, values["channel"].value

    session = make_session(cls)
    prepared = SnapshotCodec[Any](index_keys).prepare(session)
    assert prepared.index_keys == (AGENT.bytes, "webchat")
    vars(session)["channel"] = "a\0"
    with pytest.raises(InvalidSessionError):
        SnapshotCodec[Any](index_keys).prepare(session)

    assert len(seen) == 1


def test_index_keys_are_made_of_enums_where_a_class_keeps_their_values() -> None:
    session = make_session(EnumValues, status="idle", channel="sms")
    assert type(session.status) is str
    values = make_codec().prepare(session).index_keys[0]

    assert (values["status"], values["channel"]) == (SessionStatus.IDLE, Channel.SMS)
    assert (type(values["status"]), type(values["channel"])) == (SessionStatus, Channel)


def test_index_keys_may_use_fields_of_a_subclass() -> None:
    for cls in (NotedSession, TaggedSession):
        values = make_codec().prepare(make_session(cls)).index_keys[0]
        assert set(values) == set(cls.model_fields)


@pytest.mark.parametrize("cls", [Session, ByRoundTrip])
def test_ids_of_a_subclass_of_uuid_are_normalised(cls: type[Session]) -> None:
    """Database drivers return such ids."""
    session = make_session(cls, session_id=Id(int=7), tenant_id=Id(int=8), agent_id=Id(int=9))
    prepared = make_codec().prepare(session)

    assert (type(prepared.session_id), type(prepared.tenant_id)) == (UUID, UUID)
    assert (prepared.session_id, prepared.tenant_id) == (UUID(int=7), UUID(int=8))
    assert type(prepared.index_keys[0]["agent_id"]) is UUID
    assert type(through_codec(session).agent_id) is UUID


class OwnIds(Session):
    session_id: Annotated[UUID, PlainValidator(lambda value: Id(str(value)))]


def test_ids_are_exact_even_if_the_class_insists_on_its_own() -> None:
    session = make_session(OwnIds, session_id=UUID(int=7))

    assert type(make_codec().prepare(session).session_id) is UUID
    assert type(through_codec(session).session_id) is Id


# -- which way --


@pytest.mark.parametrize("make", [full_session, make_session, lambda: full_session(NotedSession)])
def test_common_sessions_are_accepted_at_once(make: Callable[[], Any]) -> None:
    codec, session = make_codec(), make()

    assert is_accepted_at_once(session)
    assert is_accepted_at_once(unpack(codec, codec.prepare(session)))


@pytest.mark.parametrize("values", [{"turn_count": True}, {"agent_id": Id(int=1)}, {"scenario_checksum": Text("x")}])
def test_a_plain_session_that_needed_a_round_trip_is_packed_all_the_same(values: dict[str, Any]) -> None:
    """It came back with exact types, and unpacks faster than JSON."""
    session = make_session()
    plain = make_codec().prepare(session).packed
    vars(session).update(values)
    assert not is_accepted_at_once(session)

    assert make_codec().prepare(session).packed[-4:] == plain[-4:]


def test_a_value_beyond_the_fast_check_is_stored_as_json() -> None:
    session = make_session(variables={"x": 2**64})
    packed = make_codec().prepare(session).packed

    assert json.loads(packed[:-4])["variables"] == {"x": 2**64}
    assert through_codec(session) == session


# -- classes with behaviour --


class Cached(Session):
    @cached_property
    def words(self) -> list[str]:
        return ["a", "b"]


def test_a_cached_property_is_left_behind() -> None:
    """Python keeps its value in the instance. It is no field, so it is not stored, and does no harm."""
    session = full_session(Cached)
    assert session.words == ["a", "b"]
    found = through_codec(session)

    assert "words" not in vars(found)
    assert found == full_session(Cached).model_copy(update=vars(found))
    assert session.words == ["a", "b"]


class ByContext(Session):
    allowed: int = 3

    @field_validator("allowed")
    @classmethod
    def _at_most(cls, value: int, _info: ValidationInfo) -> int:
        if value > LIMIT["now"]:
            raise ValueError("too many")
        return value


LIMIT = {"now": 5}


def test_a_validator_that_changes_its_mind_is_named_on_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = make_codec()
    prepared = codec.prepare(make_session(ByContext))
    monkeypatch.setitem(LIMIT, "now", 1)

    with pytest.raises(InvalidSessionError, match="ByContext does not load what it accepted"):
        unpack(codec, prepared)


def test_json_of_another_class_is_refused() -> None:
    session = make_session(NotedSession)
    data = session.model_dump_json().replace('"turn_count":0', '"turn_count":"many"').encode()
    with pytest.raises(UnreadableSessionError, match="Session does not load") as error:
        make_codec().from_json(NotedSession, 1, data, STAMP, 1)

    found = error.value
    assert (found.session_id, found.version, found.field) == (session.session_id, 1, "turn_count")
    assert found.session_type == "tests.support.builders:NotedSession"
    assert isinstance(found.__cause__, ValidationError)


def test_json_holds_the_given_version_and_no_alias() -> None:
    codec = make_codec()
    session_id, tenant_id, packed, _, _ = codec.prepare(full_session())
    cls, _, data = codec.to_json(packed, session_id.bytes, tenant_id.bytes, STAMP, 5)

    assert cls is Session
    assert Session.model_validate_json(data) == codec.unpack(packed, session_id.bytes, tenant_id.bytes, STAMP, 5)


def test_an_excluded_field_with_its_default_survives_json() -> None:
    codec = make_codec()
    session_id, tenant_id, packed, _, _ = codec.prepare(make_session(Secretive))
    cls, version, data = codec.to_json(packed, session_id.bytes, tenant_id.bytes, STAMP, 5)

    assert codec.from_json(cls, version, data, STAMP, 5).secret == ""


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str = ""

    @cached_property
    def words(self) -> list[str]:
        return [self.name]


class Anything(Session):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    shapes: list[Shape] = []
    pair: tuple[list[int], int] = ([], 0)
    by_key: dict[int, list[int]] = {}
    numbers: set[int] = set()


def test_copies_of_any_class_share_nothing_mutable() -> None:
    """A frozen model may cache a list."""
    codec = make_codec()
    session = make_session(Anything, shapes=[Shape(name="x")], pair=([1], 2), by_key={1: [3]}, numbers={1})
    found: Any = unpack(codec, codec.prepare(session))
    assert found.shapes[0].words == ["x"]
    again = codec.copy(found)
    again.shapes[0].words.append("spoilt")
    for container in (again.pair[0], again.by_key[1], again.numbers):
        container.clear()

    assert (found.shapes[0].words, found.pair, found.by_key, found.numbers) == (["x"], ([1], 2), {1: [3]}, {1})


@given(st.builds(lambda fields: make_session(**fields), st.fixed_dictionaries(some.changes)))
def test_any_session_comes_back(session: Session) -> None:
    """Also if a number is too long for the fast check."""
    assert exact(through_codec(session)) == exact(session)
