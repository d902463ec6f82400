"""Law 11, and every other bad argument: a clear error that names it, and nothing changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import (
    InMemorySessionStore,
    InvalidArgumentError,
    InvalidSessionError,
    ScanSessionStore,
    ScopeFilter,
    SessionStatus,
)
from tests.support.builders import AGENT, CUSTOMER, OTHER_TENANT, SCENARIO, TENANT, make_session


async def test_a_negative_limit_is_a_value_error_and_zero_is_an_empty_list(store: Any) -> None:
    await store.save(make_session(customer_profile_id=CUSTOMER))

    assert await store.list_by_agent(TENANT, AGENT, limit=0) == []
    assert await store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE, limit=0) == []
    assert await store.list_by_customer(TENANT, CUSTOMER, limit=0) == []
    with pytest.raises(ValueError, match="limit: must not be negative"):
        await store.list_by_agent(TENANT, AGENT, limit=-1)


async def test_values_of_enums_will_do(store: Any) -> None:
    session = make_session()
    await store.save(session)

    assert await store.get_by_channel(TENANT, "webchat", "user-1") == session
    assert await store.list_by_agent(TENANT, AGENT, status="active") == [session]


@pytest.mark.parametrize("make", [InMemorySessionStore, ScanSessionStore])
async def test_a_store_can_be_made_with_no_argument(make: Any) -> None:
    store = make()
    session = make_session()
    await store.save(session)

    assert await store.get(session.session_id) == session
    assert await store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h", ScopeFilter()) == []


@pytest.mark.parametrize("make", [InMemorySessionStore, ScanSessionStore])
def test_unknown_options_are_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="ttl"):
        make(ttl=5)
    with pytest.raises(InvalidArgumentError, match="clock"):
        make(clock=5)


async def test_arguments_are_checked_before_the_answer_is_empty(store: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="status: must be None or one of active, idle"):
        await store.list_by_agent(uuid4(), uuid4(), status="ACTIVE")


class Fickle(UUID):
    """Answers as it likes, and may not answer at all."""

    answers: Any = iter(())

    @property
    def bytes(self) -> Any:
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def fickle(*answers: Any) -> Any:
    Fickle.answers = iter(answers)
    return Fickle(int=5)


async def test_an_id_is_read_once(store: Any) -> None:
    """So it cannot be one when it is looked at, and another when it is used."""
    mine, theirs = make_session(), make_session(tenant_id=OTHER_TENANT)
    await store.save_many([mine, theirs])
    lying = fickle(mine.session_id.bytes, theirs.session_id.bytes, theirs.session_id.bytes)

    assert await store.delete(lying, tenant_id=TENANT)
    assert await store.get(mine.session_id) is None
    assert await store.get(theirs.session_id) == theirs


async def test_an_id_that_cannot_be_read_is_refused(store: Any) -> None:
    """And the store goes on."""
    session, pretender = make_session(), type("Pretender", (), {"__class__": property(lambda _: UUID)})()
    await store.save(session)
    store.changes()
    for call in (store.get, store.delete, lambda one: store.delete_many([one])):
        for bad in (fickle(OSError()), fickle(b"short"), pretender):
            with pytest.raises(InvalidArgumentError, match="session_id"):
                await call(bad)
    assert await store.get(session.session_id) == session


async def test_a_session_whose_id_says_now_this_now_that_is_refused(store: Any) -> None:
    """Or else it would be checked as one session, and be stored in place of another."""

    class TwoFaced(UUID):
        @property
        def bytes(self) -> Any:
            return mine.session_id.bytes

    mine, theirs = make_session(), make_session(tenant_id=OTHER_TENANT)
    await store.save_many([mine, theirs])
    intruder = make_session()
    for face in (TwoFaced(int=theirs.session_id.int), TwoFaced(int=77)):
        intruder.__dict__["session_id"] = face
        with pytest.raises(InvalidSessionError, match="session_id"):
            await store.save(intruder)
    assert await store.get(theirs.session_id) == theirs
    assert await store.get(mine.session_id) == mine
