"""Turn sessions and whole stores into bytes that are equal only for identical content."""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from sessiondex import Channel, InMemorySessionStore, Session, SessionStatus
from tests.support.stores import check_indexes


def fingerprint(value: Any) -> bytes:
    """Return bytes that differ for True and 1, 0.0 and -0.0, a class and its base, and different orders of keys.

    Equals `tests.support.exact_values.exact` in precision, at a tenth of its cost.
    """
    return marshal.dumps(_bare(value), _VERSION)


_VERSION = 2  # later versions write references and mark interned strings, so equal values could differ


def _bare(value: Any) -> Any:
    kind = type(value)
    if kind in _BY_KIND:
        return _BY_KIND[kind](value)
    if isinstance(value, BaseModel):
        parts = [(name, _bare(item)) for name, item in vars(value).items()]
        others = value.__pydantic_extra__, value.__pydantic_private__, value.__pydantic_fields_set__
        return kind.__qualname__, parts, *map(_bare, others)
    if isinstance(value, Enum):
        return kind.__qualname__, value.name
    return kind.__qualname__, repr(value)


def _items(value: Any) -> Any:
    try:
        return marshal.dumps(value, _VERSION)  # rejects subclasses of JSON types
    except ValueError:
        return type(value).__name__, [_bare(item) for item in (value.items() if type(value) is dict else value)]


def _sorted(value: Any) -> list[Any]:
    if set(map(type, value)) == {str}:  # usual for field names; sorting strings takes a tenth of the time
        return sorted(value)
    return sorted(map(fingerprint, value))


_BY_KIND: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys((type(None), bool, int, float, str, bytes), lambda value: value),
    **dict.fromkeys((list, tuple, dict), _items),
    **dict.fromkeys((set, frozenset), _sorted),
    UUID: lambda value: ("UUID", value.bytes),
    datetime: lambda value: ("datetime", value.isoformat(), repr(value.tzinfo)),
}


class Watched(NamedTuple):
    """The ids and keys that a digest queries."""

    session_ids: tuple[UUID, ...]
    tenants: tuple[UUID, ...]
    agents: tuple[UUID, ...]
    customers: tuple[UUID, ...]
    identities: tuple[tuple[Channel, str], ...]
    steps: tuple[tuple[UUID, int, str], ...]


async def digest(store: Any, watched: Watched) -> str:
    """Return the digest of all results for the watched ids and keys; check the store's indexes as well."""
    answers: list[Any] = [await store.get(session_id) for session_id in watched.session_ids]
    for tenant in watched.tenants:
        answers += [await store.get_by_channel(tenant, *identity) for identity in watched.identities]
        for agent in watched.agents:
            answers += _ids(await store.list_by_agent(tenant, agent))
            answers += _ids(await store.list_by_agent(tenant, agent, status=SessionStatus.ACTIVE))
            answers.append(await store.count_by_agent(tenant, agent))
        for customer in watched.customers:
            answers += _ids(await store.list_by_customer(tenant, customer))
            answers.append(await store.count_by_customer(tenant, customer))
        for scenario, version, step in watched.steps:
            answers += _ids(await store.find_sessions_by_step_hash(tenant, scenario, version, step))
            answers.append(sorted((await store.count_steps(tenant, scenario, version)).items()))
    if isinstance(store, InMemorySessionStore):
        stats = store.stats()
        answers += [stats.sessions, sorted((name, size.entries, size.keys) for name, size in stats.indexes.items())]
    check_indexes(store)
    return hashlib.sha256(fingerprint(answers)).hexdigest()


def _ids(sessions: Iterable[Session]) -> list[bytes]:
    return [session.session_id.bytes for session in sessions]
