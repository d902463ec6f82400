"""Law 13, first half: a save that expects a revision replaces that one or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import ConflictError, InvalidArgumentError, InvalidSessionError, TenantMismatchError
from tests.support.builders import OTHER_TENANT, NotedSession, TaggedSession, make_session
from tests.support.cached_sessions import save_and_cache


@pytest.mark.parametrize("cls", [NotedSession, TaggedSession])
async def test_a_revision_counts_the_saves(store: Any, cls: Any) -> None:
    session = make_session(cls)
    assert session.revision == 0
    for number in range(1, 5):
        await store.save(session)
        found = await store.get(session.session_id)
        assert (session.revision, found.revision) == (number, number)
        assert found == session


async def test_the_revision_of_the_given_session_does_not_matter(store: Any) -> None:
    session = make_session(revision=7)
    await store.save(session)
    assert session.revision == 1
    stale = make_session(session_id=session.session_id)
    await store.save(stale)

    assert (await store.get(session.session_id)).revision == stale.revision == 2
    assert "revision" in stale.model_fields_set


async def test_a_conflict_takes_no_stamp(store: Any) -> None:
    session, other = make_session(), make_session()
    await store.save(session)
    with pytest.raises(ConflictError):
        await store.save(session, expected_revision=0)
    await store.save(other)

    assert (other.last_activity_at - session.last_activity_at).microseconds == 1


async def test_no_conflict_tells_of_another_tenants_session(store: Any) -> None:
    session = make_session()
    await store.save(session)
    stolen = make_session(session_id=session.session_id, tenant_id=OTHER_TENANT)
    with pytest.raises(TenantMismatchError):
        await store.save(stolen, expected_revision=0)


async def test_an_invalid_session_is_refused_whatever_revision_is_expected(store: Any) -> None:
    session = make_session()
    session.variables["x"] = float("nan")
    with pytest.raises(InvalidSessionError, match="variables"):
        await store.save(session, expected_revision=0)
    assert session.revision == 0


@pytest.mark.parametrize("revision", [-1, 1.0, "1", True])
async def test_an_odd_expectation_is_refused(store: Any, revision: Any) -> None:
    session = make_session()
    with pytest.raises(InvalidArgumentError, match="expected_revision"):
        await store.save(session, expected_revision=revision)
    assert await store.get(session.session_id) is None


async def test_saves_in_bulk_are_counted_one_by_one(store: Any) -> None:
    session, other = make_session(), make_session()
    await store.save(session)
    twin = session.model_copy(deep=True)
    await store.save_many([session, other, twin, session])

    assert (session.revision, twin.revision, other.revision) == (4, 3, 1)
    assert (await store.get(session.session_id)).revision == 4
    assert await store.load([session, twin], batch=1) == 2
    assert (await store.get(session.session_id)).revision == twin.revision == 6


async def test_a_revision_survives_the_cache(make_indexed: Any) -> None:
    store = make_indexed(cache_size=1)
    session, other = make_session(), make_session()
    for _ in range(5):
        await store.save(session)
    await save_and_cache(store, session)
    await save_and_cache(store, other)  # takes its place
    assert store.stats().cached_sessions == 1

    assert (await store.get(session.session_id)).revision == 6
    await store.save(session, expected_revision=6)
