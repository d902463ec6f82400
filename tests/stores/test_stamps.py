"""Law 1: save stamps. Law 2: newest first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ConfigDict

from sessiondex import Channel, InvalidSessionError, Session, SessionStatus
from tests.builders import AGENT, CUSTOMER, SCENARIO, START, TENANT, Clock, at_step, make_session

MICROSECOND = timedelta(microseconds=1)


async def test_save_stamps_what_it_stores_and_what_it_was_given(store: Any) -> None:
    session = make_session(last_activity_at=START - timedelta(days=9))
    session_id = await store.save(session)

    assert session_id == session.session_id
    assert session.last_activity_at == START
    assert await store.get(session_id) == session


async def test_stamps_increase_when_the_clock_stands_still_or_steps_back(store: Any, clock: Clock) -> None:
    sessions = [make_session() for _ in range(4)]
    for session, move in zip(sessions, [0, 0, -3600, 7200], strict=True):
        clock.move(seconds=move)
        await store.save(session)

    stamps = [session.last_activity_at for session in sessions]
    assert stamps == [START, START + MICROSECOND, START + 2 * MICROSECOND, START + timedelta(hours=1)]


async def test_a_failed_save_leaves_the_given_session_and_the_stamps_alone(store: Any) -> None:
    session, bad = make_session(), make_session()
    bad.variables["x"] = float("nan")
    before = bad.last_activity_at
    with pytest.raises(InvalidSessionError):
        await store.save(bad)
    await store.save(session)

    assert bad.last_activity_at == before
    assert session.last_activity_at == START


async def test_a_frozen_subclass_is_stamped_too(store: Any) -> None:
    """A subclass may forbid assignment: the session is stored by then, so stamping must not fail."""

    class Frozen(Session):
        model_config = ConfigDict(frozen=True)

    session = make_session(Frozen)
    await store.save(session)

    assert session.last_activity_at == START
    assert await store.get(session.session_id) == session


async def test_the_stamp_counts_as_a_set_field(store: Any) -> None:
    session = make_session()
    await store.save(session)

    assert "last_activity_at" in session.model_fields_set


async def test_every_list_is_newest_first(store: Any) -> None:
    """By last activity, whatever the order of first saves: a session saved again moves to the front."""
    sessions = [at_step(customer_profile_id=CUSTOMER) for _ in range(90)]  # more than a posting list has in one chunk
    for session in [*sessions, sessions[3], sessions[0], sessions[3]]:
        await store.save(session)
    expected = [sessions[3], sessions[0], *[s for s in reversed(sessions) if s not in (sessions[0], sessions[3])]]

    assert await store.list_by_agent(TENANT, AGENT) == expected
    assert await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE) == expected
    assert await store.list_by_customer(TENANT, CUSTOMER) == expected
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == expected


async def test_the_most_recent_session_of_an_identity_answers(store: Any) -> None:
    """An old closed session never hides a newer one; when the newest is deleted, the one before it answers."""
    old, new = make_session(status=SessionStatus.CLOSED), make_session()
    for session in (old, new):
        await store.save(session)
    identity = (TENANT, Channel.WEBCHAT, "user-1")

    assert await store.get_by_channel(*identity) == new
    await store.delete(new.session_id)
    assert await store.get_by_channel(*identity) == old
    await store.delete(old.session_id)
    assert await store.get_by_channel(*identity) is None


async def test_identities_are_compared_byte_for_byte(store: Any) -> None:
    names = ["user", "User", "user ", "\u00e9", "e\u0301", "a:b", "a"]
    for name in names:
        await store.save(make_session(user_channel_id=name))
    await store.save(make_session(user_channel_id="user", channel=Channel.SMS))

    for name in names:
        found = await store.get_by_channel(TENANT, Channel.WEBCHAT, name)
        assert (found.channel, found.user_channel_id) == (Channel.WEBCHAT, name)
    assert await store.get_by_channel(TENANT, Channel.WEBCHAT, "USER") is None


async def test_limits_cut_the_oldest(store: Any) -> None:
    sessions = [make_session(customer_profile_id=CUSTOMER) for _ in range(12)]
    for session in sessions:
        await store.save(session)

    for limit in (0, 1, 5, 12, 99):
        assert await store.list_by_agent(TENANT, AGENT, limit=limit) == sessions[::-1][:limit]
        assert await store.list_by_customer(TENANT, CUSTOMER, limit=limit) == sessions[::-1][:limit]


async def test_the_default_limit_is_a_hundred(store: Any) -> None:
    for _ in range(101):
        await store.save(make_session(customer_profile_id=CUSTOMER))

    assert len(await store.list_by_agent(TENANT, AGENT)) == 100
    assert len(await store.list_by_customer(TENANT, CUSTOMER)) == 100


async def test_a_session_without_customer_is_in_no_customers_list(store: Any) -> None:
    await store.save(make_session())

    assert await store.list_by_customer(TENANT, uuid4()) == []
