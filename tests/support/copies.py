"""Fill a store, and collect the results of every query, to compare a copy with its source."""

from __future__ import annotations

from typing import Any

from tests.support.builders import (
    AGENT,
    CUSTOMER,
    OTHER_TENANT,
    SCENARIO,
    TENANT,
    NotedSession,
    TaggedSession,
    at_step,
    make_session,
)


async def fill(store: Any) -> list[Any]:
    """Save some sessions of several classes and tenants, and return them."""
    sessions = [
        *[at_step(user_channel_id=f"user-{number}", customer_profile_id=CUSTOMER) for number in range(40)],
        *[make_session(NotedSession, note="x", tenant_id=OTHER_TENANT) for _ in range(5)],
        *[make_session(TaggedSession, tags={"a"}, status="closed") for _ in range(5)],
    ]
    for session in sessions:
        await store.save(session)
    for session in sessions[::3]:
        session.turn_count += 1
        await store.save(session)
    return sessions


async def answers(store: Any, sessions: list[Any]) -> list[Any]:
    """Return the results of every query."""
    found = [await store.get(session.session_id, tenant_id=session.tenant_id) for session in sessions]
    for tenant in (TENANT, OTHER_TENANT):
        found += [await store.list_by_agent(tenant, AGENT), await store.list_by_customer(tenant, CUSTOMER)]
        found += [await store.find_sessions_by_step_hash(tenant, SCENARIO, 1, "hash-1")]
        found += [await store.count_by_agent(tenant, AGENT), await store.count_steps(tenant, SCENARIO, 1)]
        found += [await store.get_by_channel(tenant, session.channel, session.user_channel_id) for session in sessions]
    return found
