"""A session that its class no longer loads: an error that names it, or a read that goes on without it."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from sessiondex import (
    Channel,
    InvalidArgumentError,
    ScanSessionStore,
    Session,
    SessionStatus,
    UnreadableSessionError,
    copy_sessions,
)
from tests.support.builders import AGENT, CUSTOMER, OTHER_AGENT, SCENARIO, TENANT, at_step
from tests.support.changing_minds import Fickle, refused
from tests.support.waiting import until_notified

LIMITS = (1, 2, 3, 5, 20)


@pytest.fixture
def make_fickle(make_indexed: Any) -> Any:
    """Return a function that makes stores which unpack each session that they read."""
    return partial(make_indexed, cache_size=0)


def sessions_of(count: int, *bad: int) -> list[Fickle]:
    return [
        at_step(
            cls=Fickle,
            word="bad" if number in bad else "good",
            user_channel_id=f"u{number}",
            customer_profile_id=CUSTOMER,
        )
        for number in range(count)
    ]


async def save_all(store: Any, sessions: list[Fickle]) -> list[Fickle]:
    """Save them, and return the good ones, newest first."""
    for session in sessions:
        await store.save(session)
    return [session for session in reversed(sessions) if session.word == "good"]


async def test_the_error_names_session_type_version_field_and_cause(make_fickle: Any) -> None:
    store = make_fickle()
    (session,) = sessions_of(1, 0)
    await store.save(session)
    reads = [
        lambda: store.get(session.session_id, tenant_id=TENANT),
        lambda: store.get_by_channel(TENANT, Channel.WEBCHAT, "u0"),
        lambda: store.list_by_agent(TENANT, AGENT),
        lambda: store.get_many([session.session_id]),
        lambda: store.list_by_customer(TENANT, CUSTOMER),
        lambda: store.list_by_customer(TENANT, CUSTOMER, status=SessionStatus.ACTIVE),
        lambda: store.list_by_channel(TENANT, Channel.WEBCHAT, "u0"),
        lambda: store.list_by_tenant(TENANT),
        lambda: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1"),
        lambda: anext(store.iter_by_agent(TENANT, AGENT)),
        store.export,
        lambda: store.get_or_create(TENANT, Channel.WEBCHAT, "u0", lambda: sessions_of(1)[0]),
        lambda: store.update(session.session_id, lambda _: None, tenant_id=TENANT),
    ]
    with refused("bad"):
        for read in reads:
            with pytest.raises(UnreadableSessionError) as error:
                await read()
            found = error.value
            assert (found.session_id, found.version, found.field) == (session.session_id, 1, "word")
            assert found.session_type == "tests.support.changing_minds:Fickle"
            assert type(found.__cause__).__name__ == "ValidationError"


async def test_it_can_be_counted_replaced_and_deleted(make_fickle: Any) -> None:
    store = make_fickle()
    sessions = sessions_of(3, 0, 1)
    await save_all(store, sessions)
    with refused("bad"):
        assert await store.count_by_agent(TENANT, AGENT) == 3
        assert await store.touch(sessions[0].session_id)
        assert await store.delete(sessions[0].session_id, tenant_id=TENANT)
        replaced = sessions[1].model_copy(update={"word": "good", "agent_id": OTHER_AGENT})
        await store.save(replaced)

        assert await store.list_by_agent(TENANT, AGENT) == [sessions[2]]
        assert await store.list_by_agent(TENANT, OTHER_AGENT) == [replaced]


@pytest.mark.parametrize("bad", [(), (0,), (9,), (4, 5), (0, 1, 2, 7, 8, 9), range(10)], ids=str)
async def test_lists_go_on_without_it(make_fickle: Any, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A page is short at the end of the list alone, so that nothing behind it is lost."""
    store = make_fickle(on_unreadable="skip")
    good = await save_all(store, sessions_of(10, *bad))
    with refused("bad"), caplog.at_level(logging.WARNING, "sessiondex"):
        for limit in LIMITS:
            assert await store.list_by_agent(TENANT, AGENT, limit=limit) == good[:limit]
            assert await store.list_by_customer(TENANT, CUSTOMER, limit=limit) == good[:limit]
            assert await store.list_by_tenant(TENANT, limit=limit) == good[:limit]
            assert [one async for one in store.iter_by_agent(TENANT, AGENT, page_size=limit)] == good
            exported, cursor = await store.export(limit=limit)
            while cursor is not None:
                more, cursor = await store.export(cursor=cursor, limit=limit)
                exported += more
            assert sorted(one.user_channel_id for one in exported) == sorted(one.user_channel_id for one in good)
        assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1") == good
        assert await store.count_by_agent(TENANT, AGENT) == 10

    assert bool(caplog.records) == bool(bad)
    assert all("a read goes on without a session: session " in record.getMessage() for record in caplog.records)


