"""What a later release stored survives an earlier one; rows of an earlier release are upgraded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from pydantic import ConfigDict, field_validator

from sessiondex import Session, UnreadableSessionError
from sessiondex.snapshots.codec import Portable, SnapshotCodec
from tests.support.builders import make_session
from tests.support.snapshots import STAMP, make_codec


class First(Session):
    """The first release."""

    name: str = ""


class Second(Session):
    """The second release: `name` became `title`, and `labels` is new."""

    schema_version: ClassVar[int] = 2
    title: str = ""
    labels: list[str] = []

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1
        data["title"] = data.pop("name", "")
        return data


class SecondChecked(Second):
    """The same, not plain."""

    @field_validator("title")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()


class FirstChecked(First):
    """The first release, not plain."""

    @field_validator("name")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()


def stored(session: Session, codec: SnapshotCodec[Any] | None = None) -> Portable[Any]:
    """Return what a persistent store would keep."""
    codec = codec or make_codec()
    prepared = codec.prepare(session)
    return codec.to_json(prepared.packed, prepared.session_id.bytes, prepared.tenant_id.bytes, STAMP, 3)


def read(cls: type[Any], row: Portable[Any]) -> Any:
    return make_codec().from_json(cls, row.version, row.data, STAMP, 3)


@pytest.mark.parametrize("cls", [Second, SecondChecked])
def test_an_earlier_row_is_upgraded(cls: type[Second]) -> None:
    row = stored(make_session(First, name="refund"))
    found = read(cls, row)

    assert row.version == 1
    assert (found.title, found.labels) == ("refund", [])
    assert stored(found).version == 2


def assigned(session: Session) -> Session:
    session.turn_count = 5
    return session


@pytest.mark.parametrize("cls", [First, FirstChecked])
@pytest.mark.parametrize(
    "change",
    [
        lambda session: session,
        lambda session: session.model_copy(deep=True),
        assigned,
    ],
    ids=["unchanged", "copied", "assigned"],
)
def test_a_later_row_keeps_its_fields_and_its_version(cls: type[First], change: Any) -> None:
    """Also through stores in memory, which keep bytes and live copies."""
    given = make_session(Second, title="refund", labels=["a", "\u00e9"], variables={"n": [1.5, None]})
    old = change(read(cls, stored(given)))
    assert old.name == ""
    codec = make_codec()
    prepared = codec.prepare(old)
    again = codec.copy(codec.unpack(prepared.packed, old.session_id.bytes, old.tenant_id.bytes, STAMP, 3))
    row = stored(again, codec)
    found = read(Second, row)

    assert row.version == 2
    assert (found.title, found.labels, found.variables) == (given.title, given.labels, given.variables)
    assert stored(found).data == stored(found.model_copy(deep=True)).data
    assert read(cls, stored(found)).name == ""


def test_what_is_carried_shows_nowhere() -> None:
    old = read(First, stored(make_session(Second, title="refund")))

    assert "title" not in old.model_dump()
    assert "refund" not in old.model_dump_json() + repr(old)
    assert old == First.model_validate(old.model_dump())
    assert old.model_fields_set == set(First.model_fields)


def test_a_class_that_allows_or_ignores_extra_fields_decides_for_itself() -> None:
    class Allows(Session):
        model_config = ConfigDict(extra="allow")

    class Ignores(Session):
        model_config = ConfigDict(extra="ignore")

    row = stored(make_session(Second, title="refund", labels=["a"]))
    assert read(Allows, row).model_extra == {"title": "refund", "labels": ["a"]}
    assert read(Allows, stored(read(Allows, row))).model_extra == {"title": "refund", "labels": ["a"]}
    assert b"refund" not in stored(read(Ignores, row)).data
    assert [stored(read(cls, row)).version for cls in (Allows, Ignores)] == [2, 2]


class Broken(Second):
    schema_version: ClassVar[int] = 3

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> Any:
        return None if version == 2 else super().upgrade(data, version)


def test_an_upgrade_that_fails_is_named() -> None:
    session = make_session(Second)
    with pytest.raises(UnreadableSessionError, match=r"Broken does not load .*TypeError") as error:
        read(Broken, stored(session))

    assert (error.value.session_id, error.value.version) == (session.session_id, 2)
    assert isinstance(error.value.__cause__, TypeError)


# -- what a review found --

ISO = "2026-01-01T00:00:00"


class WithUnion(Session):
    at: datetime | str = ISO
    times: list[datetime | str] = []


class Retyped(Session):
    schema_version: ClassVar[int] = 2
    at: datetime | None = None
    times: list[datetime | str] = []

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1
        data["times"] = data["times"][1:]
        return data


def test_texts_survive_an_earlier_release() -> None:
    """It does not know the field, and carries where its texts are."""
    row = stored(make_session(WithUnion, at=ISO, times=[ISO]))
    old = read(Session, row)
    found = read(WithUnion, stored(old))

    assert (found.at, found.times) == (ISO, [ISO])


def test_texts_are_put_only_where_the_class_allows_them() -> None:
    """Also where an upgrade has moved the places."""
    later = datetime(2027, 1, 1, tzinfo=UTC)
    found = read(Retyped, stored(make_session(WithUnion, at=ISO, times=[ISO, later])))

    assert type(found.at) is datetime
    assert found.times == [later]


def test_a_session_can_be_made_of_another_that_carries() -> None:
    """`dict(session)` has fields alone."""
    old = read(First, stored(make_session(Second, title="refund")))

    assert dict(old).keys() == First.model_fields.keys()
    assert First(**dict(old)) == old


class Bumped(Session):
    """A later version that needs no upgrade."""

    schema_version: ClassVar[int] = 2
    name: str = ""


def test_without_upgrade_an_earlier_row_is_read_as_it_is() -> None:
    found = read(Bumped, stored(make_session(First, name="refund")))

    assert (found.name, stored(found).version) == ("refund", 2)
