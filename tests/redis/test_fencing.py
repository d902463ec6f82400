"""One tenant at a time has an id, in any order in which calls of several processes reach the server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import ConflictError, TenantMismatchError
from sessiondex.stores.redis import RedisSessionStore, keys, saves
from sessiondex.stores.redis.removals import RemovalHandler
from tests.support.builders import OTHER_TENANT, TENANT, make_session
from tests.support.redis.internals import background_tasks_of, client_of, parts_of, prefix_of, until_background_done
from tests.support.redis.servers import OneServer
from tests.support.seeds import TryEach, first_failure, skip_with_seed
from tests.support.sizes import search_size

TENANTS = (TENANT, OTHER_TENANT)
RUNS = search_size(250)


class Scheduler:
    """Stops every call before it is sent and before it returns, and resumes one at a time, drawn at random."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._waiting: list[asyncio.Future[None]] = []
        self.under_way = 0
        """Calls that the server has not answered."""

    async def stop(self) -> None:
        stopped = asyncio.get_running_loop().create_future()
        self._waiting.append(stopped)
        await stopped

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Resume calls until `is_over` returns true."""
        while not is_over():
            for _ in range(10):  # until each task waits for the server, or for this scheduler
                await asyncio.sleep(0)
            if self._waiting and not self.under_way:
                stopped = self._waiting.pop(self._draw.randrange(len(self._waiting)))
                if not stopped.done():
                    stopped.set_result(None)


class Race:
    """Races four stores of one server, as of four processes, for one id. The order of their calls is drawn."""

    def __init__(self, server: OneServer) -> None:
        self._client = server.client()
        self._prefix = f"claims-{uuid4().hex}"
        self.stores: list[Any] = [RedisSessionStore(server.url, prefix=self._prefix) for _ in range(4)]
        self._calls: list[Any] = []
        self._violations: list[str] = []
        """Collected here, since the store only logs errors of background tasks."""

    async def open(self) -> None:
        for store in self.stores:
            await store.health_check()
            self._calls.append(client_of(store).call)
            for tenant_id in TENANTS:
                await parts_of(store).tenants.ensure_registered(tenant_id)

    async def close(self) -> None:
        for store, call in zip(self.stores, self._calls, strict=True):
            client_of(store).call = call
            background_tasks_of(store).cancel()
            await store.aclose()

    async def run(self, seed: int) -> None:
        """Save and delete one id for two tenants, from all stores concurrently. Cancel some of the calls."""
        draw, session_id = random.Random(seed), uuid4()
        scheduler = Scheduler(draw)
        for store, call in zip(self.stores, self._calls, strict=True):
            client_of(store).call = self._scheduled(scheduler, call, session_id)
        seeds = [draw.random() for _ in self.stores]
        tasks = [
            asyncio.create_task(self._work(store, random.Random(part), session_id))
            for store, part in zip(self.stores, seeds, strict=True)
        ]
        if draw.random() < 0.4:
            tasks.append(asyncio.create_task(self._cancel(scheduler, draw, tasks)))
        await scheduler.run(
            lambda: all(task.done() for task in tasks) and not any(map(background_tasks_of, self.stores))
        )
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in ended if isinstance(error, Exception)], ended
        assert not self._violations, self._violations
        owners = self._owners(session_id)
        located = self._client.get(keys.locator(self._prefix, session_id))
        assert not owners or (located or b"").decode().startswith(owners[0].hex), "its locator leads elsewhere"

    def _scheduled(self, scheduler: Scheduler, call: Any, session_id: UUID) -> Any:
        async def called(*args: Any) -> Any:
            await scheduler.stop()
            scheduler.under_way += 1
            try:
                answer = await call(*args)
            finally:
                scheduler.under_way -= 1
            if len(self._owners(session_id)) > 1:
                self._violations.append("two tenants have it")
            await scheduler.stop()
            return answer

        return called

    def _owners(self, session_id: UUID) -> list[UUID]:
        rows = [keys.base(self._prefix, tenant) + f"s:{session_id.hex}".encode() for tenant in TENANTS]
        return [tenant for tenant, row in zip(TENANTS, rows, strict=True) if self._client.exists(row)]

    @staticmethod
    async def _work(store: Any, draw: random.Random, session_id: UUID) -> None:
        for _ in range(draw.choice([1, 2, 3])):
            tenant, kind = draw.choice(TENANTS), draw.random()
            session = make_session(session_id=session_id, tenant_id=tenant)
            try:
                if kind < 0.5:
                    await store.save(session)
                elif kind < 0.6:
                    await store.save(session, expected_revision=draw.choice([0, 1, 7]))
                elif kind < 0.8:
                    await store.delete(session_id, tenant_id=tenant)
                elif kind < 0.9:
                    await store.delete(session_id)
                else:
                    await store.get(session_id)
            except (TenantMismatchError, ConflictError):
                pass

    @staticmethod
    async def _cancel(scheduler: Scheduler, draw: random.Random, tasks: list[Any]) -> None:
        for _ in range(draw.randrange(12)):
            await scheduler.stop()
        draw.choice(tasks).cancel()


async def run_race(server: OneServer, seed: int) -> None:
    race = Race(server)
    await race.open()
    try:
        await race.run(seed)
    finally:
        await race.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry claims without a pause: the scheduler draws the order of calls."""
    monkeypatch.setattr(saves, "CLAIM_RETRY_BASE_SECONDS", 0)