async def test_it_can_be_erased(make_fickle: Any) -> None:
    store = make_fickle()
    await save_all(store, sessions_of(3, 0, 1))
    with refused("bad"):
        assert await store.delete_by_tenant(TENANT) == 3
        assert await store.list_by_tenant(TENANT) == []


async def test_its_user_begins_another(make_fickle: Any) -> None:
    store = make_fickle(on_unreadable="skip")
    (old,), (new,) = sessions_of(1, 0), sessions_of(1)
    await store.save(old)
    with refused("bad"):
        assert await store.get_or_create(TENANT, Channel.WEBCHAT, "u0", lambda: new) == (new, True)
        assert await store.get_or_create(TENANT, Channel.WEBCHAT, "u0", lambda: old) == (new, False)
        assert await store.get_by_channel(TENANT, Channel.WEBCHAT, "u0") == new


async def test_a_copy_goes_on_without_it(make_fickle: Any) -> None:
    source, target = make_fickle(on_unreadable="skip"), ScanSessionStore()
    good = await save_all(source, sessions_of(7, 2, 3))
    with refused("bad"):
        done = await copy_sessions(source, target, page_size=2)

    assert (done.read, done.restored) == (5, 5)
    assert await target.list_by_agent(TENANT, AGENT) == good


async def test_stats_count_what_was_skipped(make_fickle: Any) -> None:
    store = make_fickle(on_unreadable="skip")
    await save_all(store, sessions_of(3, 1, 2))
    with refused("bad"):
        await store.list_by_agent(TENANT, AGENT)

    assert store.stats().skipped_reads == 2


@pytest.mark.parametrize("value", ["stop", None, 1, ["skip"]])
def test_another_word_is_refused(make_fickle: Any, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="on_unreadable: must be 'raise' or 'skip'"):
        make_fickle(on_unreadable=value)


def test_it_is_an_invalid_session_error() -> None:
    """As such it was raised before."""
    error = UnreadableSessionError(None, "ticket", 2, "word", "is refused")

    assert isinstance(error, ValueError)
    assert str(error) == "session None of type ticket, version 2: word: is refused"
    assert Session.schema_version == 1


async def test_one_call_skips_once(make_fickle: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = make_fickle(on_unreadable="skip")
    (old,), (new,) = sessions_of(1, 0), sessions_of(1)
    await store.save(old)
    with refused("bad"), caplog.at_level(logging.WARNING, "sessiondex"):
        await store.get_or_create(TENANT, Channel.WEBCHAT, "u0", lambda: new)

    assert len(caplog.records) == 1


async def test_an_evicted_session_that_cannot_be_read_shows_nothing(
    make_indexed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[Any] = []
    store = make_indexed(cache_size=0, max_sessions=1, on_evict=lambda *given: called.append(given))
    bad, good = sessions_of(2, 0)
    await store.save(bad)
    with refused("bad"), caplog.at_level(logging.WARNING, "sessiondex"):
        await store.save(good)
        await until_notified(store)

    assert called == []
    assert "on_evict was not called: session " in caplog.text
    assert not any(record.exc_info for record in caplog.records)


async def test_a_short_list_of_many_lets_other_tasks_run(make_indexed: Any) -> None:
    """It reads a page at a time, as soon as it has skipped one."""
    store = make_indexed(cache_size=0, on_unreadable="skip")
    await store.save_many(sessions_of(1_000, *range(1, 1_000)))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with refused("bad"):
        counting = asyncio.ensure_future(count_turns())
        listed = await store.list_by_agent(TENANT, AGENT, limit=1)
        counting.cancel()

    assert [session.user_channel_id for session in listed] == ["u0"]
    assert turns > 1
