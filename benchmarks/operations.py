"""What is timed: the queries, and reading, saving and deleting by id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from benchmarks.contestants import Contestant, Store
from benchmarks.measure import Sample, timed
from benchmarks.sessions import SessionKeys
from sessiondex import Session

Answer: TypeAlias = Session | list[Session] | None
Bind: TypeAlias = Callable[[Store, SessionKeys], Callable[[], Awaitable[Answer]]]
"""Binds a query to a store and to the keys of a session: everything but the call itself, which is what is timed."""

LIMIT = 100

BY_CHANNEL = "get_by_channel"
BY_AGENT = "list_by_agent"
BY_AGENT_STATUS = "list_by_agent + status"
BY_CUSTOMER = "list_by_customer"
BY_STEP = "find_sessions_by_step_hash"
GET, SAVE, DELETE = "get", "save", "delete"


def _by_channel(store: Store, keys: SessionKeys) -> Callable[[], Awaitable[Answer]]:
    return partial(store.get_by_channel, keys.tenant_id, keys.channel, keys.user_channel_id)


def _by_agent(store: Store, keys: SessionKeys) -> Callable[[], Awaitable[Answer]]:
    return partial(store.list_by_agent, keys.tenant_id, keys.agent_id, limit=LIMIT)


def _by_agent_status(store: Store, keys: SessionKeys) -> Callable[[], Awaitable[Answer]]:
    return partial(store.list_by_agent, keys.tenant_id, keys.agent_id, status=keys.status, limit=LIMIT)


def _by_customer(store: Store, keys: SessionKeys) -> Callable[[], Awaitable[Answer]]:
    return partial(store.list_by_customer, keys.tenant_id, keys.customer_profile_id, limit=LIMIT)


def _by_step(store: Store, keys: SessionKeys) -> Callable[[], Awaitable[Answer]]:
    return partial(
        store.find_sessions_by_step_hash,
        keys.tenant_id,
        keys.scenario_id,
        keys.scenario_version,
        keys.step_content_hash,
    )


def _by_id(store: Store, keys: SessionKeys) -> Callable[[], Awaitable[Answer]]:
    return partial(store.get, keys.session_id)


QUERIES: dict[str, Bind] = {
    BY_CHANNEL: _by_channel,
    BY_AGENT: _by_agent,
    BY_AGENT_STATUS: _by_agent_status,
    BY_CUSTOMER: _by_customer,
    BY_STEP: _by_step,
}
"""Those that a scan answers by walking."""

READS: dict[str, Bind] = {**QUERIES, GET: _by_id}

OPERATIONS = (*READS, SAVE, DELETE)
"""All, in the order in which they are timed: those that change what is stored come last."""


def sessions_in(answer: Answer) -> list[Session]:
    """Return the answer as a list, whichever query gave it."""
    if answer is None:
        return []
    return answer if isinstance(answer, list) else [answer]


def change(session: Session) -> None:
    """Change the session as a turn of its conversation does."""
    session.turn_count += 1
    session.variables["turns_since_offer"] = session.turn_count - 3


async def once(operation: str, contestant: Contestant, keys: SessionKeys) -> Sample:
    """Time one call of the operation on the session with these keys."""
    if operation == SAVE:
        return await _save_once(contestant, keys)
    if operation == DELETE:
        return await _delete_once(contestant, keys)
    nanoseconds, answer = await timed(READS[operation](contestant.store, keys))
    return Sample(nanoseconds, len(sessions_in(answer)))


async def changed(contestant: Contestant, keys: SessionKeys) -> Session:
    """Return the session as the store gives it, changed and not yet saved."""
    session = await contestant.store.get(keys.session_id)
    assert session is not None
    change(session)
    contestant.clock.tick()
    return session


async def _save_once(contestant: Contestant, keys: SessionKeys) -> Sample:
    session = await changed(contestant, keys)
    nanoseconds, _ = await timed(partial(contestant.store.save, session))
    return Sample(nanoseconds, 1)


async def _delete_once(contestant: Contestant, keys: SessionKeys) -> Sample:
    session = await changed(contestant, keys)
    nanoseconds, deleted = await timed(partial(contestant.store.delete, keys.session_id))
    assert deleted
    await contestant.store.save(session)
    return Sample(nanoseconds, 1)
