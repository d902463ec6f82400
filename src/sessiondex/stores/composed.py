"""Operations that are made of others: whatever a store is, these come to the same."""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from inspect import isawaitable
from itertools import cycle
from typing import Generic
from uuid import UUID

from sessiondex.clock import EPOCH, MICROSECOND
from sessiondex.contract import S, SessionStore
from sessiondex.errors import (
    ConflictError,
    InvalidArgumentError,
    InvalidSessionError,
    SessiondexError,
    SessionNotFoundError,
)
from sessiondex.models import Channel, Session, SessionStatus, in_utc
from sessiondex.stores import arguments as check
from sessiondex.stores.loops import LoopBound

_PAUSE = 0.0005  # seconds
_MOST_SAVES = 2**53 - 1  # of one session: as many as any server counts exactly
LAST_STAMP = 2**53  # and as many microseconds: until the year 2255
CHECKS = 25  # between two turns of the loop: a few milliseconds


class ComposedOperations(LoopBound, SessionStore[S], Generic[S]):
    """What follows from reading, saving what is expected, and lists with a cursor."""

    async def update(
        self,
        session_id: UUID,
        change: Callable[[S], S | Awaitable[S | None] | None],
        *,
        tenant_id: UUID | None = None,
        attempts: int = 5,
    ) -> S:
        check.callback("change", change)
        attempts = check.at_least("attempts", attempts, 1, "each of them reads, changes and saves")
        attempt = 1
        while True:
            session = await self.get(session_id, tenant_id=tenant_id)
            if session is None:
                raise SessionNotFoundError(session_id)
            owner, revision, stamp = session.tenant_id, session.revision, session.last_activity_at
            made = change(session)
            replacement = (await made) if isawaitable(made) else made
            changed = session if replacement is None else replacement
            _check_is_same(changed, session_id, owner)
            try:
                await self._save_instead(changed, revision, stamp)
            except ConflictError:
                if attempt == attempts:
                    raise
                # Not at once, and not all at the same time: the same ones would be too late again and again.
                await asyncio.sleep(random.random() * _PAUSE * 2 ** min(attempt, 6))  # noqa: S311  # no secret
                attempt += 1
            else:
                return changed

    @abstractmethod
    async def _save_instead(self, session: S, revision: int, stamp: datetime) -> None:
        """Save the session in place of the one with that revision and stamp, or raise `ConflictError`.

        The revision alone would not do: one that was deleted and saved anew may have the same.
        """

    async def save_many(self, sessions: Iterable[S]) -> list[UUID]:
        return await self._save_batch(list(check.many("sessions", sessions, "save")), 0)

    async def load(self, sessions: Iterable[S] | AsyncIterable[S], *, batch: int = 500) -> int:
        self._check_loop()
        batch = check.at_least("batch", batch, 1, "some hundred is a good size")
        count = 0
        some: list[S] = []
        async with aclosing(_each(check.many_or_async("sessions", sessions))) as each:
            async for session in each:
                some.append(session)
                if len(some) == batch:
                    count += len(await self._save_batch(some, count))
                    await asyncio.sleep(0)  # writing was one step; to let go of what was written is another
                    some = []
        return count + len(await self._save_batch(some, count))

    @abstractmethod
    async def _save_batch(self, sessions: Sequence[S], first: int) -> list[UUID]:
        """Save all or none; `first` is the number of the first among those that the caller gave."""

    def iter_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, page_size: int = 100
    ) -> AsyncIterator[S]:
        async def page(before: datetime | None) -> list[S]:
            return await self.list_by_agent(tenant_id, agent_id, status=status, limit=page_size, before=before)

        page_size = check.at_least("page_size", page_size, 1, "some hundred is a good size")
        return _pages(page, page_size)

    def iter_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, page_size: int = 100) -> AsyncIterator[S]:
        async def page(before: datetime | None) -> list[S]:
            return await self.list_by_customer(tenant_id, customer_profile_id, limit=page_size, before=before)

        page_size = check.at_least("page_size", page_size, 1, "some hundred is a good size")
        return _pages(page, page_size)


def _check_is_same(session: object, session_id: UUID, tenant_id: UUID) -> None:
    if not isinstance(session, Session):
        raise InvalidArgumentError("change", f"must return None or a session, not {type(session).__name__}")
    if (getattr(session, "session_id", None), getattr(session, "tenant_id", None)) != (session_id, tenant_id):
        raise InvalidArgumentError(
            "change", "must leave session_id and tenant_id as they are; for another session, save it"
        )


def check_has_identity(session: object, identity: tuple[UUID, Channel, str]) -> None:
    """Raise unless `create` gave a session that can be the open one of that identity."""
    if not isinstance(session, Session):
        raise InvalidArgumentError("create", f"must return a session, not {type(session).__name__}")
    if tuple(getattr(session, name, None) for name in ("tenant_id", "channel", "user_channel_id")) != identity:
        raise InvalidArgumentError(
            "create", "must return a session of the tenant, channel and user that it was called for"
        )
    if getattr(session, "status", None) == SessionStatus.CLOSED:
        raise InvalidArgumentError("create", "must not return a closed session; nobody would get it")


_LAST = EPOCH + LAST_STAMP * MICROSECOND


def saved_as(session: object) -> tuple[datetime, int]:
    """Return stamp and revision of a session that was saved, for it to be restored with.

    Raises:
        InvalidSessionError: it was never saved.
    """
    stamp, revision = getattr(session, "last_activity_at", None), getattr(session, "revision", None)
    if not isinstance(stamp, datetime) or stamp.utcoffset() is None or not EPOCH <= stamp < _LAST:
        reason = "must be an aware datetime, of the last save, before the year 2255; save() gives it one"
        raise InvalidSessionError("last_activity_at", reason)
    if type(revision) is not int or not 1 <= revision <= _MOST_SAVES:
        raise InvalidSessionError("revision", f"must be from 1 to {_MOST_SAVES}, of the last save; save() gives it one")
    return in_utc(stamp), revision


def note_place(error: SessiondexError, place: int, *, whole: bool = True) -> None:
    """Have the error say which session of a batch it is about, and whether all of the batch was refused with it."""
    of_it = "nothing of its batch is saved" if whole else "nothing of its tenant's in this batch is saved"
    error.add_note(f"It was session number {place}, counted from 0; {of_it}.")


async def _each(sessions: Iterable[S] | AsyncIterable[S]) -> AsyncGenerator[S, None]:
    turn = cycle(range(CHECKS))
    if isinstance(sessions, AsyncIterable):
        async for session in sessions:
            if not next(turn):
                await asyncio.sleep(0)  # it need not have waited for anything
            yield session
    else:
        for session in sessions:
            if not next(turn):
                await asyncio.sleep(0)  # making them takes time as well
            yield session


async def _pages(page: Callable[[datetime | None], Awaitable[list[S]]], size: int) -> AsyncIterator[S]:
    before = None
    while True:
        sessions = await page(before)
        if sessions:
            before = sessions[-1].last_activity_at  # now: to save it, as whoever gets it may, changes it
        for session in sessions:
            yield session
        if len(sessions) < size:
            return
