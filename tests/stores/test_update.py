"""Law 13, second half: `update` and `get_or_create` are as if no other task had run in between."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from sessiondex import (
    Channel,
    ConflictError,
    InvalidArgumentError,
    InvalidSessionError,
    Session,
    SessionNotFoundError,
    SessionStatus,
)
from tests.support.builders import AGENT, OTHER_TENANT, TENANT, make_session
from tests.support.shuffled_loop import run_interleaved
from tests.support.stores import check_no_lock_is_held

IDENTITY = TENANT, Channel.WEBCHAT, "user-1"


def count(session: Any) -> None:
    session.turn_count += 1


async def saved(store: Any, **fields: Any) -> Any:
    session = make_session(**fields)
    await store.save(session)
    return session


# -- update --


async def test_a_change_may_return_another_session_or_be_a_coroutine(store: Any) -> None:
    session = await saved(store)

    async def replaced(current: Any) -> Any:
        await asyncio.sleep(0)
        return current.model_copy(update={"turn_count": 7})

    assert (await store.update(session.session_id, replaced)).turn_count == 7
    assert (await store.get(session.session_id)).turn_count == 7


@pytest.mark.parametrize("revision", [0, 1, 9])
async def test_the_revision_of_a_changed_session_does_not_matter(store: Any, revision: int) -> None:
    """It may return a session that it made anew: what was read is replaced, or nothing."""
    session = await saved(store)
    await store.save(session)

    async def made_anew(current: Any) -> Any:
        if current.revision == 2:
            await store.save(session)
        return make_session(session_id=current.session_id, turn_count=5, revision=revision)

    changed = await store.update(session.session_id, made_anew)
    assert (changed.turn_count, changed.revision) == (5, 4)
    with pytest.raises(ConflictError):
        await store.update(session.session_id, disturbing(store, revision), attempts=1)


def disturbing(store: Any, revision: int) -> Any:
    async def disturbed(current: Any) -> Any:
        await store.update(current.session_id, count)
        return make_session(session_id=current.session_id, revision=revision)

    return disturbed


async def test_there_must_be_a_session_of_that_tenant(store: Any) -> None:
    session = await saved(store)
    for session_id, tenant_id in ((uuid4(), None), (session.session_id, OTHER_TENANT)):
        with pytest.raises(SessionNotFoundError) as missing:
            await store.update(session_id, count, tenant_id=tenant_id)
        assert missing.value.session_id == session_id


@pytest.mark.parametrize("field", ["session_id", "tenant_id"])
async def test_a_change_that_makes_another_session_of_it_is_refused(store: Any, field: str) -> None:
    session = await saved(store)
    with pytest.raises(InvalidArgumentError, match="change: must not change session_id or tenant_id"):
        await store.update(session.session_id, lambda current: setattr(current, field, uuid4()))

    assert await store.get(session.session_id) == session


@pytest.mark.parametrize("made", [1, "x", True, {}])
async def test_a_change_that_returns_no_session_is_refused(store: Any, made: Any) -> None:
    session = await saved(store)
    with pytest.raises(InvalidArgumentError, match="change: must return None or a session"):
        await store.update(session.session_id, lambda _: made)

    assert await store.get(session.session_id) == session


async def test_a_change_that_fails_changes_nothing(store: Any) -> None:
    session = await saved(store)

    def failing(current: Any) -> None:
        current.turn_count = 5
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await store.update(session.session_id, failing)
    with pytest.raises(InvalidSessionError, match="variables"):
        await store.update(session.session_id, lambda current: current.variables.update(x=float("inf")))
    assert await store.get(session.session_id) == session


@pytest.mark.parametrize(("name", "value"), [("attempts", 0), ("attempts", 1.5), ("change", None), ("change", 3)])
async def test_odd_arguments_are_refused(store: Any, name: str, value: Any) -> None:
    session = await saved(store)
    with pytest.raises(InvalidArgumentError, match=name):
        await store.update(session.session_id, **{"change": count, name: value})


async def test_no_increment_is_lost(store: Any) -> None:
    """64 tasks of 200 increments each."""
    session = await saved(store)

    async def work() -> None:
        for _ in range(200):
            await store.update(session.session_id, count)
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(64)))
    assert (await store.get(session.session_id)).turn_count == 64 * 200


@pytest.mark.parametrize("seed", range(20))
def test_no_increment_is_lost_in_any_order(make_store: Any, seed: int) -> None:
    """Changes that let others run in the middle conflict, and are made again."""
    store, attempts = make_store(), []

    async def slowly(session: Any) -> None:
        attempts.append(session.revision)
        count(session)
        await asyncio.sleep(0)

    async def main() -> None:
        session = await saved(store)

        async def work() -> None:
            for _ in range(5):
                await store.update(session.session_id, slowly, attempts=1_000)

        await asyncio.gather(*(work() for _ in range(8)))
        assert (await store.get(session.session_id)).turn_count == 8 * 5

    run_interleaved(main(), seed)
    assert len(attempts) > 8 * 5  # or there was nothing to lose


# -- get_or_create --


async def test_the_first_call_creates_and_the_next_finds(store: Any) -> None:
    made = make_session()
    session, was_created = await store.get_or_create(*IDENTITY, lambda: made)
    assert session is made
    assert was_created
    assert session.revision == 1

    found, was_created = await store.get_or_create(*IDENTITY, lambda: pytest.fail("there is one"))
    assert (found, was_created) == (session, False)
    assert found is not session


async def test_the_latest_that_is_not_closed_is_found_and_the_latest_of_all_by_channel(store: Any) -> None:
    first, second = await saved(store), await saved(store, status=SessionStatus.IDLE)
    assert await store.get_or_create(*IDENTITY, make_session) == (second, False)
    closed = await saved(store, status=SessionStatus.CLOSED)
    assert await store.get_by_channel(*IDENTITY) == closed
    await store.save(first)

    assert await store.get_or_create(*IDENTITY, make_session) == (first, False)
    assert await store.get_by_channel(*IDENTITY) == first


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: make_session(tenant_id=OTHER_TENANT), "of the tenant, channel and user"),
        (lambda: make_session(channel=Channel.SMS), "of the tenant, channel and user"),
        (lambda: make_session(user_channel_id="other"), "of the tenant, channel and user"),
        (lambda: make_session(status=SessionStatus.CLOSED), "closed"),
        (lambda: None, "must return a session, not NoneType"),
        (Session.model_construct, "of the tenant, channel and user"),
    ],
)
async def test_another_session_than_was_asked_for_is_refused(store: Any, made: Any, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"create: .*{reason}"):
        await store.get_or_create(*IDENTITY, made)

    assert await store.list_by_agent(TENANT, AGENT) == []
    assert (await store.get_or_create(*IDENTITY, make_session))[1]


async def test_create_that_fails_leaves_it_to_the_next(store: Any) -> None:
    async def failing() -> Any:
        await asyncio.sleep(0)
        raise KeyError("mine")

    first = asyncio.ensure_future(store.get_or_create(*IDENTITY, failing))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(store.get_or_create(*IDENTITY, make_session))
    with pytest.raises(KeyError, match="mine"):
        await first
    assert (await second)[1]


@pytest.mark.parametrize("seed", range(20))
def test_of_many_callers_one_creates(make_store: Any, seed: int) -> None:
    store, created = make_store(), []

    async def create() -> Any:
        created.append(make_session())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return created[-1]

    async def main() -> None:
        calls = [asyncio.ensure_future(store.get_or_create(*IDENTITY, create)) for _ in range(20)]
        for _ in range(3):
            await asyncio.sleep(0)
        calls[seed].cancel()  # perhaps the one that creates
        answers = await asyncio.gather(*calls, return_exceptions=True)
        found = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len(found) >= 19
        assert len({session.session_id for session, _ in found}) == 1
        assert sum(was_created for _, was_created in found) == 1
        assert len(await store.list_by_agent(TENANT, AGENT)) == 1
        check_no_lock_is_held(store)

    run_interleaved(main(), seed)
    assert len(created) <= 2
