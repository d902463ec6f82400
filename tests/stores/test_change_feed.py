"""ChangeFeed and ChangeReader, without a store."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from sessiondex import ChangeKind, ChangesLostError
from sessiondex.stores.change_feed import ChangeFeed, ChangeReader
from sessiondex.stores.commit import Commit, Mutation
from tests.support.builders import TENANT


def commit(sequence: int, count: int = 1) -> Commit[None]:
    """Return a commit of so many saves, each of a session whose id is its sequence."""
    numbers = range(sequence, sequence + count)
    return Commit(sequence, [Mutation(ChangeKind.SAVED, UUID(int=one), TENANT, one, one) for one in numbers])


def reader(feed: ChangeFeed, after: int = 0) -> ChangeReader:
    return ChangeReader(feed, after, lambda: None)


async def sequences(changes: ChangeReader) -> list[int]:
    return [change.sequence async for change in changes]


async def test_changes_come_in_order_and_end_when_the_feed_is_closed() -> None:
    feed = ChangeFeed(10, 0)
    feed.on_commit(commit(1, 3))
    reading = asyncio.ensure_future(sequences(reader(feed)))
    await asyncio.sleep(0)
    feed.on_commit(commit(4))
    feed.close()

    assert await reading == [1, 2, 3, 4]


async def test_a_commit_that_is_published_again_changes_nothing() -> None:
    """As recovery does after an interruption, also one in the middle of the feed's own work."""
    feed = ChangeFeed(10, 0)
    feed.on_commit(commit(1, 2))
    feed.on_commit(commit(1, 3))
    feed.close()

    assert await sequences(reader(feed)) == [1, 2, 3]
    assert len(feed) == 3


def test_a_reader_that_missed_changes_is_refused() -> None:
    feed = ChangeFeed(2, 0)
    feed.on_commit(commit(1, 5))

    assert feed.after(3) is not None
    for after in (2, 6):
        with pytest.raises(ChangesLostError):
            reader(feed, after)


async def test_a_reader_that_falls_behind_is_refused() -> None:
    feed = ChangeFeed(2, 0)
    changes = reader(feed)
    feed.on_commit(commit(1, 5))

    with pytest.raises(ChangesLostError):
        await anext(changes)


async def test_a_cancelled_wait_loses_no_change() -> None:
    feed = ChangeFeed(10, 0)
    changes = reader(feed)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    feed.on_commit(commit(1))

    assert (await anext(changes)).sequence == 1


async def test_a_closed_reader_ends() -> None:
    feed = ChangeFeed(10, 0)
    feed.on_commit(commit(1))
    changes = reader(feed)
    await changes.aclose()

    assert await sequences(changes) == []


def test_a_feed_that_begins_later_counts_on() -> None:
    feed = ChangeFeed(10, 7)
    feed.on_commit(commit(8))

    assert (feed.last_sequence, len(feed)) == (8, 1)
    with pytest.raises(ChangesLostError):
        feed.check(6)
