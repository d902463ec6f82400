"""Law 7: tenants are walls."""

from __future__ import annotations

from typing import Any

import pytest

from sessiondex import Channel, InMemorySessionStore, SessionStatus, TenantMismatchError
from tests.builders import (
    AGENT,
    CUSTOMER,
    OTHER_AGENT,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    at_step,
    make_session,
)


async def test_every_query_is_scoped_by_tenant(store: Any) -> None:
    """The same agent, customer, identity and step of another tenant are others."""
    mine, theirs = (at_step(tenant_id=tenant, customer_profile_id=CUSTOMER) for tenant in (TENANT, OTHER_TENANT))
    await store.save(mine)
    await store.save(theirs)

    for tenant, session in ((TENANT, mine), (OTHER_TENANT, theirs)):
        assert await store.get(session.session_id, tenant_id=tenant) == session
        assert await store.get_by_channel(tenant, Channel.WEBCHAT, "user-1") == session
        assert await store.list_by_agent(tenant, AGENT) == [session]
        assert await store.list_by_agent(tenant, AGENT, status=SessionStatus.ACTIVE) == [session]
        assert await store.list_by_customer(tenant, CUSTOMER) == [session]
        assert await store.find_sessions_by_step_hash(tenant, SCENARIO, 1, "hash-1") == [session]


async def test_get_and_delete_with_a_tenant_see_no_other_tenants_session(store: Any) -> None:
    session = make_session()
    await store.save(session)

    assert await store.get(session.session_id, tenant_id=OTHER_TENANT) is None
    assert not await store.delete(session.session_id, tenant_id=OTHER_TENANT)
    assert await store.get(session.session_id) == session
    assert await store.delete(session.session_id, tenant_id=TENANT)
    assert await store.get(session.session_id) is None


async def test_deleting_what_is_not_there_says_so(store: Any) -> None:
    session = make_session()

    assert not await store.delete(session.session_id)
    await store.save(session)
    assert await store.delete(session.session_id)
    assert not await store.delete(session.session_id)


async def test_an_id_of_another_tenant_is_refused(store: Any) -> None:
    """The error names nothing of the other tenant; both sessions are as before."""
    theirs = make_session(tenant_id=OTHER_TENANT, agent_id=OTHER_AGENT, user_channel_id="canary")
    await store.save(theirs)
    mine = make_session(session_id=theirs.session_id)
    before = mine.last_activity_at
    with pytest.raises(TenantMismatchError) as error:
        await store.save(mine)

    shown = f"{error.value!s} {error.value!r} {vars(error.value)}"
    assert not any(secret in shown for secret in ("canary", str(OTHER_TENANT), str(OTHER_AGENT)))
    assert error.value.session_id == mine.session_id
    assert mine.last_activity_at == before
    assert await store.get(theirs.session_id) == theirs
    assert await store.list_by_agent(TENANT, AGENT) == []


async def test_an_id_is_free_for_any_tenant_once_deleted(store: Any) -> None:
    session = make_session()
    await store.save(session)
    await store.delete(session.session_id)
    session.tenant_id = OTHER_TENANT
    await store.save(session)

    assert await store.get(session.session_id, tenant_id=OTHER_TENANT) == session


async def test_the_prefix_of_an_entry_is_all_of_the_tenant(indexed: InMemorySessionStore) -> None:
    """Tenants whose ids differ in the last byte only do not share an entry."""
    near = TENANT.__class__(int=TENANT.int ^ 1)
    await indexed.save(make_session())

    assert await indexed.list_by_agent(near, AGENT) == []
    assert await indexed.get_by_channel(near, Channel.WEBCHAT, "user-1") is None
