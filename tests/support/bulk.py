"""Sessions in bulk, iterables that fail, and a task that watches what other tasks see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import pytest

from sessiondex import Session
from tests.support.builders import AGENT, CUSTOMER, OTHER_AGENT, TENANT, NotedSession, TaggedSession, at_step

MICROSECOND = timedelta(microseconds=1)
SAVE_ALL: dict[str, Callable[[Any, Any], Any]] = {
    "save_many": lambda store, sessions: store.save_many(sessions),
    "load": lambda store, sessions: store.load(sessions),
}
in_bulk = pytest.mark.parametrize("save_all", SAVE_ALL.values(), ids=SAVE_ALL)


def mixed(count: int) -> list[Any]:
    """Return sessions at a step, of a customer, of several classes."""
    classes = [NotedSession, TaggedSession, Session]
    return [at_step(cls=classes[number % 3], customer_profile_id=CUSTOMER) for number in range(count)]


async def all_of(store: Any, tenant: UUID = TENANT) -> list[Any]:
    """Return all sessions of the two agents, newest first."""
    found = [
        session for agent in (AGENT, OTHER_AGENT) for session in await store.list_by_agent(tenant, agent, limit=10_000)
    ]
    return sorted(found, key=lambda session: session.last_activity_at, reverse=True)


class Ticker:
    """Counts the turns that other tasks get, and takes note of what they see, the last time when all is done."""

    def __init__(self, look: Callable[[], Any] | None = None) -> None:
        self.turns = 0
        self.seen: list[Any] = []
        self._look = look
        self._is_done = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._tick())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_done = True
        await self._task
        if self._look is not None:
            self.seen.append(await self._look())

    async def _tick(self) -> None:
        while not self._is_done:
            self.turns += 1
            if self._look is not None:
                self.seen.append(await self._look())
            await asyncio.sleep(0)


def raising_after(sessions: list[Any]) -> Iterator[Any]:
    yield from sessions
    raise RuntimeError("no more")


async def as_async(sessions: Any) -> AsyncIterator[Any]:
    for session in sessions:
        await asyncio.sleep(0)
        yield session


class NoIterator:
    """Something to iterate over asynchronously, which need not be closed."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return as_async([])


def bad_in_the_middle(count: int, place: int) -> list[Any]:
    sessions = mixed(count)
    sessions[place].variables["x"] = float("nan")
    return sessions
