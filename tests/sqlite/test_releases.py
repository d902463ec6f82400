"""Sessions in a journal are read by other releases of their classes, as those on a server are."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, ClassVar
from uuid import UUID

import pytest
from pydantic import field_validator

from sessiondex import Indexed, InvalidSessionError, Session, TenantMismatchError, UnreadableSessionError
from tests.support.builders import OTHER_TENANT, TENANT, make_session
from tests.support.stores import check_indexes


class First(Session):
    session_type: ClassVar[str] = "ticket"

    title: str = ""
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None


class Second(Session):
    """`title` is called `subject`, and there are labels."""

    session_type: ClassVar[str] = "ticket"
    schema_version: ClassVar[int] = 2

    subject: str = ""
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    labels: Annotated[list[str], Indexed()] = []

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        assert version == 1
        data["subject"] = data.pop("title")
        data["labels"] = ["upgraded"]
        return data


class Stricter(Session):
    """The first release, with a check that earlier sessions do not pass."""

    session_type: ClassVar[str] = "ticket"

    title: str = ""
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None

    @field_validator("title")
    @classmethod
    def _has_a_title(cls, title: str) -> str:
        if not title:
            raise ValueError("must not be empty")
        return title


class Numbered(Session):
    """The first release, with another type for the title: index keys can be read, the rest cannot."""

    session_type: ClassVar[str] = "ticket"

    title: int = 0
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None


class WithPlace(Session):
    """The first release, with a field that earlier sessions lack, and an index on it."""

    session_type: ClassVar[str] = "ticket"

    title: str = ""
    email: Annotated[str | None, Indexed(normalize=str.casefold)] = None
    place: Annotated[str, Indexed()] = "nowhere"


async def reopened(make_store: Any, store: Any, cls: type[Session], **options: Any) -> Any:
    await store.aclose()
    return await make_store(store.journal.path, session_classes=[cls], **options)


async def until_repacked(store: Any) -> None:
    while store._loader.loaded_keys:
        await asyncio.sleep(0)


async def test_a_later_release_upgrades_what_an_earlier_one_saved(make_store: Any) -> None:
    store, session = await make_store(), make_session(First, title="broken", email="Ann@x.org")
    await store.save(session)
    store = await reopened(make_store, store, Second)
    check_indexes(store)
    found = await store.get_by_field(TENANT, "email", "ann@X.org")

    assert (found.subject, found.labels, found.revision) == ("broken", ["upgraded"], 1)
    assert await store.count_by_field(TENANT, "labels", "upgraded") == 1


async def test_an_earlier_release_keeps_what_it_does_not_know(make_store: Any) -> None:
    store = await make_store()
    session = make_session(Second, subject="broken", email="ann@x.org", labels=["red"])
    await store.save(session)
    store = await reopened(make_store, store, First)
    check_indexes(store)
    found = await store.get(session.session_id)
    assert type(found) is First
    found.turn_count = 7
    await store.save(found)
    store = await reopened(make_store, store, Second)
    again = await store.get(session.session_id)

    assert (again.subject, again.labels, again.turn_count) == ("broken", ["red"], 7)
    assert await store.get_by_field(TENANT, "labels", "red") == again


async def save(store: Any, session: Session) -> None:
    await store.save(session)


async def save_many(store: Any, session: Session) -> None:
    await store.save_many([make_session(), session])


async def restore(store: Any, session: Session) -> None:
    stored = (await store.list_by_tenant(TENANT, limit=1))[0]
    await store.restore([session.model_copy(update={"revision": 9, "last_activity_at": stored.last_activity_at})])


@pytest.mark.parametrize("replace", [save, save_many, restore])
async def test_a_row_keeps_the_highest_version_that_wrote_it(make_store: Any, replace: Any) -> None:
    """Also if an earlier release replaces the session without having read it, as on a server."""
    store, session_id = await make_store(), UUID(int=7)
    await store.save(make_session(Second, session_id=session_id, subject="first"))
    store = await reopened(make_store, store, First)
    await replace(store, make_session(First, session_id=session_id, title="second", email="ann@x.org"))
    assert (await store.get(session_id)).title == "second"
    await save(store, make_session(First, session_id=session_id, title="third", email="ann@x.org"))
    await until_repacked(store)
    check_indexes(store)
    store = await reopened(make_store, store, Second)
    found = await store.get(session_id)
    assert (type(found), found.subject) == (Second, "")  # no upgrade
    assert await store.get_by_field(TENANT, "email", "ann@x.org") == found
    store = await reopened(make_store, store, First)

    assert (await store.get(session_id)).title == "third"


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_a_session_of_another_type_begins_anew(make_store: Any, is_deleted: bool) -> None:  # a parameter
    """So does one whose id was deleted."""
    store, session_id = await make_store(), UUID(int=7)
    await store.save(make_session(Second, session_id=session_id))
    store = await reopened(make_store, store, Session)
    if is_deleted:
        await store.delete(session_id)
    else:
        await store.save(make_session(session_id=session_id))
    await store.save(make_session(First, session_id=session_id, title="refund"))
    store = await reopened(make_store, store, Second)

    assert (await store.get(session_id)).subject == "refund"


async def test_a_session_of_a_class_that_is_unknown_yet_keeps_its_version(make_store: Any) -> None:
    """The class becomes known by the save that replaces it. What was read of a later version keeps that one."""
    store, (first, second) = await make_store(), (UUID(int=7), UUID(int=8))
    third = type("Third", (Second,), {"session_type": "ticket", "schema_version": 3, "__module__": __name__})
    await store.save(make_session(Second, session_id=first, subject="read"))
    store = await reopened(make_store, store, third)
    await store.save(make_session(third, session_id=second))
    store = await reopened(make_store, store, First)
    # The second session is read by no class; a copy of the first, of version 2, replaces it.
    copied = (await store.get(first)).model_copy(update={"session_id": second, "title": "copied", "revision": 1})
    store = await reopened(make_store, store, Session)
    await store.save(copied)
    store = await reopened(make_store, store, third)

    assert (await store.get(second)).subject == "read"


async def test_an_index_that_a_release_adds_is_there_at_once(make_store: Any) -> None:
    store, session = await make_store(), make_session(First)
    await store.save(session)
    store = await reopened(make_store, store, WithPlace)
    check_indexes(store)

    assert (await store.get_by_field(TENANT, "place", "nowhere")).session_id == session.session_id


async def test_a_session_whose_keys_can_be_read_is_found_and_can_be_deleted(make_store: Any) -> None:
    """As on a server: reading it raises, everything else works."""
    store, session = await make_store(), make_session(First, title="broken", email="ann@x.org")
    await store.save(session)
    store = await reopened(make_store, store, Numbered)
    await until_repacked(store)
    with pytest.raises(UnreadableSessionError) as caught:
        await store.get(session.session_id)
    error = caught.value
    assert (error.session_id, error.session_type, error.version, error.field) == (
        session.session_id,
        "ticket",
        1,
        "title",
    )
    assert await store.count_by_field(TENANT, "email", "ann@x.org") == 1
    assert await store.delete(session.session_id)


class Failing(Second):
    """The second release, whose upgrade fails: the session must not be read as if it were of that version."""

    session_type: ClassVar[str] = "ticket"

    @classmethod
    def upgrade(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        raise KeyError(version, len(data))


UNREADABLE: dict[str, tuple[type[Session], str]] = {
    "a class that is unknown": (Session, "give it in session_classes"),
    "a class that refuses it": (Stricter, "give it an upgrade"),
    "an upgrade that fails": (Failing, "KeyError"),
}


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("on_unreadable", ["raise", "skip"])
async def test_a_session_that_cannot_be_read_keeps_its_place(
    make_store: Any, name: str, on_unreadable: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, is of its tenant, and can be read by the right class later."""
    cls, reason = UNREADABLE[name]
    store = await make_store()
    bad, good = make_session(First), make_session()
    await store.save_many([bad, good])
    store = await reopened(make_store, store, cls, on_unreadable=on_unreadable)
    await until_repacked(store)
    assert await store.count_by_tenant(TENANT) == 2
    with pytest.raises(UnreadableSessionError, match=reason) as caught:
        await store.get(bad.session_id)
    assert (caught.value.session_id, caught.value.session_type, caught.value.version) == (bad.session_id, "ticket", 1)
    if on_unreadable == "skip":
        assert [found.session_id for found in await store.list_by_tenant(TENANT)] == [good.session_id]
    else:
        with pytest.raises(UnreadableSessionError):
            await store.list_by_tenant(TENANT)
    with pytest.raises(TenantMismatchError):
        await store.save(make_session(session_id=bad.session_id, tenant_id=OTHER_TENANT))
    await store.touch(bad.session_id)
    store = await reopened(make_store, store, First)
    found = await store.get(bad.session_id)

    assert found.last_activity_at > bad.last_activity_at
    assert found == bad.model_copy(update={"last_activity_at": found.last_activity_at})


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_session_that_cannot_be_read_is_erased_with_its_tenant(make_store: Any, name: str) -> None:
    store, bad = await make_store(), make_session(First)
    await store.save(bad)
    store = await reopened(make_store, store, UNREADABLE[name][0])
    assert await store.delete_by_tenant(TENANT) == 1
    store = await reopened(make_store, store, First)

    assert await store.get(bad.session_id) is None


async def test_a_class_without_a_fixed_name_is_refused_before_anything_is_saved(make_store: Any) -> None:
    class Local(Session):
        pass

    store = await make_store()
    with pytest.raises(InvalidSessionError, match="session_type"):
        await store.save(make_session(Local))

    assert await store.count_by_tenant(TENANT) == 0


async def test_json_and_packed_rows_give_equal_sessions(make_store: Any) -> None:
    """Loaded, repacked, saved: a session is the same, and in the same lists."""
    store = await make_store()
    sessions = [
        make_session(First, session_id=UUID(int=100 + number), title="é\0x", email=f"{number}@x.org", turn_count=number)
        for number in range(120)
    ]
    await store.save_many(sessions)
    store = await reopened(make_store, store, First)
    loaded = store.stats().packed_bytes
    as_json = await store.list_by_tenant(TENANT, limit=200)
    await until_repacked(store)
    check_indexes(store)
    repacked = await store.list_by_tenant(TENANT, limit=200)

    assert as_json == repacked == sessions[::-1]
    assert store.stats().packed_bytes < loaded
