"""How many round trips each operation of the contract takes, and how many bytes go over the network for it."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from benchmarks.operations import change
from benchmarks.remote.relay import Relay, Traffic
from benchmarks.remote.server import url
from benchmarks.sessions import Population, keys_of
from sessiondex import Session, SessionStatus, SessionStore
from sessiondex.stores.redis import RedisSessionStore

Store: TypeAlias = SessionStore[Session]
Ready: TypeAlias = Callable[[], Awaitable[object]]
"""A call of which everything is prepared."""

REPEATS = 3
_LIST, _MANY = 20, 100
_QUIET = 0.01  # seconds


@dataclass(frozen=True)
class Trips:
    """What one call takes: the median of some."""

    operation: str
    waited: float
    """Round trips before it returns."""
    afterwards: float
    """Round trips that nobody waits for."""
    sent: float
    received: float
    """Bytes, of both."""


@dataclass(frozen=True)
class Scene:
    """What a call is about: a session that is stored, and whatever is made like it."""

    store: Store
    other: Store
    """Another store on the same server, which is not counted."""
    session: Session

    def new(self) -> Session:
        """Return a session that is not stored, and in no list with those that are."""
        name = uuid4()
        ids = dict.fromkeys(("session_id", "agent_id", "customer_profile_id", "active_scenario_id"), name)
        more = {"user_channel_id": name.hex, "status": SessionStatus.ACTIVE, "revision": 0}
        return self.session.model_copy(update={**ids, **more})

    async def saved(self, count: int) -> list[Session]:
        """Return so many new ones that are stored."""
        sessions = [self.new() for _ in range(count)]
        await self.other.save_many(sessions)
        return sessions


async def count(port: int, size: int, seed: int, advance: Callable[[int], None]) -> list[Trips]:
    """Count for each operation, one call after the other, with so many sessions stored."""
    prefix = "trips"
    async with (
        RedisSessionStore(url(port), prefix=prefix) as other,
        Relay(port) as relay,
        RedisSessionStore(url(relay.port), prefix=prefix) as store,
    ):
        sessions = list(Population(size, seed))
        await other.save_many(sessions)
        # One tenant's: of others the store would first have to know that they exist.
        sessions = [session for session in sessions if session.tenant_id == sessions[0].tenant_id]
        found = []
        for operation, prepare in OPERATIONS.items():
            calls = []
            for number in range(REPEATS + 1):
                scene = Scene(store, other, sessions[number % len(sessions)])
                calls.append(await _counted(relay, await prepare(scene)))
            found.append(_summary(operation, calls[1:]))  # the first makes connections
            advance(1)
        return found


async def _counted(relay: Relay, call: Ready) -> tuple[Traffic, Traffic]:
    """Return what the call took until it returned, and what it took after that."""
    before = relay.traffic
    await call()
    returned = relay.traffic
    await _quiet(relay)
    return returned.since(before), relay.traffic.since(returned)


async def _quiet(relay: Relay) -> None:
    """Wait until nothing goes through any more."""
    seen = None
    while seen != relay.traffic:
        seen = relay.traffic
        await asyncio.sleep(_QUIET)


def _summary(operation: str, calls: Sequence[tuple[Traffic, Traffic]]) -> Trips:
    return Trips(
        operation,
        waited=statistics.median(waited.trips for waited, _ in calls),
        afterwards=statistics.median(after.trips for _, after in calls),
        sent=statistics.median(waited.sent + after.sent for waited, after in calls),
        received=statistics.median(waited.received + after.received for waited, after in calls),
    )


# -- each prepares a call --


async def _get(scene: Scene) -> Ready:
    return partial(scene.store.get, scene.session.session_id, tenant_id=scene.session.tenant_id)


async def _get_anywhere(scene: Scene) -> Ready:
    return partial(scene.store.get, scene.session.session_id)


async def _save(scene: Scene) -> Ready:
    return partial(scene.store.save, scene.session)


async def _save_new(scene: Scene) -> Ready:
    return partial(scene.store.save, scene.new())


async def _save_many(scene: Scene) -> Ready:
    return partial(scene.store.save_many, await scene.saved(_MANY))


async def _load(scene: Scene) -> Ready:
    return partial(scene.store.load, [scene.new() for _ in range(_MANY)])


async def _delete(scene: Scene) -> Ready:
    (session,) = await scene.saved(1)
    return partial(scene.store.delete, session.session_id, tenant_id=session.tenant_id)


async def _delete_anywhere(scene: Scene) -> Ready:
    (session,) = await scene.saved(1)
    return partial(scene.store.delete, session.session_id)


async def _delete_many(scene: Scene) -> Ready:
    ids = [session.session_id for session in await scene.saved(_MANY)]
    return partial(scene.store.delete_many, ids, tenant_id=scene.session.tenant_id)


async def _get_by_channel(scene: Scene) -> Ready:
    session = scene.session
    return partial(scene.store.get_by_channel, session.tenant_id, session.channel, session.user_channel_id)


async def _list_by_agent(scene: Scene) -> Ready:
    return partial(scene.store.list_by_agent, scene.session.tenant_id, scene.session.agent_id, limit=_LIST)


async def _list_by_customer(scene: Scene) -> Ready:
    return partial(scene.store.list_by_customer, scene.session.tenant_id, _customer(scene), limit=_LIST)


async def _iter_by_agent(scene: Scene) -> Ready:
    async def one_page() -> None:
        pages: Any = scene.store.iter_by_agent(scene.session.tenant_id, scene.session.agent_id, page_size=_LIST)
        async with aclosing(pages):
            await anext(pages)

    return one_page


async def _iter_by_customer(scene: Scene) -> Ready:
    return partial(_exhaust, scene.store.iter_by_customer(scene.session.tenant_id, _customer(scene)))


async def _export(scene: Scene) -> Ready:
    return partial(scene.store.export, limit=_MANY)


async def _restore(scene: Scene) -> Ready:
    return partial(scene.store.restore, [scene.new().model_copy(update={"revision": 1}) for _ in range(_MANY)])


async def _count_by_agent(scene: Scene) -> Ready:
    return partial(scene.store.count_by_agent, scene.session.tenant_id, scene.session.agent_id)


async def _count_by_customer(scene: Scene) -> Ready:
    return partial(scene.store.count_by_customer, scene.session.tenant_id, _customer(scene))


async def _count_by_step_hash(scene: Scene) -> Ready:
    return partial(scene.store.count_by_step_hash, *_step(scene))


async def _count_steps(scene: Scene) -> Ready:
    tenant_id, scenario_id, scenario_version, _ = _step(scene)
    return partial(scene.store.count_steps, tenant_id, scenario_id, scenario_version)


async def _find_sessions_by_step_hash(scene: Scene) -> Ready:
    return partial(scene.store.find_sessions_by_step_hash, *_step(scene))


async def _update(scene: Scene) -> Ready:
    return partial(scene.store.update, scene.session.session_id, change, tenant_id=scene.session.tenant_id)


async def _get_or_create(scene: Scene) -> Ready:
    (new,) = await scene.saved(1)
    return partial(scene.store.get_or_create, new.tenant_id, new.channel, new.user_channel_id, lambda: new)


async def _get_or_create_new(scene: Scene) -> Ready:
    new = scene.new()
    return partial(scene.store.get_or_create, new.tenant_id, new.channel, new.user_channel_id, lambda: new)


async def _exclusive(scene: Scene) -> Ready:
    async def a_turn() -> None:
        async with scene.store.exclusive(scene.session.session_id):
            pass

    return a_turn


async def _changes(scene: Scene) -> Ready:
    changes = scene.store.changes()
    await scene.store.get(scene.session.session_id)  # which also finds the place from which on they are followed
    await scene.other.save(scene.session)
    await anext(changes)
    await scene.other.save(scene.session)
    return partial(anext, changes)


async def _health_check(scene: Scene) -> Ready:
    return scene.store.health_check


OPERATIONS: dict[str, Callable[[Scene], Awaitable[Ready]]] = {
    "get": _get,
    "get, no tenant given": _get_anywhere,
    "save": _save,
    "save, new": _save_new,
    "delete": _delete,
    "delete, no tenant given": _delete_anywhere,
    f"save_many, {_MANY} of a tenant": _save_many,
    f"delete_many, {_MANY} of a tenant": _delete_many,
    f"load, {_MANY} new": _load,
    "get_by_channel": _get_by_channel,
    f"list_by_agent, {_LIST}": _list_by_agent,
    "list_by_customer": _list_by_customer,
    f"iter_by_agent, a page of {_LIST}": _iter_by_agent,
    "iter_by_customer, one page": _iter_by_customer,
    f"export, {_MANY}": _export,
    f"restore, {_MANY} new": _restore,
    "count_by_agent": _count_by_agent,
    "count_by_customer": _count_by_customer,
    "count_by_step_hash": _count_by_step_hash,
    "count_steps": _count_steps,
    "find_sessions_by_step_hash": _find_sessions_by_step_hash,
    "update": _update,
    "get_or_create, there": _get_or_create,
    "get_or_create, new": _get_or_create_new,
    "exclusive": _exclusive,
    "changes, the next": _changes,
    "health_check": _health_check,
}
"""Every operation of the contract, by its name and what was special."""


async def _exhaust(items: AsyncIterable[object]) -> None:
    async for _ in items:
        pass


def _customer(scene: Scene) -> UUID:
    return keys_of(scene.session).customer_profile_id


def _step(scene: Scene) -> tuple[UUID, UUID, int, str]:
    keys = keys_of(scene.session)
    return keys.tenant_id, keys.scenario_id, keys.scenario_version, keys.step_content_hash
