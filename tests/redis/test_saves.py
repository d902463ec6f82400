"""Write stamp and revision back to the caller's object, although answers may come in another order than commits."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from sessiondex.clock import EPOCH
from sessiondex.stores.redis.codec import EncodedSession
from sessiondex.stores.redis.saves import PreparedSave, version_of, write_back_if_later
from tests.support.builders import make_session
from tests.support.redis.internals import client_of
from tests.support.redis.stores import RedisStores

FUTURE = EPOCH + timedelta(days=100_000)


def prepared(session: Any) -> PreparedSave[Any]:
    """Return a save of the object that begins now."""
    encoded = EncodedSession(session.session_id, session.tenant_id, b"", 0, 1)
    return PreparedSave(session, version_of(session), encoded, is_new=False)


def at(stamp: int) -> datetime:
    return EPOCH + timedelta(microseconds=stamp)


ORDERS = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]


@pytest.mark.parametrize("shown", [EPOCH, FUTURE], ids=["an early stamp", "a stamp in the future"])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_answers_in_any_order(order: tuple[int, ...], shown: datetime) -> None:
    """The object shows the latest save, whatever stamp it had before."""
    session = make_session()
    session.last_activity_at = shown
    saves = {stamp: prepared(session) for stamp in order}
    for stamp in order:
        write_back_if_later(saves[stamp], stamp, 10 + stamp)

    assert (session.last_activity_at, session.revision) == (at(3), 13)


def test_a_save_that_began_after_another_was_written_back() -> None:
    """It is written back, and the answer of an earlier commit is not."""
    session = make_session()
    session.last_activity_at = FUTURE
    late, first = prepared(session), prepared(session)
    write_back_if_later(first, 20, 2)
    second = prepared(session)
    write_back_if_later(late, 10, 1)
    version_after_late = version_of(session)
    write_back_if_later(second, 30, 3)

    assert version_after_late == (at(20), 2)
    assert version_of(session) == (at(30), 3)


def test_a_session_that_was_deleted_and_saved_again() -> None:
    """The later stamp counts, not the higher revision."""
    session = make_session()
    one, other = prepared(session), prepared(session)
    write_back_if_later(one, 10, 7)
    write_back_if_later(other, 20, 1)

    assert version_of(session) == (at(20), 1)


@pytest.mark.parametrize("assigned", [None, "text", datetime(2030, 1, 1), 5])  # naive on purpose
def test_an_invalid_stamp_that_was_assigned_during_the_save(assigned: Any) -> None:
    """It is overwritten: the save has succeeded, so its answer must not raise."""
    session = make_session()
    save = prepared(session)
    session.__dict__["last_activity_at"] = assigned
    write_back_if_later(save, 10, 1)

    assert version_of(session) == (at(10), 1)


async def test_a_delayed_answer_of_an_earlier_commit(make_redis: RedisStores) -> None:
    """Two saves of one object: the answer of the first comes last. The object shows the second."""
    store: Any = make_redis()
    session = make_session()
    await store.save(session)
    call, has_committed, resume = client_of(store).call, asyncio.Event(), asyncio.Event()

    async def delayed(function: str, *args: Any) -> Any:
        answer = await call(function, *args)
        if function == "save" and not has_committed.is_set():
            has_committed.set()
            await resume.wait()
        return answer

    client_of(store).call = delayed
    first = asyncio.create_task(store.save(session))
    await has_committed.wait()
    await store.save(session)
    version_after_second = version_of(session)
    resume.set()
    await first
    client_of(store).call = call

    assert session.revision == 3
    assert version_of(session) == version_after_second
    assert await store.get(session.session_id) == session


async def test_an_object_with_a_stamp_in_the_future(make_redis: RedisStores) -> None:
    """A save shows the server's stamp, which is earlier."""
    store, session = make_redis(), make_session()
    session.last_activity_at, session.revision = FUTURE, 5
    await store.save(session)

    assert session.last_activity_at < FUTURE
    assert await store.get(session.session_id) == session
