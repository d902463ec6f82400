"""Hostile values for arguments: an error that names the argument, or an empty answer, and nothing changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from itertools import product
from typing import Any

import pytest

from sessiondex import Channel, InvalidArgumentError, InvalidSessionError, ScopeFilter, SessionNotFoundError
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT
from tests.support.hostile_classes import CANARY, PlantedError
from tests.support.hostile_places import SESSION_ID, base
from tests.support.hostile_values import DECEITFUL, HOSTILE, nested

NOTHING: tuple[Any, ...] = (None, False, 0, [], {})


async def _drained(sessions: AsyncIterator[Any]) -> list[Any]:
    return [session async for session in sessions]


async def _turn(store: Any, session_id: Any, timeout: Any) -> None:  # noqa: ASYNC109  # the store's own
    async with store.exclusive(session_id, timeout=timeout):
        pass


async def _never() -> Any:
    raise AssertionError("there was nothing to create")


KEYS: dict[str, Callable[[Any, Any], Any]] = {
    "get": lambda s, v: s.get(v),
    "get of a tenant": lambda s, v: s.get(SESSION_ID, tenant_id=v) if v is not None else _nothing(),
    "delete": lambda s, v: s.delete(v),
    "delete of a tenant": lambda s, v: s.delete(SESSION_ID, tenant_id=v) if v is not None else _nothing(),
    "delete_many": lambda s, v: s.delete_many([v]),
    "update": lambda s, v: s.update(v, lambda _: None),
    "get_by_channel: tenant": lambda s, v: s.get_by_channel(v, Channel.WEBCHAT, "user-1"),
    "get_by_channel: channel": lambda s, v: s.get_by_channel(TENANT, v, "user-1"),
    "get_by_channel: user": lambda s, v: s.get_by_channel(TENANT, Channel.WEBCHAT, v),
    "get_or_create: tenant": lambda s, v: _not_found(s, v, Channel.WEBCHAT, "user-1"),
    "get_or_create: channel": lambda s, v: _not_found(s, TENANT, v, "user-1"),
    "get_or_create: user": lambda s, v: _not_found(s, TENANT, Channel.WEBCHAT, v),
    "list_by_agent: tenant": lambda s, v: s.list_by_agent(v, AGENT),
    "list_by_agent: agent": lambda s, v: s.list_by_agent(TENANT, v),
    "list_by_agent: status": lambda s, v: s.list_by_agent(TENANT, AGENT, status=v) if v is not None else _nothing(),
    "list_by_customer: tenant": lambda s, v: s.list_by_customer(v, CUSTOMER),
    "list_by_customer: customer": lambda s, v: s.list_by_customer(TENANT, v),
    "iter_by_agent": lambda s, v: _drained(s.iter_by_agent(TENANT, v)),
    "iter_by_customer": lambda s, v: _drained(s.iter_by_customer(v, CUSTOMER)),
    "count_by_agent": lambda s, v: s.count_by_agent(TENANT, v),
    "count_by_customer": lambda s, v: s.count_by_customer(TENANT, v),
    "count_by_step_hash: scenario": lambda s, v: s.count_by_step_hash(TENANT, v, 1, "hash-1"),
    "count_by_step_hash: version": lambda s, v: s.count_by_step_hash(TENANT, SCENARIO, _not_one(v), "hash-1"),
    "count_by_step_hash: hash": lambda s, v: s.count_by_step_hash(TENANT, SCENARIO, 1, v),
    "count_steps: version": lambda s, v: s.count_steps(TENANT, SCENARIO, _not_one(v)),
    "find: scenario": lambda s, v: s.find_sessions_by_step_hash(TENANT, v, 1, "hash-1"),
    "find: version": lambda s, v: s.find_sessions_by_step_hash(TENANT, SCENARIO, _not_one(v), "hash-1"),
    "find: hash": lambda s, v: s.find_sessions_by_step_hash(TENANT, SCENARIO, 1, v),
    "find: node": lambda s, v: s.find_sessions_by_step_hash(
        TENANT, SCENARIO, 1, "hash-1", ScopeFilter().model_copy(update={"include_current_nodes": [v]})
    ),
    "find: channel": lambda s, v: s.find_sessions_by_step_hash(
        TENANT, SCENARIO, 1, "hash-1", ScopeFilter().model_copy(update={"include_channels": (v,)})
    ),
}
"""With the value for what is looked for: the answer is an error that names the argument, or empty."""

BOUNDS: dict[str, Callable[[Any, Any], Any]] = {
    "limit": lambda s, v: s.list_by_agent(TENANT, AGENT, limit=v),
    "before": lambda s, v: s.list_by_agent(TENANT, AGENT, before=v),
    "before, of a customer": lambda s, v: s.list_by_customer(TENANT, CUSTOMER, before=v),
    "page_size": lambda s, v: _drained(s.iter_by_agent(TENANT, AGENT, page_size=v)),
    "scope_filter": lambda s, v: s.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1", v),
    "oldest": lambda s, v: s.find_sessions_by_step_hash(
        TENANT, SCENARIO, 1, "hash-1", ScopeFilter().model_copy(update={"max_session_age_days": v})
    ),
    "session_id of a turn": lambda s, v: _turn(s, v, None),
    "timeout": lambda s, v: _turn(s, SESSION_ID, v),
    "sessions": lambda s, v: s.save_many(v),
    "session": lambda s, v: s.save(v),
    "sessions to load": lambda s, v: s.load(v),
    "batch": lambda s, v: s.load([], batch=v),
    "session_ids": lambda s, v: s.delete_many(v),
    "change": lambda s, v: s.update(SESSION_ID, lambda _: v),
}
"""With the value for anything else: there may be an answer as well."""


async def _nothing() -> None:
    return None


def _not_one(value: Any) -> Any:
    return value + 1 if isinstance(value, int) and value == 1 else value


async def _not_found(store: Any, tenant: Any, channel: Any, user: Any) -> Any:
    try:
        return await store.get_or_create(tenant, channel, user, _never)
    except AssertionError:  # it would have been created: what is looked for is not there
        return None


OF_ENUMS = [query for query in KEYS if query.endswith(("channel", "status"))]
DECEITFUL_IF_ASKED = [*DECEITFUL, "instant that raises"]
TOO_DEEP = {"nested 5,000 deep", "dicts 5,000 deep"}


async def wrong_answers(store: Any, names: Iterable[str], queries: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return for which values and queries the answer was neither an error that may be raised, nor empty."""
    wrong = []
    for name, query in product(names, queries):
        try:
            answer = await {**KEYS, **BOUNDS}[query](store, HOSTILE[name]())
        except (InvalidArgumentError, InvalidSessionError, SessionNotFoundError) as error:
            if CANARY in _text_of(error):
                wrong.append((name, query, "the error shows the value"))
        except Exception as error:  # noqa: BLE001  # any error is reported
            wrong.append((name, query, type(error).__name__))
        else:
            if query in KEYS and answer not in NOTHING:
                wrong.append((name, query, "there is an answer"))
    return wrong


