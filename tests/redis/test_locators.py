"""A save that fails changes no locator: sessions are found by their ids as before.

It leaves no locator behind either. The recomputation at the end of each test checks that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from sessiondex import Channel, ConflictError, SessiondexError, TenantMismatchError
from tests.support.builders import OTHER_TENANT, TENANT, Clock, make_session, visit
from tests.support.redis.internals import claim, prefix_of
from tests.support.redis.stores import RedisStores


def like(session: Any, **fields: Any) -> Any:
    """Return a session of the same id that was never saved."""
    return make_session(session_id=session.session_id, **fields)


REFUSED: dict[str, tuple[type[SessiondexError], Callable[[Any, Any], Any]]] = {
    "another revision": (ConflictError, lambda store, mine: store.save(like(mine), expected_revision=7)),
    "no revision": (ConflictError, lambda store, mine: store.save(like(mine), expected_revision=0)),
    "another tenant": (TenantMismatchError, lambda store, mine: store.save(like(mine, tenant_id=OTHER_TENANT))),
    "a batch": (
        TenantMismatchError,
        lambda store, mine: store.save_many(
            make_session(tenant_id=OTHER_TENANT, session_id=one) for one in (uuid4(), mine.session_id, uuid4())
        ),
    ),
    "a creation": (
        ConflictError,
        lambda store, mine: store.get_or_create(
            TENANT, Channel.SMS, "new", lambda: like(mine, channel=Channel.SMS, user_channel_id="new")
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_save_that_is_refused(make_redis: RedisStores, name: str) -> None:
    """The session keeps its id, its tenant and its locator. Ids that the save has claimed are free again."""
    store, mine = make_redis(), make_session()
    await store.save(mine)
    error, call = REFUSED[name]
    with pytest.raises(error):
        await call(store, mine)

    assert await store.get(mine.session_id) == mine
    with pytest.raises(TenantMismatchError):
        await store.save(like(mine, tenant_id=OTHER_TENANT))
    assert await store.delete(mine.session_id)


async def test_two_processes_that_create_a_session_of_one_identity(make_redis: RedisStores) -> None:
    """Both get the session that was saved first. The id of the other session is free."""
    one = make_redis()
    other = make_redis(prefix=prefix_of(one))
    made = [make_session(user_channel_id="ann") for _ in range(2)]
    calls = [
        store.get_or_create(TENANT, Channel.WEBCHAT, "ann", iter([session]).__next__)
        for store, session in zip((one, other), made, strict=True)
    ]
    answers = await asyncio.gather(*calls)
    unsaved = made[0] if answers[0][0].session_id == made[1].session_id else made[1]
    await one.aclose()
    await other.aclose()
    theirs = like(unsaved, tenant_id=OTHER_TENANT)
    await make_redis(prefix=prefix_of(one)).save(theirs)

    assert answers[0][0] == answers[1][0]
    assert theirs.revision == 1


async def test_a_clock_that_fails_after_the_claim(make_redis: RedisStores, clock: Clock) -> None:
    """The claim is released."""

    def now() -> Any:
        if is_broken:
            raise ZeroDivisionError
        return clock()

    is_broken = True
    store, session = make_redis(clock=now), make_session()
    with pytest.raises(ZeroDivisionError):
        await store.save(session)
    is_broken = False

    assert await store.get(session.session_id) is None


async def test_a_locator_without_a_session(make_redis: RedisStores) -> None:
    """A client that crashed after its claim does not block the id, neither for its tenant nor for another."""
    store, session = make_redis(), make_session()
    assert await store.get(session.session_id) is None
    await claim(store, session.session_id, TENANT)
    theirs = like(session, tenant_id=OTHER_TENANT)
    await store.save(theirs)

    assert await store.get(session.session_id) == theirs
    with pytest.raises(TenantMismatchError):
        await store.save(session)


# -- texts --

TEXTS = [
    "}",
    "{",
    "{}",
    ":",
    "a:b",
    "*",
    "?[a-z]",
    "\0",
    "a\0b",
    "\r\n",
    "'\"\\",
    "é",
    "e\u0301",
    "\U0001f600",
    "x" * 99,
]


def user_of(text: str) -> str:
    return text.replace("\0", "NUL")


async def test_special_characters_in_any_text(make_redis: RedisStores) -> None:
    """No text leaves its tenant's keys, or equals another."""
    store, scenario = make_redis(), uuid4()
    where: Any = {"active_scenario_id": scenario, "active_scenario_version": 1}
    await store.save_many(
        make_session(user_channel_id=user_of(text), step_history=[visit(text, other)], **where)
        for text in TEXTS
        for other in TEXTS[:8]
    )
    for text in TEXTS:
        found = await store.find_sessions_by_step_hash(TENANT, scenario, 1, text)
        latest = await store.get_by_channel(TENANT, Channel.WEBCHAT, user_of(text))

        assert {(one.user_channel_id, one.step_history[-1].step_content_hash) for one in found} == {
            (user_of(text), text)
        }
        assert sorted(one.step_history[-1].step_name for one in found) == sorted(TEXTS[:8])
        assert latest.user_channel_id == user_of(text)
    assert await store.count_steps(TENANT, scenario, 1) == dict.fromkeys(TEXTS, 8)


async def test_texts_that_are_equal_when_joined(make_redis: RedisStores) -> None:
    """A session leaves its old step, whatever the name of the new one."""
    store, scenario = make_redis(), uuid4()
    session = make_session(active_scenario_id=scenario, active_scenario_version=1)
    steps = [("x\0webchat:+n", "m"), ("x", "n\0webchat:+m"), ("x:webchat:+n", "m"), ("x", "n:webchat:+m")]
    for content_hash, name in [*steps, *reversed(steps)]:
        session.step_history = [visit(content_hash, name)]
        await store.save(session)

        assert await store.count_steps(TENANT, scenario, 1) == {content_hash: 1}
