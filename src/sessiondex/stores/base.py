"""BaseSessionStore: every public method of the contract, once, for all stores.

Each method enters the loop guard, checks its arguments, and delegates to the protected methods below, which a store
implements. No other module checks arguments or loops. `get` and `save` pass checked arguments on; all other queries are
values of `queries.py`.
"""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime
from inspect import isawaitable
from typing import Self
from uuid import UUID

from sessiondex import queries
from sessiondex.clock import to_microseconds
from sessiondex.contract import Change, S, SessionStore
from sessiondex.errors import ConflictError, ReentryError, SessionNotFoundError
from sessiondex.models import Channel, ScopeFilter, SessionStatus
from sessiondex.stores.callback_scope import CallbackScope
from sessiondex.stores.keyed_locks import KeyedLocks
from sessiondex.stores.loop_guard import LoopGuard
from sessiondex.stores.pages import iterate_pages
from sessiondex.stores.slices import iterate_in_slices

_CONFLICT_PAUSE_SECONDS = 0.0005


class BaseSessionStore(SessionStore[S]):
    """Checks arguments and delegates. Holds what every store needs: the loop guard and two sets of keyed locks."""

    def __init__(self, recover: Callable[[], None]) -> None:
        """`recover` finishes an interrupted commit, and does nothing if there is none."""
        self._guard = LoopGuard(self._start_in_new_loop, recover)
        self._session_locks, self._creation_locks = KeyedLocks(), KeyedLocks()

    # -- to be implemented by stores --

    @abstractmethod
    async def _find(self, session_id: UUID, tenant_id: UUID | None) -> S | None:
        """Return the session, of the tenant if one is given, or `None`."""

    @abstractmethod
    async def _put(self, session: S, expected: queries.Expected | None) -> UUID:
        """Save the session, write its version back, and return its id."""

    @abstractmethod
    async def _put_if_absent(self, session: S, identity: queries.ChannelQuery) -> S | None:
        """Save a new session, or return the one that is open for its channel identity."""

    @abstractmethod
    async def _put_many(self, sessions: Sequence[S], first: int) -> list[UUID]:
        """Save all sessions or none. `first` is the number of the first, for errors."""

    @abstractmethod
    async def _remove(self, session_ids: Sequence[UUID], tenant_id: UUID | None) -> int:
        """Remove the sessions, and return how many there were."""

    @abstractmethod
    async def _latest(self, query: queries.ChannelQuery) -> S | None:
        """Return the latest session of the channel identity, or `None`."""

    @abstractmethod
    async def _newest(self, query: queries.ListQuery, page: queries.Page) -> list[S]:
        """Return a page of sessions, newest first."""

    @abstractmethod
    async def _at_step(self, query: queries.StepQuery) -> list[S]:
        """Return all sessions at the step, newest first."""

    @abstractmethod
    async def _count(self, query: queries.CountQuery) -> int:
        """Return how many sessions match."""

    @abstractmethod
    async def _count_steps(self, query: queries.ScenarioQuery) -> dict[str, int]:
        """Return how many sessions stand at each step, by the hash of the step."""

    @abstractmethod
    async def _export(self, cursor: str | None, limit: int) -> tuple[list[S], str | None]:
        """Return some sessions and the next cursor."""

    @abstractmethod
    async def _restore(self, versions: Sequence[tuple[S, int, int]]) -> int:
        """Save sessions with their stamps and revisions, and return how many were saved."""

    @abstractmethod
    def _hold_session(self, session_id: UUID, timeout: float | None) -> AbstractAsyncContextManager[None]:
        """Hold the lock of the session; see `SessionStore.exclusive` for what it raises."""

    @abstractmethod
    def _follow(self, after_sequence: int | None) -> AsyncIterator[Change]:
        """Return an iterator over changes. Called without a running loop, too."""

    @abstractmethod
    def _on_new_loop(self) -> None:
        """Make anew what is bound to an event loop, and forget what was. May be called twice."""

    @abstractmethod
    def _start_sweeper(self) -> None:
        """Start the background task that evicts expired sessions, if any expire."""

    @abstractmethod
    async def _is_healthy(self) -> bool:
        """Return whether the store can be used."""

    @abstractmethod
    async def _release(self) -> None:
        """End background tasks and close connections. May be called twice."""

    # -- one session --

    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        self._guard.enter()
        # Recognised here without a call, which would take a tenth of a read.
        if type(session_id) is not UUID:
            session_id = queries.check_uuid("session_id", session_id)
        if tenant_id is not None:
            tenant_id = queries.check_uuid("tenant_id", tenant_id)
        return await self._find(session_id, tenant_id)

    async def save(self, session: S, *, expected_revision: int | None = None) -> UUID:
        self._guard.enter()
        if expected_revision is None:
            return await self._put(session, None)
        return await self._put(session, queries.check_expected(expected_revision))

    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        self._guard.enter()
        session_id = queries.check_uuid("session_id", session_id)
        return await self._remove([session_id], queries.check_optional_uuid("tenant_id", tenant_id)) == 1

    async def update(
        self,
        session_id: UUID,
        change: Callable[[S], S | Awaitable[S | None] | None],
        *,
        tenant_id: UUID | None = None,
        attempts: int = 5,
    ) -> S:
        queries.check_callable("change", change)
        attempts = queries.check_min("attempts", attempts, 1, "each of them reads, changes and saves")
        attempt = 1
        while True:
            session = await self.get(session_id, tenant_id=tenant_id)
            if session is None:
                raise SessionNotFoundError(session_id)
            owner, stamp = session.tenant_id, to_microseconds(session.last_activity_at)
            expected = queries.Expected(session.revision, stamp)
            result = change(session)
            replacement = (await result) if isawaitable(result) else result
            changed = session if replacement is None else replacement
            queries.check_same_session(changed, session_id, owner)
            self._guard.enter()
            try:
                await self._put(changed, expected)
            except ConflictError:
                if attempt == attempts:
                    raise
                # A random pause: without it the same updates would lose again and again.
                await asyncio.sleep(random.random() * _CONFLICT_PAUSE_SECONDS * 2 ** min(attempt, 6))  # noqa: S311  # no secret
                attempt += 1
            else:
                return changed

    async def get_or_create(
        self, tenant_id: UUID, channel: Channel | str, user_channel_id: str, create: Callable[[], S | Awaitable[S]]
    ) -> tuple[S, bool]:
        self._guard.enter()
        identity = queries.channel_query(tenant_id, channel, user_channel_id, is_open=True)
        queries.check_callable("create", create)
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
            found = await self._put_if_absent(session, identity)
            return (session, True) if found is None else (found, False)

    # -- many sessions --

    async def save_many(self, sessions: Iterable[S]) -> list[UUID]:
        self._guard.enter()
        return await self._put_many(list(queries.check_iterable("sessions", sessions, "save")), 0)

    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        self._guard.enter()
        ids = [
            queries.check_uuid("session_ids", one)
            for one in queries.check_iterable("session_ids", session_ids, "delete")
        ]
        return await self._remove(ids, queries.check_optional_uuid("tenant_id", tenant_id))

    async def load(self, sessions: Iterable[S] | AsyncIterable[S], *, batch: int = 500) -> int:
        self._guard.enter()
        batch = queries.check_batch_size("batch", batch)
        count = 0
        pending: list[S] = []
        async with aclosing(
            iterate_in_slices(queries.check_any_iterable("sessions", sessions), self._guard.enter)
        ) as given:
            async for session in given:
                pending.append(session)
                if len(pending) == batch:
                    count += len(await self._put_many(pending, count))
                    await asyncio.sleep(0)
                    self._guard.enter()
                    pending = []
        return count + len(await self._put_many(pending, count))

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        self._guard.enter()
        return await self._export(cursor, queries.check_batch_size("limit", limit))

    async def restore(self, sessions: Iterable[S]) -> int:
        self._guard.enter()
        return await self._restore(queries.check_versions(sessions))

    # -- queries --

    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> S | None:
        self._guard.enter()
        return await self._latest(queries.channel_query(tenant_id, channel, user_channel_id, is_open=False))

    async def list_by_agent(
        self,
        tenant_id: UUID,
        agent_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[S]:
        self._guard.enter()
        return await self._newest(queries.agent_query(tenant_id, agent_id, status), queries.check_page(limit, before))

    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100, before: datetime | None = None
    ) -> list[S]:
        self._guard.enter()
        query = queries.customer_query(tenant_id, customer_profile_id)
        return await self._newest(query, queries.check_page(limit, before))

    def iter_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, page_size: int = 100
    ) -> AsyncIterator[S]:
        return self._pages(
            queries.agent_query(tenant_id, agent_id, status), queries.check_batch_size("page_size", page_size)
        )

    def iter_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, page_size: int = 100) -> AsyncIterator[S]:
        return self._pages(
            queries.customer_query(tenant_id, customer_profile_id), queries.check_batch_size("page_size", page_size)
        )

    def _pages(self, query: queries.ListQuery, page_size: int) -> AsyncIterator[S]:
        async def read_page(before: int | None) -> list[S]:
            self._guard.enter()
            return await self._newest(query, queries.Page(page_size, before))

        return iterate_pages(read_page, page_size)

    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        self._guard.enter()
        query = queries.step_query(tenant_id, scenario_id, scenario_version, step_content_hash, scope_filter)
        return await self._at_step(query)

    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        self._guard.enter()
        return await self._count(queries.agent_query(tenant_id, agent_id, status))

    async def count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        self._guard.enter()
        return await self._count(queries.customer_query(tenant_id, customer_profile_id))

    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        self._guard.enter()
        return await self._count(queries.step_query(tenant_id, scenario_id, scenario_version, step_content_hash, None))

    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        self._guard.enter()
        return await self._count_steps(queries.scenario_query(tenant_id, scenario_id, scenario_version))

    # -- locks and changes --

    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        queries.check_seconds("timeout", timeout)
        return self._exclusive(queries.check_uuid("session_id", session_id), timeout)

    @asynccontextmanager
    async def _exclusive(self, session_id: UUID, timeout: float | None) -> AsyncIterator[None]:  # noqa: ASYNC109  # it covers the wait alone
        self._guard.enter()
        async with self._hold_session(session_id, timeout):
            yield

    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        self._guard.enter_without_loop()
        return self._follow(queries.check_optional_sequence(since))

    # -- open and closed --

    def _start_in_new_loop(self) -> None:
        self._session_locks, self._creation_locks = KeyedLocks(), KeyedLocks()
        self._on_new_loop()

    async def __aenter__(self) -> Self:
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
        if self._guard.is_closed:
            return False
        self._guard.enter()
        return await self._is_healthy()