def _text_of(error: Exception) -> str:
    try:
        return f"{error!s} {error!r} {error.args} {error.__cause__!r}"
    except PlantedError:  # of an id that cannot be printed
        return ""


@pytest.fixture
async def asked(store: Any) -> AsyncIterator[Any]:
    """A store with a session in it, which the queries must leave as it is."""
    await store.save(base())
    saved = await store.get(SESSION_ID)
    yield store
    found = await store.get(SESSION_ID)
    vars(found).update(last_activity_at=saved.last_activity_at, revision=1)  # if `update` had nothing to change
    assert found == saved


async def test_a_hostile_argument_is_refused_by_name_or_finds_nothing(asked: Any) -> None:
    """No other exception gets out of a query, whatever it is asked for; and nothing changes."""
    names = [name for name in HOSTILE if name not in DECEITFUL_IF_ASKED and name not in TOO_DEEP]

    assert await wrong_answers(asked, names, [*KEYS, *BOUNDS]) == []
    assert await wrong_answers(asked, TOO_DEEP, {*KEYS, *BOUNDS} - {*OF_ENUMS}) == []


async def test_a_list_too_deep_to_print_is_refused_for_a_channel(asked: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await asked.get_by_channel(TENANT, nested(100_000), "user-1")
    with pytest.raises(InvalidArgumentError):
        await asked.list_by_agent(TENANT, AGENT, status=nested(100_000))


async def test_an_argument_that_raises_or_lies_changes_nothing(asked: Any) -> None:
    """Its own errors may get out of a query, and are all that does; it never finds what is there."""
    wrong = await wrong_answers(asked, DECEITFUL_IF_ASKED, [*KEYS, *BOUNDS])

    assert {what for _, _, what in wrong} <= {"PlantedError", "AttributeError", "TypeError"}
