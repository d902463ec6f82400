"""`reindex` finds what was saved before a field was declared as `Indexed`, or by a process that did not know it."""

from __future__ import annotations

import logging
from typing import Annotated, Any, ClassVar

import pytest

from sessiondex import Indexed, ReindexProgress, Session
from tests.support.builders import TENANT, make_session
from tests.support.redis.internals import prefix_of


class Old(Session):
    session_type: ClassVar[str] = "ticket"
    note: str = ""


class New(Session):
    session_type: ClassVar[str] = "ticket"
    note: Annotated[str, Indexed()] = ""


def two_releases(make_redis: Any) -> tuple[Any, Any]:
    old = make_redis(session_classes=[Old])
    return old, make_redis(prefix=prefix_of(old), session_classes=[New])


async def test_sessions_of_the_release_before_are_found_afterwards(make_redis: Any) -> None:
    """Stamps and revisions stay, and a second call changes nothing."""
    old, new = two_releases(make_redis)
    saved = [make_session(Old, note=f"note {number % 3}") for number in range(230)]
    await old.save_many(saved)
    progress: list[ReindexProgress] = []
    assert await new.count_by_field(TENANT, "note", "note 1") == 0
    done = await new.reindex(progress=progress.append)
    found = await new.list_by_field(TENANT, "note", "note 1", limit=100)

    assert done == progress[-1] == ReindexProgress(230, 230)
    assert [one.read for one in progress] == [100, 200, 230]
    expected = [(one.session_id, one.last_activity_at, one.revision) for one in reversed(saved[1::3])]
    assert [(one.session_id, one.last_activity_at, one.revision) for one in found] == expected
    assert await new.reindex() == ReindexProgress(230, 0)


async def test_a_worker_that_does_not_know_the_index_drops_a_session_from_it(make_redis: Any) -> None:
    """Until `reindex` runs again."""
    old, new = two_releases(make_redis)
    session = make_session(New, note="late")
    await new.save(session)
    seen = await old.get(session.session_id)
    await old.save(seen)
    assert await new.get_by_field(TENANT, "note", "late") is None
    await new.reindex()
    found = await new.get_by_field(TENANT, "note", "late")

    assert found.session_id == session.session_id


async def test_a_value_that_cannot_be_indexed_stops_nothing(make_redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the session, and the others are indexed."""
    old, new = two_releases(make_redis)
    sessions = [make_session(Old, note=note) for note in ("a", "b" * 2_000, "c")]
    await old.save_many(sessions)
    with caplog.at_level(logging.WARNING, "sessiondex"):
        done = await new.reindex()

    assert done == ReindexProgress(3, 2)
    assert await new.count_by_field(TENANT, "note", "c") == 1
    assert str(sessions[1].session_id) in caplog.text
    assert "b" * 100 not in caplog.text
