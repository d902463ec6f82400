"""BaseSessionStore: the public methods that write, lock and close, once, for all stores.

As in `ReadMethods`, each method enters the loop guard, checks its arguments and delegates. No other module checks
arguments or loops.
"""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from inspect import isawaitable
from typing import Self
from uuid import UUID

from sessiondex import arguments, queries
from sessiondex.changes import Change
from sessiondex.contract import OnReindexed, ReindexProgress
from sessiondex.errors import ConflictError, ReentryError, SessionNotFoundError
from sessiondex.indexed import KnownIndexes
from sessiondex.models import Channel
from sessiondex.reading import S
from sessiondex.stores.callback_scope import CallbackScope
from sessiondex.stores.keyed_locks import KeyedLocks
from sessiondex.stores.loop_guard import LoopGuard
from sessiondex.stores.reads import ReadMethods
from sessiondex.stores.slices import iterate_in_slices

ATTEMPTS_OF_COROUTINES = 5
"""Of `update`: a coroutine function may take so long that others always win, so it gives up."""
_CONFLICT_PAUSE_SECONDS = 0.0005


class BaseSessionStore(ReadMethods[S]):
    """Checks arguments and delegates. Holds two sets of keyed locks, which every store needs."""

    def __init__(self, recover: Callable[[], None], indexes: KnownIndexes, *, is_open: bool = True) -> None:
        """`recover` finishes an interrupted commit, and does nothing if there is none."""
        super().__init__(LoopGuard(self._start_in_new_loop, recover, is_open=is_open), indexes)
        self._session_locks, self._creation_locks = KeyedLocks(), KeyedLocks()

    # -- to be implemented by stores --

    @abstractmethod
    async def _find_version(self, session_id: UUID, tenant_id: UUID | None) -> tuple[S, queries.Expected] | None:
        """Return the session as `_find` does, and what a save expects that replaces this version of it."""

    @abstractmethod
    async def _put(self, session: S, expected: queries.Expected | None, *, touch: bool) -> UUID:
        """Save the session, write its version back, and return its id."""

    @abstractmethod
    async def _put_if_absent(self, session: S, identity: queries.ChannelQuery) -> S | None:
        """Save a new session, or return the one that is open for its channel identity."""

    @abstractmethod
    async def _put_many(
        self, sessions: Sequence[S], expected: Sequence[queries.Expected | None] | None, *, touch: bool, first: int = 0
    ) -> list[UUID]:
        """Save all sessions or none. `first` is the number of the first, for errors."""

    @abstractmethod
    async def _touch(self, session_id: UUID, tenant_id: UUID | None) -> bool:
        """Give the session a new stamp, and return whether it exists."""

    @abstractmethod
    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        """Remove the sessions, and return how many there were."""

    @abstractmethod
    async def _erase(self, query: queries.ListQuery) -> int:
        """Remove all sessions that match, also expired ones, until there are none; return how many had not expired."""

    @abstractmethod
    async def _export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        """Return some sessions and the next cursor."""

    @abstractmethod
    async def _restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        """Save sessions with their stamps and revisions, and return how many were saved."""

    @abstractmethod
    async def _reindex(self, progress: OnReindexed | None) -> ReindexProgress:
        """Correct the index entries of sessions that differ from what their classes declare."""

    @abstractmethod
    def _hold_session(self, session_id: UUID, timeout: float | None) -> AbstractAsyncContextManager[None]:
        """Hold the lock of the session; see `SessionStore.exclusive` for what it raises."""

    @abstractmethod
    def _follow(self, after_sequence: int | None) -> AsyncIterator[Change]:
        """Return an iterator over changes. Called without a running loop, too."""

    @abstractmethod
    def _on_new_loop(self) -> None:
        """Replace what is bound to an event loop. May be called twice."""

    @abstractmethod
    def _start_sweeper(self) -> None:
        """Start the background task that evicts expired sessions, if any expire."""

    async def _open(self) -> None:
        """Restore what an earlier store left, if any. Called when it is not open."""

    @abstractmethod
    async def _is_healthy(self) -> bool:
        """Return whether the store can be used."""

    @abstractmethod
    async def _release(self) -> None:
        """End background tasks and close connections. May be called twice."""

    # -- saving --

    async def save(self, session: S, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        self._guard.enter()
        if touch is not True:
            arguments.check_bool("touch", touch)
        if expected_revision is None:
            return await self._put(session, None, touch=touch)
        return await self._put(session, queries.check_expected(expected_revision), touch=touch)

    async def save_many(
        self, sessions: Iterable[S], *, expected_revisions: Sequence[int | None] | None = None, touch: bool = True
    ) -> list[UUID]:
        self._guard.enter()
        arguments.check_bool("touch", touch)
        given = list(arguments.check_iterable("sessions", sessions, "save"))
        expected = queries.check_all_expected(expected_revisions, len(given))
        return await self._put_many(given, expected, touch=touch)

    async def load(self, sessions: Iterable[S] | AsyncIterable[S], *, batch: int = 500) -> int:
        self._guard.enter()
        batch = arguments.check_batch_size("batch", batch)
        count = 0
        pending: list[S] = []
        async with aclosing(
            iterate_in_slices(arguments.check_any_iterable("sessions", sessions), self._guard.enter)
        ) as given:
            async for session in given:
                pending.append(session)
                if len(pending) == batch:
                    count += len(await self._put_many(pending, None, touch=True, first=count))
                    await asyncio.sleep(0)
                    self._guard.enter()
                    pending = []
        return count + len(await self._put_many(pending, None, touch=True, first=count))

    async def update(
        self,
        session_id: UUID,
        change: Callable[[S], S | Awaitable[S | None] | None],
        *,
        tenant_id: UUID | None = None,
        create: Callable[[], S | Awaitable[S]] | None = None,
        attempts: int | None = None,
        touch: bool = True,
    ) -> S:
        self._guard.enter()
        session_id = arguments.check_uuid("session_id", session_id)
        tenant_id = arguments.check_optional_uuid("tenant_id", tenant_id)
        arguments.check_callable("change", change)
        if create is not None:
            arguments.check_callable("create", create)
        if attempts is not None:
            attempts = arguments.check_min("attempts", attempts, 1, "each of them reads, changes and saves")
        arguments.check_bool("touch", touch)
        attempt = 1
        owner: UUID | None
        while True:
            found = await self._find_version(session_id, tenant_id)
            if found is not None:
                current, expected = found
                owner = current.tenant_id
                result = change(current)
            elif create is not None:
                current, expected, owner = None, queries.Expected(0), tenant_id
                result = create()
            else:
                raise SessionNotFoundError(session_id)
            is_plain = not isawaitable(result)
            given = (await result) if isawaitable(result) else result
            changed = current if given is None else given
            arguments.check_same_session("change" if found else "create", changed, session_id, owner)
            assert changed is not None  # checked
            self._guard.enter()
            try:
                await self._put(changed, expected, touch=touch)
            except ConflictError as error:
                limit = attempts or (None if is_plain else ATTEMPTS_OF_COROUTINES)
                if attempt == limit:
                    advice = f"it was saved during each of {attempt} attempts; give more `attempts`, or do less in them"
                    raise ConflictError(session_id, error.expected, error.actual, advice) from None
                # A random pause: without it the same updates would lose again and again.
                await asyncio.sleep(random.random() * _CONFLICT_PAUSE_SECONDS * 2 ** min(attempt, 6))  # noqa: S311  # no secret
                self._guard.enter()
                attempt += 1
            else:
                return changed

    async def touch(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        self._guard.enter()
        session_id = arguments.check_uuid("session_id", session_id)
        return await self._touch(session_id, arguments.check_optional_uuid("tenant_id", tenant_id))

    async def get_or_create(
        self, tenant_id: UUID, channel: Channel | str, user_channel_id: str, create: Callable[[], S | Awaitable[S]]
    ) -> tuple[S, bool]:
        self._guard.enter()
        identity = queries.channel_query(tenant_id, channel, user_channel_id, is_open=True)
        arguments.check_callable("create", create)
        found = await self._latest(identity)
        if found is not None:
            return found, False
        locks, key = self._creation_locks, repr(identity).encode()
        if CallbackScope.is_within(locks, key):
            raise ReentryError
        async with locks.hold(key):
            self._guard.enter()
            found = await self._latest(identity)
            if found is not None:
                return found, False
            with CallbackScope(locks, key):
                result = create()
                session = (await result) if isawaitable(result) else result
            queries.check_identity(session, identity)
            self._guard.enter()
            try:
                found = await self._put_if_absent(session, identity)
            except ConflictError as error:
                advice = "`create` must make a session with a new id, as uuid4() does"
                raise ConflictError(error.session_id, error.expected, error.actual, advice) from None
            return (session, True) if found is None else (found, False)

    # -- deleting --

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        self._guard.enter()
        session_id = arguments.check_uuid("session_id", session_id)
        return await self._remove([session_id], arguments.check_optional_uuid("tenant_id", tenant_id)) == 1

    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        self._guard.enter()
        ids = arguments.check_ids(session_ids, "delete")
        return await self._remove(ids, arguments.check_optional_uuid("tenant_id", tenant_id))

    async def delete_by_tenant(self, tenant_id: UUID) -> int:
        self._guard.enter()
        return await self._erase(queries.tenant_query(tenant_id))

    async def delete_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        self._guard.enter()
        return await self._erase(queries.customer_query(tenant_id, customer_profile_id))

    async def delete_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> int:
        self._guard.enter()
        return await self._erase(queries.channel_query(tenant_id, channel, user_channel_id))

    # -- moving --

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        self._guard.enter()
        return await self._export(cursor, arguments.check_batch_size("limit", limit))

    async def restore(self, sessions: Iterable[S]) -> int:
        self._guard.enter()
        return await self._restore(arguments.check_versions(sessions))

    async def reindex(self, *, progress: OnReindexed | None = None) -> ReindexProgress:
        self._guard.enter()
        if progress is not None:
            arguments.check_callable("progress", progress)
        return await self._reindex(progress)

    # -- locks and changes --

    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        arguments.check_seconds("timeout", timeout)
        return self._exclusive(arguments.check_uuid("session_id", session_id), timeout)

    @asynccontextmanager
    async def _exclusive(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # it covers the wait alone
        self._guard.enter()
        async with self._hold_session(session_id, timeout):
            yield

    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        self._guard.enter_without_loop()
        return self._follow(arguments.check_optional_sequence(since))

    # -- open and closed --

    def _start_in_new_loop(self) -> None:
        self._session_locks, self._creation_locks = KeyedLocks(), KeyedLocks()
        self._on_new_loop()

    async def __aenter__(self) -> Self:
        if not self._guard.is_open:
            await self._open()
        self._guard.enter()
        self._start_sweeper()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._guard.close():
            # Each step may be repeated: a first call may have been interrupted.
            self._session_locks.close()
            self._creation_locks.close()
            await self._release()

    async def health_check(self) -> bool:
        if self._guard.is_closed or not self._guard.is_open:
            return False
        self._guard.enter()
        return await self._is_healthy()
