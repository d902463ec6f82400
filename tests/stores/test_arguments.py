"""Law 11, and every other bad argument: a clear error that names it, and nothing changes."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import (
    Channel,
    InMemorySessionStore,
    InvalidArgumentError,
    ScanSessionStore,
    ScopeFilter,
    SessionStatus,
)
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session


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


ODD_CALLS: dict[str, tuple[str, Any]] = {
    "touch of save": ("touch", lambda store: store.save(make_session(), touch=1)),
    "touch of save_many": ("touch", lambda store: store.save_many([make_session()], touch=None)),
    "touch of update": ("touch", lambda store: store.update(uuid4(), lambda _: None, touch="no")),
    "too few": ("expected_revisions", lambda store: store.save_many([make_session()], expected_revisions=[])),
    "too many": ("expected_revisions", lambda store: store.save_many([make_session()], expected_revisions=[1, 2])),
    "no list": ("expected_revisions", lambda store: store.save_many([make_session()], expected_revisions=1)),
    "a text": ("expected_revisions", lambda store: store.save_many([make_session()], expected_revisions="1")),
    "below 0": ("expected_revisions", lambda store: store.save_many([make_session()], expected_revisions=[-1])),
    "no number": ("expected_revisions", lambda store: store.save_many([make_session()], expected_revisions=["1"])),
    "id of touch": ("session_id", lambda store: store.touch("1")),
    "tenant of touch": ("tenant_id", lambda store: store.touch(uuid4(), tenant_id="1")),
    "one id": ("session_ids", lambda store: store.get_many(str(uuid4()))),
    "ids of another type": ("session_ids", lambda store: store.get_many([uuid4(), "1"])),
    "tenant of get_many": ("tenant_id", lambda store: store.get_many([], tenant_id=1)),
    "tenant": ("tenant_id", lambda store: store.delete_by_tenant(None)),
    "customer": ("customer_profile_id", lambda store: store.delete_by_customer(TENANT, None)),
    "channel": ("channel", lambda store: store.delete_by_channel(TENANT, 5, "u")),
    "exchanged": ("user_channel_id", lambda store: store.get_by_channel(TENANT, "u1", Channel.SMS)),
    "user": ("user_channel_id", lambda store: store.delete_by_channel(TENANT, "sms", "")),
    "progress": ("progress", lambda store: store.reindex(progress=5)),
}


@pytest.mark.parametrize(("argument", "call"), ODD_CALLS.values(), ids=ODD_CALLS)
async def test_an_odd_argument_is_refused_by_name_and_nothing_changes(store: Any, argument: str, call: Any) -> None:
    session = make_session()
    await store.save(session)
    with pytest.raises(InvalidArgumentError) as caught:
        await call(store)

    assert caught.value.argument == argument
    assert await store.list_by_tenant(TENANT) == [session]


async def test_what_is_no_id_is_refused_with_what_to_give_instead(store: Any) -> None:
    session, forgotten = make_session(), store.get(uuid4())
    for given, words in (
        ("JIRA-1234", r"not str; convert it with UUID\(...\), or map any text with uuid5\(\)$"),
        (session, "not Session; give its session_id$"),
        (forgotten, "not coroutine; await it$"),
        (None, "not NoneType$"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            await store.get(given)
    with pytest.raises(InvalidArgumentError, match=r"session_ids: .* give its session_id$"):
        await store.delete_many([session])
    with pytest.raises(InvalidArgumentError, match=r"tenant_id: .* give its tenant_id$"):
        await store.list_by_tenant(session)
    forgotten.close()


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


class DriverId(UUID):
    """As database drivers return."""


async def test_an_id_of_a_subclass_finds_what_was_saved_under_a_plain_one(store: Any) -> None:
    session = make_session()
    await store.save(session)
    given, tenant = DriverId(int=session.session_id.int), DriverId(int=TENANT.int)

    assert await store.get(given, tenant_id=tenant) == session
    assert await store.list_by_agent(tenant, DriverId(int=AGENT.int)) == [session]
    assert await store.delete_many([given], tenant_id=tenant) == 1


async def test_a_session_with_ids_of_a_subclass_comes_back_with_plain_ones(store: Any) -> None:
    session = make_session()
    vars(session)["session_id"] = DriverId(int=session.session_id.int)
    await store.save(session)
    found = await store.get(session.session_id)

    assert found == session
    assert type(found.session_id) is UUID
