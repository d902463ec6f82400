"""Check laws 5 and 13: what concurrent clients see could have happened one call after another.

A failure names the command that repeats its history. `tests/stress` checks 20,000 more.
"""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from sessiondex import ScanSessionStore, Session
from tests.stores.test_schedules import STORES
from tests.support.histories import check_history, history_of
from tests.support.linearizability import Call
from tests.support.seeds import TryEach, first_failure
from tests.support.sizes import search_size

HISTORIES = search_size(2_000)


def check_any(seed: int) -> None:
    check_history(STORES[seed % len(STORES)], seed)


@pytest.mark.search
def test_any_history(try_each: TryEach) -> None:
    """Each call takes effect at one instant while it lasts; one that was cancelled does so once, or never."""
    try_each(range(HISTORIES), check_any)


def test_the_same_seed_gives_the_same_history(try_each: TryEach) -> None:
    def run_twice(seed: int) -> None:
        assert history_of(STORES[seed % 3], seed) == history_of(STORES[seed % 3], seed)

    try_each(range(20), run_twice)


def test_histories_have_calls_at_once_and_answers_of_every_kind(try_each: TryEach) -> None:
    """Else they would promise nothing."""
    histories: list[list[Call]] = []
    if not try_each(range(200), lambda seed: histories.extend(history_of(STORES[seed % 3], seed).values())):
        pytest.skip("one seed alone does not have all of them")
    calls = [call for history in histories for call in history]
    answers = {(call.what[0], str(call.answer)) for call in calls if not call.is_open}

    assert sum(are_at_once(*pair) for history in histories for pair in combinations(history, 2)) > 1_000
    assert sum(call.is_open for call in calls) > 100
    assert {
        *[("save", "conflict"), ("get_or_create", "conflict"), ("update", "not found")],
        *[("delete", "1"), ("delete", "0"), ("get", "None"), ("count_by_agent", "2")],
    } <= {(name, {"True": "1", "False": "0"}.get(answer, answer)) for name, answer in answers}


def are_at_once(one: Call, other: Call) -> bool:
    return one.made < other.answered and other.made < one.answered


# -- planted bugs --


class ReadsStale(ScanSessionStore[Session]):
    """Caches each read session, and discards it only at a single save."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._read: dict[UUID, Session] = {}

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> Session | None:
        if session_id not in self._read:
            found = await super().get(session_id, tenant_id=tenant_id)
            if found is not None:
                self._read[session_id] = found
        return self._read.get(session_id)

    async def save(self, session: Session, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        self._read.pop(session.session_id, None)
        return await super().save(session, expected_revision=expected_revision, touch=touch)


class LosesUpdates(ScanSessionStore[Session]):
    async def _put(self, session: Session, expected: Any, *, touch: bool) -> UUID:
        is_of_update = expected is not None and expected.generation is not None
        return await super()._put(session, None if is_of_update else expected, touch=touch)


class SavesHalf(ScanSessionStore[Session]):
    async def save_many(self, sessions: Any, **options: Any) -> list[UUID]:
        sessions = list(sessions)
        first = await super().save_many(sessions[:1], **options)
        await asyncio.sleep(0)
        return first + await super().save_many(sessions[1:], **options)


class ListsLate(ScanSessionStore[Session]):
    """Finds sessions at one time, and reads them at another."""

    async def list_by_agent(self, tenant_id: UUID, *arguments: Any, **options: Any) -> list[Session]:
        ids = [session.session_id for session in await super().list_by_agent(tenant_id, *arguments, **options)]
        await asyncio.sleep(0)
        found = [session for name in ids if (session := await self.get(name)) is not None]
        return sorted(found, key=lambda session: session.last_activity_at, reverse=True)


class DeletesLater(ScanSessionStore[Session]):
    """Answers first and deletes later."""

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        was_there = await self.get(session_id, tenant_id=tenant_id) is not None
        self.deleting = asyncio.ensure_future(super().delete(session_id, tenant_id=tenant_id))
        return was_there


class CancelsTwice(ScanSessionStore[Session]):
    """Does again what was cancelled, once it was done."""

    async def save(self, session: Session, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        copy = session.model_copy(deep=True)
        saved = await super().save(session, expected_revision=expected_revision, touch=touch)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await super().save(copy, touch=touch)
            raise
        return saved


@pytest.mark.parametrize(
    "cls", [ReadsStale, LosesUpdates, SavesHalf, ListsLate, DeletesLater, CancelsTwice], ids=lambda cls: cls.__name__
)
def test_a_planted_error_is_found_within_500_histories(cls: Any) -> None:
    assert "not linearizable" in first_failure(range(500), partial(check_history, cls))
