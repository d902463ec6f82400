"""Count the round trips and the bytes of each operation of the contract."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from uuid import uuid4

from benchmarks.measure.progress import Progress
from benchmarks.scenarios.operations import change
from benchmarks.scenarios.servers.relay import Relay, Relayed
from benchmarks.scenarios.servers.server import url
from benchmarks.scenarios.sessions import Population, keys_of
from sessiondex import Session, SessionStatus, SessionStore
from sessiondex.stores.redis import RedisSessionStore

Store: TypeAlias = SessionStore[Session]

_REPEATS = 2
_LIST, _MANY, _QUIET_SECONDS = 20, 100, 0.01


@dataclass(frozen=True)
class Trips:
    """The cost of one call, a median: round trips before it returns and after it, and bytes of both."""

    operation: str
    waited: float
    afterwards: float
    sent: float
    received: float


async def count(port: int, size: int, seed: int, progress: Progress) -> list[Trips]:
    """Count each operation, one call after the other."""
    counted: dict[str, list[tuple[Relayed, Relayed]]] = {}
    async with (
        RedisSessionStore(url(port), prefix="trips") as other,
        Relay(port) as relay,
        RedisSessionStore(url(relay.port), prefix="trips") as store,
    ):
        sessions = list(Population(size, seed))
        await other.save_many(sessions)
        # Of one tenant: others the store would have to register first.
        sessions = [session for session in sessions if session.tenant_id == sessions[0].tenant_id]
        with progress.stage("server: round trips", _REPEATS + 1) as advance:
            for number in range(_REPEATS + 1):
                session = sessions[number % len(sessions)]
                for operation in calls_of(store, session, [], []):
                    stored, new = ([_like(session) for _ in range(_MANY)] for _ in range(2))
                    await other.save_many(stored)
                    call = calls_of(store, session, stored, new)[operation]
                    counted.setdefault(operation, []).append(await _counted(relay, call))
                advance(1)
    return [
        Trips(
            operation,
            waited=statistics.median(waited.trips for waited, _ in pairs[1:]),  # the first call opens connections
            afterwards=statistics.median(after.trips for _, after in pairs[1:]),
            sent=statistics.median(waited.sent + after.sent for waited, after in pairs[1:]),
            received=statistics.median(waited.received + after.received for waited, after in pairs[1:]),
        )
        for operation, pairs in counted.items()
    ]


def calls_of(
    store: Store, session: Session, stored: list[Session], new: list[Session]
) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return a call of each operation: on a session of a population, on many stored ones, or on new ones."""
    keys = keys_of(session)
    session_id, tenant_id = keys.session_id, keys.tenant_id
    step = (tenant_id, keys.scenario_id, keys.scenario_version)
    return {
        "get": partial(store.get, session_id, tenant_id=tenant_id),
        "get, no tenant given": partial(store.get, session_id),
        "save": partial(store.save, session),
        "save, new": lambda: store.save(new[0]),
        "delete": lambda: store.delete(stored[0].session_id, tenant_id=tenant_id),
        "delete, no tenant given": lambda: store.delete(stored[0].session_id),
        f"save_many, {_MANY} of a tenant": lambda: store.save_many(stored),
        f"delete_many, {_MANY} of a tenant": lambda: store.delete_many(
            [each.session_id for each in stored], tenant_id=tenant_id
        ),
        f"load, {_MANY} new": lambda: store.load(new),
        "get_by_channel": partial(store.get_by_channel, tenant_id, keys.channel, keys.user_channel_id),
        f"list_by_agent, {_LIST}": partial(store.list_by_agent, tenant_id, keys.agent_id, limit=_LIST),
        "list_by_customer": partial(store.list_by_customer, tenant_id, keys.customer_profile_id, limit=_LIST),
        "count_by_agent": partial(store.count_by_agent, tenant_id, keys.agent_id),
        "count_steps": partial(store.count_steps, *step),
        "find_sessions_by_step_hash": partial(store.find_sessions_by_step_hash, *step, keys.step_content_hash),
        "update": partial(store.update, session_id, change, tenant_id=tenant_id),
        "get_or_create, there": lambda: _get_or_create(store, stored[0]),
        "get_or_create, new": lambda: _get_or_create(store, new[0]),
        "exclusive": partial(_lock_and_release, store, session),
    }


async def _get_or_create(store: Store, session: Session) -> None:
    await store.get_or_create(session.tenant_id, session.channel, session.user_channel_id, lambda: session)


async def _lock_and_release(store: Store, session: Session) -> None:
    async with store.exclusive(session.session_id):
        pass


def _like(session: Session) -> Session:
    """Return a session that is not stored, and shares no list with the other one."""
    name = uuid4()
    ids = dict.fromkeys(("session_id", "agent_id", "customer_profile_id", "active_scenario_id"), name)
    more = {"user_channel_id": name.hex, "status": SessionStatus.ACTIVE, "revision": 0}
    return session.model_copy(update={**ids, **more})


async def _counted(relay: Relay, call: Callable[[], Awaitable[object]]) -> tuple[Relayed, Relayed]:
    """Return what was relayed until the call returned, and after that."""
    before, seen = relay.relayed, None
    await call()
    returned = relay.relayed
    while seen != relay.relayed:
        seen = relay.relayed
        await asyncio.sleep(_QUIET_SECONDS)
    return returned.since(before), relay.relayed.since(returned)