@pytest.mark.search
def test_one_tenant_has_an_id_in_any_order_of_calls(standalone: OneServer, try_each: TryEach) -> None:
    """At every moment at most one tenant has it. In the end its locator names that tenant."""
    try_each(range(RUNS), lambda seed: asyncio.run(run_race(standalone, seed)))
    standalone.flush()


@skip_with_seed
def test_a_release_without_a_fence_is_found(standalone: OneServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """This is the control of the test above: a locator is released while saves with its claim may be under way."""

    async def read(handler: Any, tenant_id: UUID, session_id: UUID, _fencing_token: str) -> bool:
        return (await handler._calls.call("get", tenant_id, session_id.hex))[0][0] is not None

    monkeypatch.setattr(RemovalHandler, "fence", read)
    failure = first_failure(range(100_000), lambda seed: asyncio.run(run_race(standalone, seed)))
    standalone.flush()

    assert "two tenants have it" in failure or "its locator leads elsewhere" in failure


# -- two rare orders, each made on purpose --


async def stopped_before(store: Any, function: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Stop the next call of the function. Return the event that it has arrived, and the one that resumes it."""
    await store.health_check()
    call, has_arrived, resume = client_of(store).call, asyncio.Event(), asyncio.Event()

    async def called(name: str, *args: Any) -> Any:
        if name == function and not has_arrived.is_set():
            has_arrived.set()
            await resume.wait()
        return await call(name, *args)

    client_of(store).call = called
    return has_arrived, resume


async def test_a_save_that_a_delete_overtook_claims_again(make_redis: Any) -> None:
    """The delete has released the locator. Without a new claim, the session would have none."""
    one = make_redis()
    other = make_redis(prefix=prefix_of(one))
    session = make_session()
    has_claimed, resume_save = await stopped_before(one, "save")
    saving = asyncio.create_task(one.save(session))
    await has_claimed.wait()
    await other.save(make_session(session_id=session.session_id))
    await other.delete(session.session_id)
    await until_background_done(other)
    resume_save.set()
    await saving

    assert await other.get(session.session_id) == session


async def test_a_fence_is_never_lowered(make_redis: Any) -> None:
    """A late release with an old token must not let a save with a fenced claim through."""
    late = make_redis()
    mine, theirs = (make_redis(prefix=prefix_of(late)) for _ in range(2))
    await late.health_check()
    session = make_session()
    other = session.model_copy(update={"tenant_id": OTHER_TENANT})
    locator = keys.locator(prefix_of(late), session.session_id)
    # As a crashed client leaves it.
    await client_of(late).command("leave", "SET", locator, f"{TENANT.hex}:1", key=locator)
    is_releasing, resume_fence = await stopped_before(late, "fence")
    assert await late.get(session.session_id) is None
    await is_releasing.wait()
    has_claimed, resume_save = await stopped_before(mine, "save")
    saving = asyncio.create_task(mine.save(session))
    await has_claimed.wait()
    await theirs.save(other)
    resume_fence.set()
    await until_background_done(late)
    resume_save.set()

    with pytest.raises(TenantMismatchError):
        await saving
    assert await late.get(session.session_id) == other
