"""Law 5 in bulk: `save_many` and `load` save all sessions of a batch or none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import cycle, pairwise
from typing import Any
from uuid import uuid4

import pytest

from sessiondex import InvalidArgumentError, InvalidSessionError, SessionStatus, TenantMismatchError
from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    SCENARIO,
    START,
    TENANT,
    Clock,
    make_session,
)
from tests.support.bulk import (
    MICROSECOND,
    all_of,
    as_async,
    bad_in_the_middle,
    in_bulk,
    mixed,
    raising_after,
)
from tests.support.exact_values import exact


@pytest.mark.parametrize("of", [list, tuple, iter, lambda sessions: (session for session in sessions)])
async def test_many_are_saved_as_one_after_another(store: Any, of: Callable[[Any], Any]) -> None:
    """All are found by all queries, in the order given, the last as the newest; each has a stamp of its own."""
    sessions = mixed(60)
    ids = await store.save_many(of(sessions))

    assert ids == [session.session_id for session in sessions]
    assert [session.last_activity_at for session in sessions] == [START + n * MICROSECOND for n in range(60)]
    newest_first = [exact(session) for session in reversed(sessions)]
    for found in (
        await store.list_by_agent(TENANT, AGENT),
        await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE),
        await store.list_by_customer(TENANT, CUSTOMER),
        await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
    ):
        assert [exact(session) for session in found] == newest_first
    for session in sessions:
        assert await store.get(session.session_id) == session


async def test_many_replace_what_was_there(store: Any) -> None:
    """New and known, as they are now, and nowhere else."""
    sessions = mixed(3)
    await store.save_many(sessions)
    sessions[0].agent_id = OTHER_AGENT
    sessions[2].variables["x"] = 1
    await store.save_many([sessions[2], *mixed(1), sessions[0]])

    assert await store.list_by_agent(TENANT, OTHER_AGENT) == [sessions[0]]
    assert len(await store.list_by_agent(TENANT, AGENT)) == 3
    assert (await store.get(sessions[2].session_id)).variables == {"x": 1}


async def test_stamps_continue_from_the_last_save_and_after_the_batch(store: Any, clock: Clock) -> None:
    first, many, last = make_session(), mixed(3), make_session()
    await store.save(first)
    clock.move(seconds=-60)
    await store.save_many(many)
    await store.save(last)

    stamps = [session.last_activity_at for session in (first, *many, last)]
    assert stamps == [START + n * MICROSECOND for n in range(5)]


async def test_a_clock_that_runs_gives_stamps_that_increase(make_store: Any) -> None:
    """The clock may stand still, jump ahead and step back within a batch."""
    instants = cycle([START, START, START + timedelta(hours=1), START, START + timedelta(hours=2), START])
    store = make_store(clock=lambda: next(instants))
    many = [make_session() for _ in range(12)]
    await store.save_many(many)

    stamps = [session.last_activity_at for session in many]
    assert all(before < after for before, after in pairwise(stamps))
    assert {START + timedelta(hours=1), START + timedelta(hours=2)} <= set(stamps)


@in_bulk
async def test_an_id_twice_in_a_batch(store: Any, save_all: Any) -> None:
    """Each has its own stamp, as if saved one after another, and the last is what is stored."""
    first, other = make_session(variables={"n": 1}), make_session()
    last = first.model_copy(update={"variables": {"n": 2}, "agent_id": OTHER_AGENT}, deep=True)
    await save_all(store, [first, other, last])

    assert await store.get(first.session_id) == last
    assert await all_of(store) == [last, other]
    assert [session.last_activity_at for session in (first, other, last)] == [START + n * MICROSECOND for n in range(3)]


@in_bulk
async def test_the_same_object_twice_is_saved_once_with_the_later_stamp(store: Any, save_all: Any) -> None:
    session, other = make_session(), make_session()
    await save_all(store, [session, other, session])

    assert session.last_activity_at == START + 2 * MICROSECOND
    assert await all_of(store) == [session, other]


@in_bulk
@pytest.mark.parametrize("nothing", [[], (), iter([])])
async def test_an_empty_batch(store: Any, save_all: Any, nothing: Any) -> None:
    session = make_session()

    assert await save_all(store, nothing) in ([], 0)
    await store.save(session)
    assert session.last_activity_at == START


@in_bulk
async def test_sessions_are_changed_after_they_were_saved_in_bulk(store: Any, save_all: Any) -> None:
    sessions = [make_session(variables={"a": [1]}) for _ in range(3)]
    expected = [session.model_copy(deep=True) for session in sessions]
    await save_all(store, sessions)
    for session, copy in zip(sessions, expected, strict=True):
        copy.last_activity_at, copy.revision = session.last_activity_at, session.revision
        session.variables["a"].append(2)
        session.__dict__["agent_id"] = OTHER_AGENT

    assert await all_of(store) == expected[::-1]


@in_bulk
async def test_the_stamp_counts_as_a_set_field(store: Any, save_all: Any) -> None:
    session = make_session()
    await save_all(store, [session])

    assert "last_activity_at" in session.model_fields_set


# -- what cannot be saved --


@in_bulk
@pytest.mark.parametrize("place", [0, 1, 24, 25, 59])
async def test_a_batch_with_an_invalid_session_changes_nothing(store: Any, save_all: Any, place: int) -> None:
    """Sessions before it, after it and of before: all objects, indexes and stamps; the error says which it was."""
    known = mixed(3)
    await store.save_many(known)
    stored = await all_of(store)
    sessions = bad_in_the_middle(60, place)
    sessions[2] = known[1]
    if place != 2:
        known[1].agent_id = OTHER_AGENT
    before = [exact(session) for session in sessions]
    fields_set = [set(session.model_fields_set) for session in sessions]
    with pytest.raises(InvalidSessionError, match=r"variables\.x") as error:
        await save_all(store, sessions)

    assert error.value.__notes__ == [
        f"It was session number {place}, counted from 0; nothing of its batch is saved.",
    ]
    assert [exact(session) for session in sessions] == before
    assert [session.model_fields_set for session in sessions] == fields_set
    assert await all_of(store) == stored
    later = make_session()
    await store.save(later)
    assert later.last_activity_at == START + 3 * MICROSECOND


@in_bulk
@pytest.mark.parametrize("thing", [None, "text", {"session_id": uuid4()}, object()])
async def test_a_batch_with_something_that_is_no_session_changes_nothing(store: Any, save_all: Any, thing: Any) -> None:
    session = make_session()
    before = exact(session)
    with pytest.raises(InvalidSessionError, match=r"takes a sessiondex\.Session") as error:
        await save_all(store, [session, thing])

    assert error.value.__notes__[0].startswith("It was session number 1,")
    assert exact(session) == before
    assert await all_of(store) == []


@in_bulk
async def test_a_batch_with_an_id_of_another_tenant_changes_nothing(store: Any, save_all: Any) -> None:
    theirs, mine = make_session(tenant_id=OTHER_TENANT), mixed(4)
    await store.save(theirs)
    mine[2].session_id = theirs.session_id
    before = [exact(session) for session in mine]
    with pytest.raises(TenantMismatchError) as error:
        await save_all(store, mine)

    assert error.value.__notes__[0].startswith("It was session number 2,")
    assert error.value.session_id == theirs.session_id
    assert [exact(session) for session in mine] == before
    assert await store.get(theirs.session_id) == theirs
    assert await all_of(store) == []


@in_bulk
async def test_a_batch_with_one_id_for_two_tenants_changes_nothing(store: Any, save_all: Any) -> None:
    """Saved one after another, the second would have been refused as well."""
    mine = make_session()
    theirs = make_session(session_id=mine.session_id, tenant_id=OTHER_TENANT)
    with pytest.raises(TenantMismatchError) as error:
        await save_all(store, [mine, make_session(), theirs])

    assert error.value.__notes__[0].startswith("It was session number 2,")
    assert await all_of(store) == await all_of(store, OTHER_TENANT) == []


@in_bulk
async def test_a_clock_that_fails_within_a_batch_changes_nothing(make_store: Any, save_all: Any) -> None:
    instants = [START, START]

    def breaking() -> Any:
        return instants.pop()

    store, sessions = make_store(clock=breaking), mixed(3)
    before = [exact(session) for session in sessions]
    with pytest.raises(IndexError):
        await save_all(store, sessions)

    assert [exact(session) for session in sessions] == before
    assert await all_of(store) == []


async def test_sessions_that_end_in_an_error_are_not_saved(store: Any) -> None:
    sessions = mixed(3)
    with pytest.raises(RuntimeError, match="no more"):
        await store.save_many(raising_after(sessions))

    assert await all_of(store) == []


@in_bulk
@pytest.mark.parametrize("thing", [make_session(), "text", b"bytes", None, 5, object()], ids=type)
async def test_something_that_is_no_iterable_is_refused(store: Any, save_all: Any, thing: Any) -> None:
    """A session and a text can be iterated over, but are not meant to be."""
    with pytest.raises(InvalidArgumentError, match=r"must be an iterable, not .*; for a single one, save\(\)") as error:
        await save_all(store, thing)

    assert error.value.argument == "sessions"


async def test_an_async_iterable_is_for_load(store: Any) -> None:
    sessions = as_async([])
    with pytest.raises(InvalidArgumentError, match=r"asynchronous iterable; load\(\) takes one"):
        await store.save_many(sessions)
    await store.load(sessions)
