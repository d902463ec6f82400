"""All queries and counts, called with the keys of one session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from sessiondex.contract import SessionStore
from sessiondex.indexed import Indexed
from sessiondex.models import Session
from sessiondex.testing.expectations import expect


class Marked(Session):
    """A session that can be found by a mark."""

    mark: Annotated[str | None, Indexed()] = None


Query = Callable[[SessionStore[Any], Session], Awaitable[Any]]


def _hash(like: Session) -> str:
    return (like.step_history[-1].step_content_hash if like.step_history else None) or ""


def _identity(like: Session) -> tuple[Any, Any, str]:
    return like.tenant_id, like.channel, like.user_channel_id


def _step(like: Session) -> tuple[Any, Any, int, str]:
    return like.tenant_id, like.active_scenario_id, like.active_scenario_version or 0, _hash(like)


LISTS: Mapping[str, Query] = {
    "list_by_agent": lambda store, like: store.list_by_agent(like.tenant_id, like.agent_id, limit=1_000),
    "list_by_agent of a status": lambda store, like: store.list_by_agent(
        like.tenant_id, like.agent_id, status=like.status, limit=1_000
    ),
    "list_by_customer": lambda store, like: store.list_by_customer(
        like.tenant_id, like.customer_profile_id or like.session_id, limit=1_000
    ),
    "list_by_customer of a status": lambda store, like: store.list_by_customer(
        like.tenant_id, like.customer_profile_id or like.session_id, status=like.status, limit=1_000
    ),
    "list_by_channel": lambda store, like: store.list_by_channel(*_identity(like), limit=1_000),
    "list_by_tenant": lambda store, like: store.list_by_tenant(like.tenant_id, limit=1_000),
    "list_by_tenant of a status": lambda store, like: store.list_by_tenant(
        like.tenant_id, status=like.status, limit=1_000
    ),
    "find_sessions_by_step_hash": lambda store, like: store.find_sessions_by_step_hash(*_step(like)),
}
SINGLE: Mapping[str, Query] = {
    "get": lambda store, like: store.get(like.session_id),
    "get of a tenant": lambda store, like: store.get(like.session_id, tenant_id=like.tenant_id),
    "get_by_channel": lambda store, like: store.get_by_channel(*_identity(like)),
}
COUNTS: Mapping[str, Query] = {
    "count_by_agent": lambda store, like: store.count_by_agent(like.tenant_id, like.agent_id),
    "count_by_agent of a status": lambda store, like: store.count_by_agent(
        like.tenant_id, like.agent_id, status=like.status
    ),
    "count_by_customer": lambda store, like: store.count_by_customer(
        like.tenant_id, like.customer_profile_id or like.session_id
    ),
    "count_by_customer of a status": lambda store, like: store.count_by_customer(
        like.tenant_id, like.customer_profile_id or like.session_id, status=like.status
    ),
    "count_by_channel": lambda store, like: store.count_by_channel(*_identity(like)),
    "count_by_tenant": lambda store, like: store.count_by_tenant(like.tenant_id),
    "count_by_tenant of a status": lambda store, like: store.count_by_tenant(like.tenant_id, status=like.status),
    "count_by_step_hash": lambda store, like: store.count_by_step_hash(*_step(like)),
}


async def run_all_queries(store: SessionStore[Any], like: Session) -> dict[str, list[Any]]:
    """Return the result of each query for the keys of the session, as lists. The session must have a scenario.

    Omits queries that the store does not implement.
    """
    found = {}
    for name, query in (*SINGLE.items(), *LISTS.items()):
        try:
            answer = await query(store, like)
        except NotImplementedError:
            continue
        found[name] = answer if isinstance(answer, list) else [] if answer is None else [answer]
    return found


def finds_by_content(name: str) -> bool:
    """Return whether the query of that name finds a session by fields that a service may change."""
    return name not in {"get", "get of a tenant"} and not name.startswith("list_by_tenant")


async def expect_in_all_queries(store: SessionStore[Any], like: Session, expected: list[Any], what: str) -> None:
    """Expect every query and every count to find these sessions and no others."""
    for name, found in (await run_all_queries(store, like)).items():
        expect(found, expected, f"{name}, {what}")
    for name, query in COUNTS.items():
        try:
            count = await query(store, like)
        except NotImplementedError:
            continue
        expect(count, len(expected), f"{name}, {what}")
