"""Run random schedules against laws 5, 13, 14 and 18; `tests/stress` runs 100,000 more.

A failure names the command that repeats its schedule.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from sessiondex import Channel, ConflictError, InMemorySessionStore, ScanSessionStore, Session
from tests.support.schedules import CANCELLED, CONFLICT, DONE, run_schedule
from tests.support.seeds import TryEach, first_failure
from tests.support.sizes import search_size
from tests.support.stores import session_locks_of

SCHEDULES = search_size(5_000)
STORES: list[Callable[..., Any]] = [
    partial(InMemorySessionStore[Session], cache_size=2),
    partial(InMemorySessionStore[Session], cache_size=0),
    ScanSessionStore,
]


def run_any(seed: int) -> list[Any]:
    return run_schedule(STORES[seed % len(STORES)], seed)


@pytest.mark.search
def test_any_schedule(try_each: TryEach) -> None:
    """Nothing is lost, nothing is done twice, nothing is left behind, and no cancellation is swallowed."""
    try_each(range(SCHEDULES), run_any)


def test_the_same_seed_gives_the_same_schedule(try_each: TryEach) -> None:
    def run_twice(seed: int) -> None:
        assert run_any(seed) == run_any(seed)

    try_each(range(20), run_twice)


def test_schedules_meet_conflicts_cancellations_and_ends(try_each: TryEach) -> None:
    """Else they would promise nothing."""
    ends: Counter[Any] = Counter()
    if not try_each(range(200), lambda seed: ends.update(run_any(seed))):
        pytest.skip("one seed alone does not meet all of them")

    for name in ("add", "add_in_turn", "save", "reach", "save_batch"):
        assert ends[name, DONE] > 10, name
        assert ends[name, CANCELLED] > 3, name
    for name in ("add_if_expected", "add_in_turn"):
        assert ends[name, CONFLICT] > 10, name
    assert 0.02 < sum(count for (_, end), count in ends.items() if end == CANCELLED) / ends.total() < 0.5


# -- planted bugs --


class SavesInTwoSteps(ScanSessionStore[Session]):
    """Looks, lets others run, and only then writes."""

    async def save(self, session: Session, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        stored = await self.get(session.session_id)
        revision = 0 if stored is None else stored.revision
        if expected_revision not in {None, revision}:
            raise ConflictError(session.session_id, expected_revision or 0, revision)
        await asyncio.sleep(0)
        return await super().save(session, touch=touch)


class UpdatesWithoutRevision(ScanSessionStore[Session]):
    async def _put(self, session: Session, expected: Any, *, touch: bool) -> UUID:
        is_of_update = expected is not None and expected.generation is not None
        return await super()._put(session, None if is_of_update else expected, touch=touch)


class RefusesCoroutineFunctions(ScanSessionStore[Session]):
    """Lets as many create as come."""

    async def get_or_create(
        self, tenant_id: UUID, channel: Channel | str, user_channel_id: str, create: Callable[[], Any]
    ) -> tuple[Session, bool]:
        found = await self.get_by_channel(tenant_id, channel, user_channel_id)
        if found is not None:
            return found, False
        made = create()
        session: Session = (await made) if asyncio.iscoroutine(made) else made
        await self.save(session)
        return session, True


class AdmitsTwo(ScanSessionStore[Session]):
    """Releases the lock of a session before its owner is done."""

    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # as there
        async with super()._hold_session(session_id, timeout):
            pass
        yield


class SavesHalf(ScanSessionStore[Session]):
    async def save_many(self, sessions: Any, **options: Any) -> list[UUID]:
        sessions = list(sessions)
        first = await super().save_many(sessions[:10], **options)
        await asyncio.sleep(0)
        return first + await super().save_many(sessions[10:], **options)


class KeepsLock(ScanSessionStore[Session]):
    """Does not release the lock of a session when its task is cancelled."""

    @asynccontextmanager
    async def _hold_session(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # as there
        await session_locks_of(self).acquire(session_id.bytes, timeout)
        yield
        session_locks_of(self).release(session_id.bytes)


class Swallows(ScanSessionStore[Session]):
    async def update(self, session_id: UUID, *arguments: Any, **options: Any) -> Session:
        try:
            return await super().update(session_id, *arguments, **options)
        except asyncio.CancelledError:
            return await super().update(session_id, lambda _: None)


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (SavesInTwoSteps, "were added, not"),
        (UpdatesWithoutRevision, "were added, not"),
        (RefusesCoroutineFunctions, "created"),
        (AdmitsTwo, "two hold the lock"),
        (SavesHalf, "half a batch|of a batch"),
        (KeepsLock, "the lock of a session is held|waits for ever"),
        (Swallows, "swallowed"),
    ],
)
def test_a_planted_bug_is_found_within_200_schedules(cls: Any, complaint: str) -> None:
    assert re.search(complaint, first_failure(range(200), partial(run_schedule, cls)))
