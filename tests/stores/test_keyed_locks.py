"""KeyedLocks, without a store."""

from __future__ import annotations

import asyncio

import pytest

from sessiondex import ReentryError, StoreClosedError
from sessiondex.stores.keyed_locks import KeyedLocks


async def test_waiters_are_served_in_the_order_in_which_they_came() -> None:
    locks, served = KeyedLocks(), list[int]()

    async def work(number: int) -> None:
        async with locks.hold(b"key"):
            served.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(work, range(5)))

    assert served == list(range(5))
    assert len(locks) == 0


async def test_other_keys_do_not_wait() -> None:
    locks = KeyedLocks()
    async with locks.hold(b"one"), locks.hold(b"other"):
        assert len(locks) == 2


async def test_an_owner_that_acquires_again_is_refused() -> None:
    locks = KeyedLocks()
    async with locks.hold(b"key"):
        with pytest.raises(ReentryError):
            await locks.acquire(b"key")


async def test_a_waiter_that_gives_up_is_passed_over() -> None:
    locks = KeyedLocks()
    await locks.acquire(b"key")
    patient, impatient = (asyncio.ensure_future(locks.acquire(b"key", timeout)) for timeout in (None, 0))
    with pytest.raises(TimeoutError):
        await impatient
    locks.release(b"key")
    await patient


async def test_a_lock_acquired_and_cancelled_at_once_is_passed_on() -> None:
    locks = KeyedLocks()
    await locks.acquire(b"key")
    cancelled, following = (asyncio.ensure_future(locks.acquire(b"key")) for _ in range(2))
    await asyncio.sleep(0)
    locks.release(b"key")
    cancelled.cancel()
    await following

    assert cancelled.cancelled()
    locks.release(b"key")
    assert len(locks) == 0


async def test_closing_fails_waiters_and_leaves_owners_their_lock() -> None:
    locks = KeyedLocks()
    await locks.acquire(b"key")
    waiting = asyncio.ensure_future(locks.acquire(b"key"))
    await asyncio.sleep(0)
    locks.close()

    with pytest.raises(StoreClosedError):
        await waiting
    with pytest.raises(StoreClosedError):
        await locks.acquire(b"another")
    locks.release(b"key")
    assert len(locks) == 0
