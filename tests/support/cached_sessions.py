"""Bring sessions into the cache of a store, and out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sessiondex import Session
from tests.support.builders import OTHER_TENANT, SCENARIO, make_session
from tests.support.stores import is_cached

QUERIES: list[Callable[[Any, Any], Any]] = [
    lambda store, session: store.get(session.session_id),
    lambda store, session: store.get(session.session_id, tenant_id=session.tenant_id),
    lambda store, session: store.get_by_channel(session.tenant_id, session.channel, session.user_channel_id),
    lambda store, session: store.list_by_agent(session.tenant_id, session.agent_id),
    lambda store, session: store.list_by_agent(session.tenant_id, session.agent_id, status=session.status),
    lambda store, session: store.list_by_customer(session.tenant_id, session.customer_profile_id),
    lambda store, session: store.find_sessions_by_step_hash(session.tenant_id, SCENARIO, 1, "hash-1"),
]
"""Every query that finds a session at the first step of the scenario."""


async def first_found(query: Callable[[Any, Any], Any], store: Any, session: Session) -> Any:
    answer = await query(store, session)
    return answer[0] if isinstance(answer, list) else answer


async def save_and_cache(store: Any, session: Session) -> None:
    """Save the session, and read it until the store keeps it as a live object."""
    await store.save(session)
    await cache(store, session)


async def cache(store: Any, session: Session) -> None:
    for _ in range(2):
        await store.get(session.session_id)
    assert is_cached(store, session)


async def replace_in_cache(store: Any, *sessions: Session) -> None:
    """Cache as many other sessions as the cache has room for."""
    cached_sessions = store.stats().cached_sessions
    for _ in range(cached_sessions):
        await save_and_cache(store, make_session(tenant_id=OTHER_TENANT))
    assert not any(is_cached(store, session) for session in sessions)
