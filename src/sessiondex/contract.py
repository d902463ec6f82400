"""The contract of every session store.

The laws, the same for every store:

1.  **Save stamps.** `save` sets `last_activity_at` and `revision` on the stored copy and, once it has succeeded, on the
    given session. Stamps are whole microseconds and strictly increase, even if the clock stands still or steps back. No
    two sessions of a tenant share a stamp, so stamps order them totally. A revision counts the saves of one session.
2.  **Newest first.** Every list is ordered by last activity, newest first. `get_by_channel` returns the most recently
    active session.
3.  **Isolation.** The store shares no mutable state with sessions that it receives or returns, at any depth.
4.  **Keys are remembered.** A session is found under the values that it had when it was saved, even if the caller has
    changed the object since.
5.  **All or nothing.** A save or delete, of one session or of many, is fully visible or not at all: to every reader,
    after every exception, after every cancellation, and after an interruption at any point.
6.  **Accepted means kept.** A session that `save` accepts comes back equal, datetimes by instant and UTC offset. `save`
    refuses all others (what JSON cannot keep, what does not validate) with `InvalidSessionError`, naming the field.
7.  **Tenants are walls.** Every query is scoped by tenant and never returns or counts a session of another tenant.
8.  **Only active sessions stand at a step.** An active session stands at the last step of its `step_history`, in its
    active scenario and version. A step without a hash matches nothing.
9.  **The filter drives the index.** Sessions that a `ScopeFilter` excludes cost nothing, in stores that have an index.
10. **Subclasses survive.** A `Session` subclass comes back as that class, with all fields that it adds.
11. **Limits are checked.** A negative limit is an error; 0 gives an empty list.
12. **Loops.** A store may be created before any loop runs and used from one event loop after another. Use from two
    running loops or threads at once raises `WrongLoopError`, always.
13. **No lost updates.** A save that expects a revision replaces that revision or nothing. `update` and `get_or_create`
    act as if no other task had run in between, and hold no lock of the store while the caller's code runs.
14. **One turn at a time.** One task holds the turn of a session; the others get it in the order in which they asked.
15. **Pages.** A list that continues before the stamp of the last session seen repeats no session, and omits none that
    was not saved in between.
16. **Counts are lists' lengths.** They need no list, and include sessions that cannot be read.
17. **Expired is gone.** No query, count or save sees a session that was idle for longer than `idle_ttl`. A save that
    exceeds `max_sessions` evicts those that were idle longest. `on_evict` gets each, one at a time, without a lock.
18. **Changes come in order.** A reader gets every commit once, as ids, revision and stamp, or `ChangesLostError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self
from uuid import UUID

from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

if TYPE_CHECKING:
    # Only type checkers need the default, and they bundle these stubs. At run time a plain TypeVar needs no dependency.
    from typing_extensions import TypeVar

    S = TypeVar("S", bound=Session, default=Session)
else:
    from typing import TypeVar

    S = TypeVar("S", bound=Session)


class ChangeKind(StrEnum):
    """What happened to a session."""

    SAVED = "saved"
    DELETED = "deleted"
    EVICTED = "evicted"


class EvictionReason(StrEnum):
    """Why a store evicted a session."""

    IDLE = "idle"
    """It was idle for longer than `idle_ttl`."""
    CAP = "cap"
    """There were more than `max_sessions`, and it was idle longest."""


@dataclass(frozen=True, slots=True)
class Change:
    """Names a session that a commit saved or removed, without its contents: call `get` to read it.

    `sequence` numbers the changes of a store, from 1. `revision` and `stamp` (`last_activity_at`) are those that were
    stored by a save, or those that a removed session had last. `get` may return a later revision, or `None`.
    """

    sequence: int
    kind: ChangeKind
    tenant_id: UUID
    session_id: UUID
    revision: int
    stamp: datetime


class SessionStore(ABC, Generic[S]):
    """Keeps sessions and finds them by id, channel identity, agent, customer and step.

    `S` is the class of the sessions: `Session`, unless you name a subclass, as in `InMemorySessionStore[MySession]()`.

    Implementations keep the laws, listed in the docstring of `sessiondex.contract` and on the page "The contract".
    Callers rely on them, and use one store from one running event loop at a time.

    Every method raises `InvalidArgumentError` (a `ValueError`) for an argument of the wrong type or range, and
    `WrongLoopError` (a `RuntimeError`) if another running loop uses the store. Methods that read sessions raise
    `InvalidSessionError` if a validator of a subclass refuses a session that it accepted at the save. After the store
    was closed, every method except `aclose` and `health_check` raises `StoreClosedError`. Costs are those of
    `InMemorySessionStore` with n sessions; `k` is the length of the result.
    """

    @abstractmethod
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        """Return the session, or `None` if there is none or it belongs to another tenant than `tenant_id`.

        Pass `tenant_id` whenever the id comes from outside. Cost: O(1).
        """

    @abstractmethod
    async def save(self, session: S, *, expected_revision: int | None = None) -> UUID:
        """Store a private copy of the session, set stamp and revision on both, and return its id.

        Replaces the stored session of that id. The last write wins, unless you pass `expected_revision`, the revision
        to replace; 0 expects that no session has that id. Cost: O(size of the session + log n).

        Raises:
            ConflictError: the stored revision is not the expected one.
            InvalidSessionError: the session would not come back equal; the error names the field.
            TenantMismatchError: the id belongs to a session of another tenant.
        """

    @abstractmethod
    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Remove the session; return whether it existed and, if `tenant_id` is given, belonged to that tenant.

        Cost: O(log n).
        """

    @abstractmethod
    async def save_many(self, sessions: Iterable[S]) -> list[UUID]:
        """Save all of the sessions or none, and return their ids in the given order.

        Equals saving one after another, except that readers see all saves at once: the last session is the newest, and
        the later of two with the same id replaces the earlier. Meant for up to some hundred; `load` takes any number.
        The loop runs during the checks, but not during the write, which is one step. Cost: that of the saves.

        Raises:
            InvalidSessionError: a session would not come back equal; the error names the field, a note its number.
            TenantMismatchError: the id of a session belongs to another tenant, in the store or in the batch.
        """

    @abstractmethod
    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        """Remove all of these sessions in one step, and return how many existed.

        If `tenant_id` is given, sessions of other tenants stay, as in `delete`. Cost: that of the deletions; the loop
        does not run until all are done.
        """

    @abstractmethod
    async def load(self, sessions: Iterable[S] | AsyncIterable[S], *, batch: int = 500) -> int:
        """Save any number of sessions, `batch` at a time, and return how many.

        Saves each batch as `save_many` does: all of it or none. The loop runs between batches. If a session cannot be
        saved, earlier batches stay; its own batch and all later ones are not saved.

        Raises:
            InvalidSessionError: a session would not come back equal; the error names the field, a note its number.
            TenantMismatchError: the id of a session belongs to another tenant, in the store or in the batch.
        """

    @abstractmethod
    async def get_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> S | None:
        """Return the most recently active session of that channel identity, of any status, or `None`.

        Compares `user_channel_id` byte for byte. Cost: O(1).
        """

    @abstractmethod
    async def list_by_agent(
        self,
        tenant_id: UUID,
        agent_id: UUID,
        *,
        status: SessionStatus | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[S]:
        """Return the agent's sessions, newest first, at most `limit`; only those of `status` if it is given.

        `before` is a cursor: only sessions last active strictly earlier are returned. Pass the `last_activity_at` of
        the last session of the previous page, even if that session has changed since. Cost: O(log n + k), for any page.
        """

    @abstractmethod
    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100, before: datetime | None = None
    ) -> list[S]:
        """Return the customer's sessions, newest first, at most `limit`, only those before the cursor if given.

        Cost: O(log n + k), for any page.
        """

    @abstractmethod
    def iter_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, page_size: int = 100
    ) -> AsyncIterator[S]:
        """Iterate over all of the agent's sessions, newest first; only those of `status` if it is given.

        Reads `page_size` sessions at a time, so others may write in between. No session comes twice. A session that is
        saved before its turn moves ahead of the cursor and is omitted; all others come once.
        """

    @abstractmethod
    def iter_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, page_size: int = 100) -> AsyncIterator[S]:
        """Iterate over all of the customer's sessions, newest first, as `iter_by_agent` does."""

    @abstractmethod
    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        """Return the number of the agent's sessions; only those of `status` if it is given. Cost: O(1)."""

    @abstractmethod
    async def count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        """Return the number of the customer's sessions. Cost: O(1)."""

    @abstractmethod
    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        """Return the number of active sessions at that step. Cost: O(1)."""

    @abstractmethod
    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        """Return the number of active sessions at each step of that version, by step hash; steps with none are absent.

        For planning a migration. Cost: O(steps).
        """

    @abstractmethod
    async def find_sessions_by_step_hash(
        self,
        tenant_id: UUID,
        scenario_id: UUID,
        scenario_version: int,
        step_content_hash: str,
        scope_filter: ScopeFilter | None = None,
    ) -> list[S]:
        """Return every active session at that step of that version of the scenario, newest first.

        For planning a migration: the whole result, as of the start of the call. Cost: O(k log k), plus O(log n) for
        each pair of channel and node that the filter admits; sessions that it excludes are not visited.
        """

    @abstractmethod
    async def update(
        self,
        session_id: UUID,
        change: Callable[[S], S | Awaitable[S | None] | None],
        *,
        tenant_id: UUID | None = None,
        attempts: int = 5,
    ) -> S:
        """Read the session, change it, save it and return it; start over if it was saved in between.

        `change` gets a session of its own. It changes that in place or returns another, and may be a coroutine
        function. It runs once per attempt and without a lock, so it should have no side effects.

        Raises:
            SessionNotFoundError: there is no such session, or it belongs to another tenant than `tenant_id`.
            ConflictError: the session was saved during each of the attempts.
            InvalidArgumentError: `change` returned a session of another id or tenant, or no session.
            InvalidSessionError: the changed session would not come back equal.
        """

    @abstractmethod
    async def get_or_create(
        self, tenant_id: UUID, channel: Channel | str, user_channel_id: str, create: Callable[[], S | Awaitable[S]]
    ) -> tuple[S, bool]:
        """Return the latest session of that channel identity that is not closed, or save the one that `create` returns.

        The second value is whether this call created it: true for one of any number of concurrent callers. `create` may
        be a coroutine function; other callers for the same identity wait for it. Cost: O(1), or that of a save.

        Raises:
            ConflictError: a session with the id that `create` chose exists already.
            InvalidArgumentError: `create` returned a closed session, one of another identity, or no session.
            InvalidSessionError: the created session would not come back equal.
            ReentryError: `create`, or a task that it started, called this for the same identity.
        """

    @abstractmethod
    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        """Let one task at a time work on the session: `async with store.exclusive(session_id): ...`.

        First come, first served. The session need not exist. Only other calls of `exclusive` wait; reads and saves do
        not. `timeout` bounds the wait, in seconds. Pass it where two tasks may each hold a turn and wait for the
        other's.

        Raises:
            TurnTimeoutError: the turn was not free within `timeout`.
            ReentryError: this task holds the turn already.
        """

    @abstractmethod
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change]:
        """Follow the commits from now on, or after the change numbered `since`: `async for change in ...`.

        Yields every save, delete and eviction in commit order. The first call makes the store keep changes, up to a
        bounded number. A reader that falls further behind gets `ChangesLostError`; it never delays a writer. Closing
        the store ends the iteration. Cost: O(1) a change.

        Raises:
            ChangesLostError: changes after `since` are no longer kept, or `since` was never reached.
        """

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        """Return up to `limit` of all sessions, and the cursor of the next page, or `None` after the last page.

        For moving to another store: see `copy_sessions`. The order is arbitrary. A session that is saved during the
        export may come in its old state, its new one, or both; a new one may be missing. A cursor is valid for the
        store that returned it, until that store is closed. Optional: a store need not implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no export")

    async def restore(self, sessions: Iterable[S]) -> int:
        """Save sessions with the stamps and revisions that they have, and return how many were saved.

        Skips sessions that have expired, and those that are stored with an equal or later stamp: restoring twice
        changes nothing. If another session of the tenant has the same stamp, the restored one gets the next free
        microsecond, so a copy of a copy is identical. Saves all sessions of a tenant or none. Later saves have later
        stamps. Optional: a store need not implement it.

        Raises:
            InvalidSessionError: a session would not come back equal, or was never saved; a note gives its number.
            TenantMismatchError: an id belongs to another tenant, in the store or in the batch; nothing was saved.
        """
        raise NotImplementedError(f"{type(self).__name__} has no restore")

    @abstractmethod
    async def health_check(self) -> bool:
        """Return whether the store and its background tasks can work."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the store: end its background tasks and wake all tasks that wait. Closing again does nothing."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
