"""`load`: batches from any iterable, while the loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from sessiondex import InvalidArgumentError, InvalidSessionError
from tests.support.builders import (
    START,
    make_session,
)
from tests.support.bulk import MICROSECOND, Ticker, all_of, as_async, bad_in_the_middle, mixed, raising_after
from tests.support.slice_time import ITEMS_PER_SLICE


@pytest.mark.parametrize("of", [list, iter, as_async], ids=["list", "iterator", "async"])
@pytest.mark.parametrize("batch", [1, 7, 25, 500])
async def test_any_number_is_loaded_from_any_iterable(store: Any, of: Callable[[Any], Any], batch: int) -> None:
    sessions = mixed(60)

    assert await store.load(of(sessions), batch=batch) == 60
    assert await all_of(store) == sessions[::-1]
    stamps = [session.last_activity_at for session in sessions]
    assert stamps == [START + n * MICROSECOND for n in range(60)]


async def test_a_batch_is_seen_at_once(store: Any) -> None:
    async with Ticker(lambda: all_of(store)) as ticker:
        await store.load(as_async(mixed(100)), batch=30)

    counts = [len(seen) for seen in ticker.seen]
    assert sorted(set(counts)) == [0, 30, 60, 90, 100]
    assert counts == sorted(counts)


async def never_waiting(sessions: Any) -> AsyncIterator[Any]:
    for session in sessions:
        yield session


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("of", [iter, never_waiting], ids=["iterator", "async"])
@pytest.mark.parametrize("batch", [1, 10, 500])
async def test_the_loop_runs_while_it_loads(store: Any, of: Callable[[Any], Any], batch: int) -> None:
    """However small a batch is, and though nothing has to be waited for."""
    async with Ticker() as ticker:
        await store.load(of(mixed(300)), batch=batch)

    assert ticker.turns >= 300 // ITEMS_PER_SLICE


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("of", [iter, never_waiting], ids=["iterator", "async"])
async def test_the_loop_runs_while_a_batch_is_collected(store: Any, of: Callable[[Any], Any]) -> None:
    """However large it is, though nothing has to be waited for: an error in the end leaves only that."""
    async with Ticker() as ticker:
        with pytest.raises(RuntimeError, match="no more"):
            await store.load(of(raising_after(mixed(300))), batch=1_000)

    assert ticker.turns >= 300 // ITEMS_PER_SLICE


@pytest.mark.usefixtures("short_slices")
@pytest.mark.parametrize("batch", [10, 1_000])
async def test_the_loop_runs_while_sessions_are_made(store: Any, batch: int) -> None:
    """To make them takes time too: between two turns of the loop, a few are asked for."""
    made: list[int] = []

    def sessions() -> Iterator[Any]:
        for session in mixed(100):
            made.append(ticker.turns)
            yield session

    async with Ticker() as ticker:
        await store.load(sessions(), batch=batch)

    assert max(made.count(turn) for turn in made) <= ITEMS_PER_SLICE


async def test_no_more_is_taken_from_the_iterable_than_a_batch(store: Any) -> None:
    """A source may be larger than the memory."""
    taken: list[Any] = []
    most, not_yet = 0, START + timedelta(days=1)

    def sessions() -> Iterator[Any]:
        nonlocal most
        for session in mixed(50):
            session.last_activity_at = not_yet
            taken.append(session)
            most = max(most, len(taken) - saved())
            yield session

    def saved() -> int:
        return sum(session.last_activity_at != not_yet for session in taken)

    await store.load(sessions(), batch=10)

    assert len(taken) == 50
    assert most <= 10


@pytest.mark.parametrize("of", [list, iter, as_async], ids=["list", "iterator", "async"])
@pytest.mark.parametrize("place", [0, 9, 10, 24, 25, 31])
async def test_batches_before_one_that_fails_stay(store: Any, of: Callable[[Any], Any], place: int) -> None:
    """The error says which it was, of all; its own batch and what follows is not saved, nor stamped."""
    sessions = bad_in_the_middle(32, place)
    before = [session.last_activity_at for session in sessions]
    with pytest.raises(InvalidSessionError) as error:
        await store.load(of(sessions), batch=10)

    count = place // 10 * 10
    assert error.value.__notes__[0].startswith(f"It was session number {place}, ")
    assert await all_of(store) == sessions[:count][::-1]
    assert [session.last_activity_at for session in sessions[count:]] == before[count:]


async def test_batches_before_the_iterable_fails_stay(store: Any) -> None:
    sessions = mixed(25)
    with pytest.raises(RuntimeError, match="no more"):
        await store.load(raising_after(sessions), batch=10)

    assert await all_of(store) == sessions[:20][::-1]


async def test_batches_before_a_cancellation_stay(store: Any) -> None:
    sessions = mixed(200)

    def source() -> Iterator[Any]:
        for place, session in enumerate(sessions):
            if place == 150:
                loading.cancel()
            yield session

    loading = asyncio.ensure_future(store.load(source(), batch=100))
    with pytest.raises(asyncio.CancelledError):
        await loading

    assert len(await all_of(store)) == 100
    await store.save(sessions[-1])


async def test_others_may_write_between_batches(store: Any) -> None:
    """The lock is held for a batch, not for all."""
    known, sessions = make_session(), mixed(100)

    async def source() -> AsyncIterator[Any]:
        for place, session in enumerate(sessions):
            if place == 50:
                await store.save(known)
            yield session

    await store.load(source(), batch=10)

    assert (await all_of(store))[50] == known


@pytest.mark.parametrize(
    ("batch", "reason"),
    [(0, "at least 1"), (-1, "at least 1"), (True, "int"), ("x", "int"), (1.5, "int"), (None, "int")],
)
async def test_a_batch_of_no_size_is_refused(store: Any, batch: Any, reason: str) -> None:
    """Before anything is taken from the iterable."""
    sessions = iter(mixed(1))
    with pytest.raises(InvalidArgumentError, match=reason) as error:
        await store.load(sessions, batch=batch)

    assert error.value.argument == "batch"
    assert len(list(sessions)) == 1
