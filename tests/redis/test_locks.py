"""Lock sessions across processes: leases wait, expire, are renewed and released."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import InvalidArgumentError, StoreUnavailableError, TurnTimeoutError
from sessiondex.stores.redis import RedisSessionStore, keys
from sessiondex.stores.redis.locks import LockLease
from tests.support import virtual_time
from tests.support.builders import make_session
from tests.support.redis.internals import parts_of, prefix_of
from tests.support.redis.planted_keys import has_key
from tests.support.redis.servers import Servers


async def test_a_lock_that_another_process_owns(make_redis: Any) -> None:
    """A call waits until the owner has released it, or raises after its timeout."""
    one, order = make_redis(), list[str]()
    other = make_redis(prefix=prefix_of(one))
    session_id = make_session().session_id

    async def work(store: Any, name: str) -> None:
        async with store.exclusive(session_id):
            order.append(f"{name} begins")
            await store.get(session_id)
            order.append(f"{name} ends")

    async with one.exclusive(session_id):
        with pytest.raises(TurnTimeoutError, match=r"within 0.05 s"):
            async with other.exclusive(session_id, timeout=0.05):
                pass
        waiting = asyncio.create_task(work(other, "other"))
    await asyncio.gather(work(one, "one"), waiting)

    assert [step.partition(" ")[2] for step in order] == ["begins", "ends"] * 2


async def test_a_lock_of_a_crashed_process(make_redis: Any) -> None:
    """It expires, and another process acquires it."""
    one = make_redis(turn_ttl=timedelta(milliseconds=100))
    other = make_redis(prefix=prefix_of(one))
    session_id = make_session().session_id
    async with one.exclusive(session_id):
        (renewal,) = (task for task in asyncio.all_tasks() if task.get_name() == "sessiondex lock renewal")
        renewal.cancel()  # as in a crash
        async with other.exclusive(session_id):
            pass


async def test_the_renewal_of_a_lock(make_redis: Any, servers: Servers) -> None:
    """It extends the time to live on the server, for the owner's token only."""
    store, session_id = make_redis(turn_ttl=timedelta(hours=1)), make_session().session_id
    key = keys.lock(prefix_of(store), session_id)
    async with store.exclusive(session_id):
        (client,) = (node.client() for node in servers.nodes if has_key(node, key))
        token = client.get(key).decode()
        client.pexpire(key, 600_000)
        by_another = await parts_of(store).locks.call(session_id, "renew_lock", "another", 3_600_000)
        ttl_after_another = client.pttl(key)
        by_owner = await parts_of(store).locks.call(session_id, "renew_lock", token, 3_600_000)

        assert (by_another, by_owner) == (False, True)
        assert ttl_after_another <= 600_000 < client.pttl(key)


def test_the_times_of_renewals() -> None:
    """A lease is renewed three times within its time to live, until its release."""
    calls: list[tuple[str, float]] = []

    async def call(function: str, _token: str, _ttl: int) -> bool:
        calls.append((function, round(asyncio.get_running_loop().time(), 3)))
        return True

    async def main() -> None:
        lease = LockLease(call, 3_000)
        await lease.acquire(None)
        await asyncio.sleep(2.5)
        await lease.release()
        await asyncio.sleep(10)

    virtual_time.run(main())

    assert calls == [("acquire_lock", 0), ("renew_lock", 1), ("renew_lock", 2), ("release_lock", 2.5)]


def test_a_lock_that_cannot_be_renewed(caplog: pytest.LogCaptureFixture) -> None:
    """Failed renewals are logged and retried. An expired lock is logged, and not renewed again."""
    calls: list[str] = []

    async def call(function: str, _token: str, _ttl: int) -> bool:
        calls.append(function)
        if function == "release_lock" or calls.count("renew_lock") == 1:
            raise StoreUnavailableError("host:1", function, "it is away", is_outcome_unknown=False)
        return function == "acquire_lock" or calls.count("renew_lock") < 3

    async def main() -> None:
        lease = LockLease(call, 3_000)
        await lease.acquire(None)
        await asyncio.sleep(60)
        await lease.release()

    virtual_time.run(main())

    assert calls == ["acquire_lock", "renew_lock", "renew_lock", "renew_lock", "release_lock"]
    assert [record.message.partition(",")[0].partition(";")[0] for record in caplog.records] == [
        "the lock of a session could not be renewed",
        "the lock of a session expired",
        "the lock of a session could not be released",
    ]


@pytest.mark.parametrize("turn_ttl", [timedelta(milliseconds=99), 5])
def test_a_time_to_live_that_is_too_short(turn_ttl: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"turn_ttl: must be a timedelta of at least 0\.1 s"):
        RedisSessionStore("redis://localhost", turn_ttl=turn_ttl)
