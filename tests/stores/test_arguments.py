"""Law 11, and every other bad argument: a clear error that names it, and nothing changes."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from sessiondex import Channel, InMemorySessionStore, InvalidArgumentError, ScanSessionStore, ScopeFilter, SessionStatus
from tests.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session

BAD_CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("get", (str(uuid4()),), {}, "session_id"),
    ("get", (None,), {}, "session_id"),
    ("get", (uuid4(),), {"tenant_id": "acme"}, "tenant_id"),
    ("delete", (str(uuid4()),), {}, "session_id"),
    ("delete", (uuid4(),), {"tenant_id": 5}, "tenant_id"),
    ("get_by_channel", ("acme", Channel.SMS, "u"), {}, "tenant_id"),
    ("get_by_channel", (TENANT, "fax", "u"), {}, "channel"),
    ("get_by_channel", (TENANT, None, "u"), {}, "channel"),
    ("get_by_channel", (TENANT, Channel.SMS, ""), {}, "user_channel_id"),
    ("get_by_channel", (TENANT, Channel.SMS, "a\0"), {}, "user_channel_id"),
    ("get_by_channel", (TENANT, Channel.SMS, "\ud800"), {}, "user_channel_id"),
    ("get_by_channel", (TENANT, Channel.SMS, 5), {}, "user_channel_id"),
    ("list_by_agent", ("acme", AGENT), {}, "tenant_id"),
    ("list_by_agent", (TENANT, "bot"), {}, "agent_id"),
    ("list_by_agent", (TENANT, AGENT), {"status": "asleep"}, "status"),
    ("list_by_agent", (TENANT, AGENT), {"limit": -1}, "limit"),
    ("list_by_agent", (TENANT, AGENT), {"limit": 1.5}, "limit"),
    ("list_by_agent", (TENANT, AGENT), {"limit": True}, "limit"),
    ("list_by_agent", (TENANT, AGENT), {"limit": None}, "limit"),
    ("list_by_customer", (TENANT, None), {}, "customer_profile_id"),
    ("list_by_customer", (TENANT, CUSTOMER), {"limit": -5}, "limit"),
    ("find_sessions_by_step_hash", (None, SCENARIO, 1, "h"), {}, "tenant_id"),
    ("find_sessions_by_step_hash", (TENANT, "flow", 1, "h"), {}, "scenario_id"),
    ("find_sessions_by_step_hash", (TENANT, SCENARIO, "1", "h"), {}, "scenario_version"),
    ("find_sessions_by_step_hash", (TENANT, SCENARIO, 1, None), {}, "step_content_hash"),
    ("find_sessions_by_step_hash", (TENANT, SCENARIO, 1, "\ud800"), {}, "step_content_hash"),
    ("find_sessions_by_step_hash", (TENANT, SCENARIO, 1, "h", {"max_session_age_days": 1}), {}, "scope_filter"),
]


@pytest.mark.parametrize(("method", "arguments", "options", "name"), BAD_CALLS)
async def test_a_bad_argument_is_named(
    store: Any, method: str, arguments: tuple[Any, ...], options: dict[str, Any], name: str
) -> None:
    """The error is a `ValueError` of our tree and names the argument."""
    session = make_session()
    await store.save(session)
    with pytest.raises(InvalidArgumentError) as error:
        await getattr(store, method)(*arguments, **options)

    assert error.value.argument == name
    assert isinstance(error.value, ValueError)
    assert await store.get(session.session_id) == session


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
