"""Law 3 at random: whatever is done to what was handed in or out, all that the store answers stays as it is.

Every container that can be reached is emptied, filled or changed within, and attributes of sessions are replaced past
validation, among ongoing operations. What is frozen (visits, migrations, filters, changes) may be shared, so nobody
reaches into those past their being frozen; a filter's attributes are replaced, since a store keeps none of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from pydantic import BaseModel

from sessiondex import Channel, InMemorySessionStore, ScanSessionStore, ScopeFilter, Session, SessionStatus, StepVisit
from tests.support.builders import AGENT, CUSTOMER, SCENARIO, TENANT, Clock
from tests.support.fingerprints import Watched, digest, fingerprint
from tests.support.mutable_containers import CLASSES, containers, session_with_everything
from tests.support.seeds import TryEach, skip_with_seed
from tests.support.stores import cached_snapshot, scan_snapshots

IDS = tuple(UUID(int=1_000 + number) for number in range(10))
WATCHED = Watched(IDS, (TENANT,), (AGENT,), (CUSTOMER,), ((Channel.WEBCHAT, "user-1"),), ((SCENARIO, 1, "hash-1"),))
SEEN = "a change is seen in the store"
JUNK: tuple[Callable[[], Any], ...] = (lambda: None, lambda: "junk", lambda: [["junk"]], lambda: {"junk": [1]}, object)


def spoil_one(container: Any, rng: random.Random) -> int:
    """Change the container in one of the ways in which it can be changed; return 1."""
    junk = rng.choice(JUNK)()
    if isinstance(container, set):
        rng.choice((container.clear, lambda: container.update({"junk", "tenant_id"}), lambda: container.add(7)))()
    elif isinstance(container, dict):
        ways: list[Callable[[], Any]] = [
            container.clear,
            lambda: container.update(junk=junk),
            lambda: container.update(dict.fromkeys(container, junk)),
        ]
        rng.choice(ways)()
    else:
        ways = [
            container.clear,
            lambda: container.append(junk),
            lambda: container.__setitem__(slice(None), [junk] * (len(container) + 1)),
            container.reverse,
        ]
        rng.choice(ways)()
    return 1


def spoil_attributes(thing: Any, rng: random.Random) -> int:
    """Replace attributes, past validation; return how many."""
    names = [name for name in vars(thing) if rng.random() < 0.5]
    vars(thing).update({name: rng.choice(JUNK)() for name in names})
    return len(names)


def models(value: Any) -> list[Any]:
    """Return every session or other model that may be changed, and can be reached from the value."""
    if isinstance(value, BaseModel):
        if value.model_config.get("frozen"):
            return []
        return [value, *(one for item in vars(value).values() for one in models(item))]
    if isinstance(value, dict):
        value = list(value.values())
    return [one for item in value for one in models(item)] if isinstance(value, list | tuple) else []


def reachable(value: Any) -> list[Any]:
    """Return every container that can be reached, what says which fields were set included."""
    found = containers(value)
    for model in models(value):
        found.append(model.model_fields_set)
        found += [one.model_fields_set for one in vars(model).get("step_history", ()) if isinstance(one, StepVisit)]
    return found


class Spoilt(NamedTuple):
    """How many changes were made."""

    containers: int
    attributes: int


def spoil_all(value: Any, rng: random.Random) -> Spoilt:
    """Change everything that can be reached, the innermost first or the outermost."""
    found, changeable = reachable(value), models(value)
    if rng.random() < 0.5:
        found.reverse()
    in_containers = sum(spoil_one(container, rng) for container in found)
    return Spoilt(in_containers, sum(spoil_attributes(model, rng) for model in changeable))


class Spoiler:
    """Works with a store and then spoils all that it gave and got."""

    def __init__(self, make: Callable[..., Any], seed: int) -> None:
        self._rng = random.Random(seed)
        self._evicted: list[Any] = []
        self._store = make(clock=Clock(), max_sessions=len(IDS) // 2, on_evict=self._on_evict)
        self._feed: AsyncIterator[Any] = self._store.changes()
        self._last = 0
        self.containers = 0
        """How many changes were made to containers."""
        self.attributes = 0
        """How many attributes were replaced."""
        self.operations = 0
        self.evictions = 0

    def _on_evict(self, session: Any, _: object) -> None:
        self._evicted.append(session)

    async def go(self, mutations: int) -> None:
        """Go on until so much was changed; raise `AssertionError` once a change is seen in the store."""
        operations = [
            *(self.save, self.save_many, self.load, self.get, self.lists, self.counts, self.update, self.replace),
            *(self.get_or_create, self.iterate, self.find, self.delete_many),
        ]
        while self.containers + self.attributes < mutations:
            operation = self._rng.choice(operations)
            given_and_got = await operation()
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # `on_evict` runs in a task of its own
            evicted, self._evicted = self._evicted, []
            await self._read_changes()
            self.evictions += len(evicted)
            self.operations += 1
            where = f"after {operation.__name__}, operation {self.operations}"
            before = await self._digest(where)
            for thing in (given_and_got, evicted):
                self._spoil(thing)
            assert await self._digest(where) == before, f"{SEEN}, {where}"

    def _spoil(self, thing: Any) -> None:
        containers, attributes = spoil_all(thing, self._rng)
        self.containers += containers
        self.attributes += attributes

    async def _read_changes(self) -> None:
        """Read the changes since the last time, and note the number of the last."""
        with suppress(TimeoutError):  # there are no more
            while True:
                async with asyncio.timeout(0):
                    self._last = (await anext(self._feed)).sequence

    async def _digest(self, where: str) -> tuple[str, list[Any]]:
        since = max(self._last - 8, 0)
        feed = self._store.changes(since=since)
        try:
            again = [await anext(feed) for _ in range(self._last - since)]
            return await digest(self._store, WATCHED), again
        except (AssertionError, AttributeError, TypeError) as error:  # something in it is not what it was
            raise AssertionError(f"{SEEN}, {where}") from error

    # -- operations: each returns all that was given and got --

    def _new(self, session_id: UUID | None = None) -> Any:
        session = session_with_everything(self._rng.choice(CLASSES))
        session.session_id = session_id or self._rng.choice(IDS)
        return session

    async def _there(self) -> Any:
        """Return a session of the store, saved now if there was none of that id."""
        session_id = self._rng.choice(IDS)
        found = await self._store.get(session_id)
        if found is None:
            found = self._new(session_id)
            await self._store.save(found)
        return found

    async def save(self) -> Any:
        session = self._new()
        await self._store.save(session)
        return session

    async def save_many(self) -> Any:
        sessions = [self._new() for _ in range(3)]
        return [sessions, await self._store.save_many(sessions), list(sessions)]

    async def load(self) -> Any:
        sessions = [self._new() for _ in range(3)]
        await self._store.load(sessions, batch=2)
        return [sessions, list(sessions)]

    async def get(self) -> Any:
        session = await self._there()
        return [
            session,
            *[await self._store.get(session.session_id) for _ in range(3)],
            await self._store.get_by_channel(TENANT, Channel.WEBCHAT, "user-1"),
        ]

    async def lists(self) -> Any:
        return [
            await self._store.list_by_agent(TENANT, AGENT, limit=3),
            await self._store.list_by_agent(TENANT, AGENT, status=SessionStatus.ACTIVE, limit=2),
            await self._store.list_by_customer(TENANT, CUSTOMER, limit=2),
        ]

    async def counts(self) -> Any:
        counts = await self._store.count_steps(TENANT, SCENARIO, 1)
        return [counts, self._store.stats().indexes] if isinstance(self._store, InMemorySessionStore) else counts

    async def update(self) -> Any:
        session, seen = await self._there(), []

        def change(mine: Any) -> None:
            seen.append(mine)
            mine.variables["changed"] = [[1]]

        changed = await self._store.update(session.session_id, change)
        return [session, changed, seen]

    async def replace(self) -> Any:
        session = await self._there()
        replacement = self._new(session.session_id)
        changed = await self._store.update(session.session_id, lambda _: replacement)
        return [session, changed, replacement]

    async def get_or_create(self) -> Any:
        if self._rng.random() < 0.3:
            await self._store.delete_many(IDS)
        made = self._new()
        found, _ = await self._store.get_or_create(TENANT, Channel.WEBCHAT, "user-1", lambda: made)
        return [made, found]

    async def iterate(self) -> Any:
        before = await self._digest("before it iterates")
        async for session in self._store.iter_by_agent(TENANT, AGENT, page_size=2):
            self._spoil(session)  # while it goes on
        assert await self._digest("while it iterates") == before, f"{SEEN}, while it iterates"

    async def find(self) -> Any:
        channels, nodes = [Channel.WEBCHAT, Channel.SMS], {"pay"}
        scope = ScopeFilter(include_channels=channels, include_current_nodes=nodes, max_session_age_days=9)
        found = await self._store.find_sessions_by_step_hash(TENANT, SCENARIO, 1, "hash-1", scope)
        assert await self._store.count_by_agent(TENANT, AGENT) == len(found), f"{SEEN}, by a filter"
        self.attributes += spoil_attributes(scope, self._rng)
        return [found[:3], channels, nodes, scope.model_fields_set]

    async def delete_many(self) -> Any:
        ids = self._rng.sample(IDS, 2)
        await self._store.delete_many(ids)
        return [ids, await self._there()]


STORES: dict[str, Callable[..., Any]] = {
    "hot": InMemorySessionStore,
    "by turns": lambda **options: InMemorySessionStore(cache_size=3, **options),
    "packed": lambda **options: InMemorySessionStore(cache_size=0, **options),
    "scan": ScanSessionStore,
}
SEED, MUTATIONS = 3, 20_000


def spoilt(make: Callable[..., Any], seed: int) -> Spoiler:
    spoiler = Spoiler(make, seed)
    asyncio.run(spoiler.go(MUTATIONS))
    return spoiler


@pytest.mark.search
@pytest.mark.parametrize("name", STORES)
def test_nothing_that_is_done_to_what_was_given_or_got_is_seen_in_the_store(name: str, try_each: TryEach) -> None:
    """Twenty thousand changes for each store, among ongoing operations, and no digest of the store ever moves."""

    def context(seed: int) -> None:
        spoiler = spoilt(STORES[name], seed)
        assert spoiler.containers + spoiler.attributes >= MUTATIONS == 20_000
        assert spoiler.containers >= 10_000
        assert spoiler.operations >= 50
        assert spoiler.evictions >= 10

    try_each([SEED], context)


# -- the checks find what is planted --


class SharesOnSave(ScanSessionStore[Any]):
    async def save(self, session: Any, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        session_id = await super().save(session, expected_revision=expected_revision, touch=touch)
        scan_snapshots(self)[session_id].variables["list"] = session.variables["list"]
        return session_id


class SharesOnGet(ScanSessionStore[Any]):
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Any:
        session = await super().get(session_id, tenant_id=tenant_id)
        if session is not None:
            session.variables["dict"] = scan_snapshots(self)[session_id].variables["dict"]
        return session


class SharesInAList(InMemorySessionStore[Any]):
    async def list_by_agent(self, *arguments: Any, **options: Any) -> Any:
        sessions = await super().list_by_agent(*arguments, **options)
        for session in sessions:
            kept = cached_snapshot(self, session)
            if kept is not None:
                vars(session)["rule_fires"] = kept.rule_fires
        return sessions


@skip_with_seed
@pytest.mark.parametrize("cls", [SharesOnSave, SharesOnGet, SharesInAList])
def test_a_store_that_shares_one_container_is_found(cls: Any, try_each: TryEach) -> None:
    with pytest.raises(AssertionError, match=SEEN) as error:
        try_each([SEED], partial(spoilt, cls))

    assert error.value.__notes__[-1].startswith("Repeat it by: SESSIONDEX_SEED=3 nox -s tests -- 'tests/stores/")


def test_everything_that_can_be_changed_is_reached() -> None:
    """All containers of a session, and those within them."""
    session = session_with_everything(Session)
    before = fingerprint(session)

    assert len(reachable(session)) >= 14
    assert sum(spoil_all(session, random.Random(0))) >= 20
    assert fingerprint(session) != before
