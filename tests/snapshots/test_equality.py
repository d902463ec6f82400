"""Values of users' own fields come back the same, instants with their offset; or they are refused by path."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import Base64Bytes, BaseModel, ConfigDict, JsonValue, PrivateAttr, RootModel, create_model

from sessiondex import InvalidSessionError, Session
from sessiondex.snapshots.equality import find_difference_path
from tests.support.builders import make_session
from tests.support.snapshots import STAMP, make_codec, refusal, through_codec

LISBON = ZoneInfo("Europe/Lisbon")


class Reminder(BaseModel):
    at: datetime
    note: Decimal | str = ""
    blob: bytes = b""


class Mixed(Session):
    at: datetime | None = None
    times: list[datetime] = []
    by_name: dict[str, datetime] = {}
    text: datetime | str = ""
    number: Decimal | str | None = None
    texts: list[UUID | str] = []
    reminders: list[Reminder] = []
    anything: Any = None
    nested: list[Any] | None = None
    blob: bytes = b""
    blobs: list[bytes] = []
    blob_set: set[bytes] = set()
    encoded: Base64Bytes = b""


def as_other_process(session: Any) -> Any:
    """Return the session through the JSON that a server keeps."""
    codec = make_codec()
    prepared = codec.prepare(session)
    portable = codec.to_json(prepared.packed, prepared.session_id.bytes, prepared.tenant_id.bytes, STAMP, 1)
    return make_codec().from_json(*portable, STAMP, 1)


@pytest.mark.parametrize("zone", [LISBON, ZoneInfo("Asia/Kathmandu"), timezone(timedelta(hours=-3)), UTC], ids=str)
@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("hour", [0, 1, 2, 12])
def test_instants_come_back_with_their_offset(zone: Any, fold: int, hour: int) -> None:
    """Also in the hour that the end of summer time repeats."""
    at = datetime(2026, 10, 25, hour, 30, tzinfo=zone, fold=fold)
    given = make_session(Mixed, at=at, times=[at], by_name={"a": at}, reminders=[Reminder(at=at)])
    for found in (through_codec(given), as_other_process(given)):
        for one in (found.at, found.times[0], found.by_name["a"], found.reminders[0].at):
            assert (one.astimezone(UTC), one.utcoffset()) == (at.astimezone(UTC), at.utcoffset())


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "1.50", "", "x", str(UUID(int=7)), "17"])
def test_texts_in_unions_come_back_as_texts(text: str) -> None:
    given = make_session(
        Mixed,
        text=text,
        number=text,
        texts=[text, "x"],
        reminders=[Reminder(at=datetime(2026, 1, 1, tzinfo=UTC), note=text)],
    )
    assert all(type(value) is str for value in (given.text, given.number)), (
        "pydantic makes something else of it already"
    )
    for found in (through_codec(given), as_other_process(given), as_other_process(as_other_process(given))):
        for value in (found.text, found.number, found.texts[0], found.reminders[0].note):
            assert (type(value), value) == (str, text)


def test_other_times_differ() -> None:
    at = datetime(2026, 10, 25, 1, 30, tzinfo=LISBON)
    other_zone = at.astimezone(timezone(timedelta(hours=7)))

    assert find_difference_path([at], [at.replace(fold=1).astimezone(UTC)]) == (0,)
    assert find_difference_path({"a": at}, {"a": at.replace(minute=31).astimezone(timezone(timedelta(hours=1)))}) == (
        "a",
    )
    assert find_difference_path(at, at.replace(tzinfo=None)) == ()
    assert find_difference_path(at, at.astimezone(timezone(timedelta(hours=1)))) is None
    assert find_difference_path(at, other_zone) == ()


def test_other_members_of_unions_come_back_too() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    given = make_session(Mixed, text=at, number=Decimal("1.50"), texts=[UUID(int=7), "x"])
    found = as_other_process(given)

    assert (found.text, found.number, found.texts) == (at, Decimal("1.50"), [UUID(int=7), "x"])
    assert (type(found.number), type(found.texts[0])) == (Decimal, UUID)


class Level(IntEnum):
    HIGH = 3


class Colour(StrEnum):
    RED = "red"


class Shape(Enum):
    ROUND = "round"


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"anything": Colour.RED}, "anything"),
        ({"anything": {"a": [1, Level.HIGH]}}, "anything.a.1"),
        ({"anything": Shape.ROUND}, "anything"),
        ({"anything": Word("red")}, "anything"),
        ({"anything": (1, 2)}, "anything"),
        ({"anything": {1: "x"}}, "anything"),
        ({"anything": [datetime(2026, 1, 1, tzinfo=UTC)]}, "anything.0"),
        ({"nested": [[], [Decimal("1.5")]]}, "nested.1.0"),
        ({"blobs": [b"ok", b"\xff"]}, "blobs.1"),
    ],
)
def test_what_would_change_silently_is_refused_by_path(fields: dict[str, Any], path: str) -> None:
    error = refusal(make_session(Mixed, **fields))

    assert (error.field or "").startswith(path)


def test_plain_values_of_any_are_kept() -> None:
    value = {"a": [1, 1.0, True, None, "x", {"b": [-0.0]}]}
    found = as_other_process(make_session(Mixed, anything=value, nested=[value]))

    assert json.dumps([found.anything, found.nested]) == json.dumps([value, [value]])


def test_bytes_that_are_text_or_encoded_are_kept() -> None:
    assert as_other_process(make_session(Mixed, blob="é".encode(), encoded=b"/w==")).encoded == b"\xff"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"blob": b"\xff"}, "blob"),
        ({"blobs": [b"ok", b"\xff"]}, "blobs.1"),
        ({"blob_set": {b"ok", b"\xff"}}, "blob_set"),
        (
            {
                "reminders": [
                    Reminder(at=datetime(2026, 1, 1, tzinfo=UTC)),
                    Reminder(at=datetime(2026, 1, 1, tzinfo=UTC), blob=b"\xff"),
                ]
            },
            "reminders.1.blob",
        ),
    ],
)
def test_bytes_are_refused_by_path_with_the_remedy(fields: dict[str, Any], path: str) -> None:
    error = refusal(make_session(Mixed, **fields))

    assert error.field == path
    assert "Base64Bytes" in error.reason


@pytest.mark.parametrize("zone", [ZoneInfo("America/New_York"), timezone(timedelta(seconds=-1))], ids=str)
def test_an_offset_with_seconds_is_refused_with_the_remedy(zone: Any) -> None:
    """Local mean time, as zones have it for dates of the 19th century. JSON would lose the seconds."""
    error = refusal(make_session(Mixed, reminders=[Reminder(at=datetime(1880, 1, 1, tzinfo=zone))]))

    assert error.field == "reminders.0.at"
    assert "astimezone(UTC)" in error.reason


class Narrowed(Session):
    model_config = ConfigDict(use_enum_values=True)
    channel: str


def test_enum_values_and_plain_channels_are_kept() -> None:
    for channel in ("sms", "telegram"):
        found = as_other_process(make_session(Narrowed, channel=channel, status="closed"))
        assert (found.channel, found.status) == (channel, "closed")


def test_a_refusal_of_any_kind_is_an_invalid_session_error() -> None:
    with pytest.raises(InvalidSessionError, match=r"anything\.0: "):
        make_codec().prepare(make_session(Mixed, anything=[{1, 2}]))


# -- what a review found --


class Strict(Session):
    numbers: list[int] = []
    ids: list[UUID] = []
    flags: list[bool] = []
    prices: dict[str, Decimal] = {}


@pytest.mark.parametrize("field", ["numbers", "ids", "flags", "prices"])
def test_a_text_that_the_field_does_not_allow_is_refused(field: str) -> None:
    """Planted in place, past validation."""
    session = make_session(Strict)
    text = {"ids": str(UUID(int=7)), "flags": "true"}.get(field, "5")
    planted: Any = getattr(session, field)
    if isinstance(planted, dict):
        planted["a"] = text
    else:
        planted.append(text)

    assert (refusal(session).field or "").startswith(field)


class Inner(BaseModel):
    _private: int = PrivateAttr(default=0)


class Loose(BaseModel, extra="allow"):
    pass


class Listed(RootModel[list[datetime | str]]):
    pass


class Wide(Session):
    inner: Inner | None = None
    loose: Loose | None = None
    listed: Listed | None = None
    by_number: dict[int, datetime | str] = {}
    by_id: dict[UUID, datetime | str] = {}
    bare: dict = {}  # type: ignore[type-arg]  # on purpose
    value: JsonValue = None


def private(value: int) -> Inner:
    inner = Inner()
    inner._private = value
    return inner


ISO = "2026-01-01T00:00:00"


@pytest.mark.parametrize(
    "fields",
    [
        {"inner": private(5)},
        {"loose": Loose.model_validate({"a": (1, 2)})},
        {"listed": Listed([ISO])},
        {"by_number": {1: ISO}},
        {"by_id": {UUID(int=1): ISO}},
        {"bare": {"a": Level.HIGH}},
        {"value": [Level.HIGH]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_parts_are_kept_or_refused(fields: dict[str, Any]) -> None:
    """Never changed, and never with a key more."""
    (name,) = fields
    session = make_session(Wide)
    vars(session).update(fields)

    assert (refusal(session).field or "").startswith(name)


def test_names_of_notes_are_refused() -> None:
    fields: dict[str, Any] = {"sessiondex: texts": (int, 7)}
    odd = create_model("Odd", __base__=Session, **fields)

    class Open(Session, extra="allow"):
        pass

    assert (refusal(make_session(odd)).field or "") == "sessiondex: texts"
    extra: Any = {"sessiondex: schema_version": 9}
    assert (refusal(make_session(Open, **extra)).field or "") == "sessiondex: schema_version"
