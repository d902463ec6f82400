"""A valid call of every method of the contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sessiondex import Channel
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, make_session

Call = Callable[[Any, Any], Awaitable[Any]]


async def _enter_and_exit(block: Any) -> None:
    async with block:
        pass


async def _first(iterator: Any) -> Any:
    return await anext(iterator)


CALLS: Mapping[str, Call] = {
    "get": lambda store, session: store.get(session.session_id),
    "save": lambda store, session: store.save(session),
    "delete": lambda store, session: store.delete(session.session_id),
    "save_many": lambda store, session: store.save_many([session]),
    "delete_many": lambda store, session: store.delete_many([session.session_id]),
    "load": lambda store, session: store.load([session]),
    "get_by_channel": lambda store, _: store.get_by_channel(TENANT, Channel.SMS, "u"),
    "list_by_agent": lambda store, _: store.list_by_agent(TENANT, AGENT),
    "list_by_customer": lambda store, _: store.list_by_customer(TENANT, CUSTOMER),
    "iter_by_agent": lambda store, _: _first(store.iter_by_agent(TENANT, AGENT)),
    "iter_by_customer": lambda store, _: _first(store.iter_by_customer(TENANT, CUSTOMER)),
    "count_by_agent": lambda store, _: store.count_by_agent(TENANT, AGENT),
    "count_by_customer": lambda store, _: store.count_by_customer(TENANT, CUSTOMER),
    "count_by_step_hash": lambda store, _: store.count_by_step_hash(TENANT, SCENARIO, 1, "h"),
    "count_steps": lambda store, _: store.count_steps(TENANT, SCENARIO, 1),
    "find_sessions_by_step_hash": lambda store, _: store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "h"),
    "update": lambda store, session: store.update(session.session_id, lambda _: None),
    "get_or_create": lambda store, _: store.get_or_create(TENANT, Channel.WEBCHAT, "user-1", make_session),
    "exclusive": lambda store, session: _enter_and_exit(store.exclusive(session.session_id)),
    "changes": lambda store, _: _first(store.changes()),
    "export": lambda store, _: store.export(),
    "restore": lambda store, _: store.restore([]),
    "health_check": lambda store, _: store.health_check(),
    "aclose": lambda store, _: store.aclose(),
    "async with": lambda store, _: _enter_and_exit(store),
}
"""By name of the method: a call with a store, and a session that is saved there."""
