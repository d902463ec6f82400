"""An id is of one tenant at a time, in whatever order the calls of several processes reach the server."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from sessiondex import ConflictError, TenantMismatchError
from sessiondex.stores.redis import RedisSessionStore, keys
from sessiondex.stores.redis import store as store_module
from tests.support.builders import OTHER_TENANT, TENANT, make_session
from tests.support.redis.servers import OneServer
from tests.support.seeds import TryEach, first_failure, skip_with_seed
from tests.support.sizes import search_size

TENANTS = (TENANT, OTHER_TENANT)
RUNS = search_size(250)


class Order:
    """Stops every call before it is sent and before its answer is given out, and lets one at a time go on, drawn."""

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
        """Let calls go on until all is over."""
        while not is_over():
            for _ in range(10):  # until each task waits for the server, or here
                await asyncio.sleep(0)
            if self._waiting and not self.under_way:
                stopped = self._waiting.pop(self._draw.randrange(len(self._waiting)))
                if not stopped.done():
                    stopped.set_result(None)


class Claims:
    """Some stores of one server, as of several processes, whose calls come in an order that is drawn."""

    def __init__(self, server: OneServer, cls: Any = RedisSessionStore) -> None:
        self._client = server.client()
        self._prefix = f"claims-{uuid4().hex}"
        self.stores: list[Any] = [cls(server.url, prefix=self._prefix) for _ in range(4)]
        self._calls: list[Any] = []
        self._violations: list[str] = []
        """Also of background tasks, whose errors the store logs."""

    async def open(self) -> None:
        for store in self.stores:
            await store.health_check()
            self._calls.append(store._server.call)
            store._known_tenants.update(dict.fromkeys(TENANTS, math.inf))

    async def close(self) -> None:
        for store, call in zip(self.stores, self._calls, strict=True):
            store._server.call = call
            for task in list(store._errands):
                task.cancel()
            await store.aclose()

    async def run(self, seed: int) -> None:
        """Save and delete one id for two tenants, from all stores at once, some of it cancelled."""
        draw, session_id = random.Random(seed), uuid4()
        order = Order(draw)
        for store, call in zip(self.stores, self._calls, strict=True):
            store._server.call = self._in_order(order, call, session_id)
        seeds = [draw.random() for _ in self.stores]
        tasks = [
            asyncio.create_task(self._work(store, random.Random(part), session_id))
            for store, part in zip(self.stores, seeds, strict=True)
        ]
        if draw.random() < 0.4:
            tasks.append(asyncio.create_task(self._cancel(order, draw, tasks)))
        await order.run(lambda: all(task.done() for task in tasks) and not any(store._errands for store in self.stores))
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in ended if isinstance(error, Exception)], ended
        assert not self._violations, self._violations
        owners = self._owners(session_id)
        located = self._client.get(keys.locator(self._prefix, session_id))
        assert not owners or (located or b"").decode().startswith(owners[0].hex), "its locator leads elsewhere"

    def _in_order(self, order: Order, call: Any, session_id: UUID) -> Any:
        async def called(*args: Any) -> Any:
            await order.stop()
            order.under_way += 1
            try:
                answer = await call(*args)
            finally:
                order.under_way -= 1
            if len(self._owners(session_id)) > 1:
                self._violations.append("two tenants have it")
            await order.stop()
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
    async def _cancel(order: Order, draw: random.Random, tasks: list[Any]) -> None:
        for _ in range(draw.randrange(12)):
            await order.stop()
        draw.choice(tasks).cancel()


async def tried(server: OneServer, cls: Any, seed: int) -> None:
    claims = Claims(server, cls)
    await claims.open()
    try:
        await claims.run(seed)
    finally:
        await claims.close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tenants claim one id again at once: the order of calls is drawn here."""
    monkeypatch.setattr(store_module, "_CLAIM_PAUSE_SECONDS", 0)


@pytest.mark.search
def test_an_id_is_of_one_tenant_in_any_order_of_calls(standalone: OneServer, try_each: TryEach) -> None:
    """At every moment one at most has it; in the end its locator leads there."""
    try_each(range(RUNS), lambda seed: asyncio.run(tried(standalone, RedisSessionStore, seed)))
    standalone.flush()


class ReleasesAtOnce(RedisSessionStore[Any]):
    """Takes a locator away without barring the claims of it: saves with these may be under way."""

    async def _bar(self, tenant_id: UUID, session_id: UUID, _number: str) -> bool:
        return await self._get(session_id, tenant_id) is not None


@skip_with_seed
def test_a_locator_that_is_taken_without_a_bar_is_found(standalone: OneServer) -> None:
    """The control of the above."""
    failure = first_failure(range(100_000), lambda seed: asyncio.run(tried(standalone, ReleasesAtOnce, seed)))
    standalone.flush()

    assert "two tenants have it" in failure or "its locator leads elsewhere" in failure


# -- the two orders that nobody would think of --


async def stopped_before(store: Any, function: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the next call of that function wait; return what is set when it would be sent, and what lets it go on."""
    await store.health_check()
    call, reached, may_go = store._server.call, asyncio.Event(), asyncio.Event()

    async def called(name: str, *args: Any) -> Any:
        if name == function and not reached.is_set():
            reached.set()
            await may_go.wait()
        return await call(name, *args)

    store._server.call = called
    return reached, may_go


async def test_a_save_that_a_delete_overtook_claims_again(make_redis: Any) -> None:
    """Else it would be a session without a locator: the delete has given that back."""
    one, other = make_redis(), make_redis()
    other._prefix = one._prefix
    session = make_session()
    is_claimed, may_save = await stopped_before(one, "save")
    saving = asyncio.create_task(one.save(session))
    await is_claimed.wait()
    await other.save(make_session(session_id=session.session_id))
    await other.delete(session.session_id)
    await asyncio.gather(*other._errands)
    may_save.set()
    await saving

    assert await other.get(session.session_id) == session


async def test_a_bar_is_never_lowered(make_redis: Any) -> None:
    """By who gives a locator back late: a save with a claim that was barred since would go through."""
    late, mine, theirs = make_redis(), make_redis(), make_redis()
    mine._prefix = theirs._prefix = late._prefix
    await late.health_check()
    session = make_session()
    other = session.model_copy(update={"tenant_id": OTHER_TENANT})
    locator = keys.locator(late._prefix, session.session_id)
    await late._server.command(
        "leave", "SET", locator, f"{TENANT.hex}:1", key=locator
    )  # as a client that died leaves it
    is_told, may_bar = await stopped_before(late, "bar")
    assert await late.get(session.session_id) is None
    await is_told.wait()
    is_claimed, may_save = await stopped_before(mine, "save")
    saving = asyncio.create_task(mine.save(session))
    await is_claimed.wait()
    await theirs.save(other)
    may_bar.set()
    await asyncio.gather(*late._errands)
    may_save.set()

    with pytest.raises(TenantMismatchError):
        await saving
    assert await late.get(session.session_id) == other
