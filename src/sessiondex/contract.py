"""The contract of every session store.

The laws, the same for every store:

1.  **Save stamps.** `save` sets `last_activity_at` and `revision` on the stored copy and, once it has succeeded, on the
    given session. Stamps are whole microseconds and strictly increase, even if the clock stands still or steps back. No
    two sessions of a tenant share a stamp, so stamps order them totally. A revision counts the saves of one session. A
    save with `touch=False` keeps the stored stamp, and `touch` gives a new stamp and keeps the revision.
2.  **Newest first.** Every list is ordered by last activity, newest first. `get_by_channel` returns the most recently
    active session.
3.  **Isolation.** The store shares no mutable state with sessions that it receives or returns, at any depth.
4.  **Keys are remembered.** A session is found under the values that it had when it was saved, even if the caller has
    changed the object since. This holds for fields declared as `Indexed` too: each item of a collection is a key.
5.  **All or nothing.** A save or delete, of one session or of many, is fully visible or not at all: to every reader,
    after every exception, after every cancellation, and after an interruption at any point. With a journal, a save that
    is cancelled while it waits for the disk may have been stored.
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
    act as if no other task had run in between, and hold no lock of the store while the caller's code runs. With a
    journal, a write that raised `StoreUnavailableError` with `is_outcome_unknown` may be found after reopening.
14. **One turn at a time.** One task holds the turn of a session; the others get it in the order in which they asked.
15. **Pages.** A list that continues before the stamp of the last session seen repeats no session, and omits none that
    was not saved in between. `before` and `after` bound a list and do not change its order. A save with `touch=False`
    stays in its place, so polling with `after` does not see it.
16. **Counts are lists' lengths.** They need no list, and include sessions that cannot be read.
17. **Expired is gone.** No query, count or save sees a session that was idle for longer than `idle_ttl`. A save that
    exceeds `max_sessions` evicts those that were idle longest. `on_evict` gets each, one at a time, without a lock. If
    the clock was ahead and was corrected, the sessions saved since expire by the corrected clock.
18. **Changes come in order.** A reader gets every commit once, as ids, revision and stamp, or `ChangesLostError`.
19. **Erased is gone.** `delete_by_tenant`, `delete_by_customer` and `delete_by_channel` repeat until a pass finds
    nothing, call no `on_evict`, and leave nothing from which a session could be read or found.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self
from uuid import UUID

from sessiondex.changes import Change
from sessiondex.models import Channel
from sessiondex.reading import S, SessionReader


@dataclass(frozen=True)
class ReindexProgress:
    """How far `reindex` has come: how many sessions it has read, and how many of them were indexed otherwise."""

    read: int
    reindexed: int


OnReindexed = Callable[[ReindexProgress], Awaitable[None] | None]


class SessionStore(SessionReader[S], Generic[S]):
    """Keeps sessions, and finds them as a `SessionReader`.

    `S` is the class of the sessions: `Session`, unless you name a subclass, as in `InMemorySessionStore[MySession]()`.

    Implementations keep the laws, listed in the docstring of `sessiondex.contract` and on the page "The contract".
    Callers rely on them, and use one store from one running event loop at a time.

    Every method raises `InvalidArgumentError` (a `ValueError`) for an argument of the wrong type or range, and
    `WrongLoopError` (a `RuntimeError`) if another running loop uses the store. Methods that read sessions raise
    `UnreadableSessionError` if the class of a session no longer loads it. After the store was closed, every method
    except `aclose` and `health_check` raises `StoreClosedError`. Costs are those of `InMemorySessionStore` with n
    sessions; `k` is the length of the result.
    """

    # -- saving --

    @abstractmethod
    async def save(self, session: S, *, expected_revision: int | None = None, touch: bool = True) -> UUID:
        """Store a private copy of the session, set stamp and revision on both, and return its id.

        Replaces the stored session of that id. The last write wins, unless you pass `expected_revision`, the revision
        to replace; 0 expects that no session has that id. Pass `touch=False` for a save that is no activity: the
        session keeps its stamp, hence its place in lists and what is left of `idle_ttl`; a new one gets a stamp.
        Cost: O(size of the session + log n).

        Raises:
            ConflictError: the stored revision is not the expected one.
            InvalidSessionError: the session would not come back equal; the error names the field.
            TenantMismatchError: the id belongs to a session of another tenant.
        """

    @abstractmethod
    async def save_many(
        self, sessions: Iterable[S], *, expected_revisions: Sequence[int | None] | None = None, touch: bool = True
    ) -> list[UUID]:
        """Save all of the sessions or none, and return their ids in the given order.

        Equals saving one after another, except that readers see all saves at once: the last session is the newest, and
        the later of two with the same id replaces the earlier. `expected_revisions` has one for each session; `None`
        expects nothing. On a server, all or none holds within each tenant. Meant for up to some hundred; `load` takes
        any number. The loop runs during the checks, but not during the write, which is one step. Cost: that of the
        saves.

        Raises:
            ConflictError: the stored revision of a session is not the expected one; nothing was saved.
            InvalidSessionError: a session would not come back equal; the error names the field, a note its number.
            TenantMismatchError: the id of a session belongs to another tenant, in the store or in the batch.
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
        """Read the session, change it, save it and return it; start over if it was saved in between.

        `change` gets a session of its own. It changes that in place or returns another, and may be a coroutine
        function. It runs once per attempt and without a lock, so it should have no side effects. A session that does
        not exist is made by `create`, which may run more than once too; `change` does not get that one.

        Without `attempts`, plain functions are tried until they succeed, since each conflict means that another save
        did, and coroutine functions five times. `touch` is that of `save`.

        Raises:
            SessionNotFoundError: there is no such session of that tenant, and no `create`.
            ConflictError: the session was saved during each of the attempts.
            InvalidArgumentError: `change` or `create` returned a session of another id or tenant, or no session.
            InvalidSessionError: the changed session would not come back equal.
            TenantMismatchError: `create` ran, and the id belongs to another tenant than `tenant_id`.
        """

    @abstractmethod
    async def touch(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Give the session a new stamp, as activity does, without reading or rewriting it; return whether it exists.

        Its revision stays, so a concurrent `update` does not fail. If `tenant_id` is given, a session of another
        tenant is left alone. Cost: O(log n).
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

    # -- deleting --

    @abstractmethod
    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Remove the session; return whether it existed and, if `tenant_id` is given, belonged to that tenant.

        Cost: O(log n).
        """

    @abstractmethod
    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        """Remove all of these sessions in one step, and return how many existed.

        If `tenant_id` is given, sessions of other tenants stay, as in `delete`. Cost: that of the deletions; the loop
        does not run until all are done.
        """

    @abstractmethod
    async def delete_by_tenant(self, tenant_id: UUID) -> int:
        """Erase all sessions of the tenant, and return how many there were.

        Works in slices that let the loop run, until a pass finds nothing: it erases sessions that are saved while it
        runs, too. `on_evict` is not called. Cost: that of the deletions.
        """

    @abstractmethod
    async def delete_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        """Erase all sessions of the customer, as `delete_by_tenant` does."""

    @abstractmethod
    async def delete_by_channel(self, tenant_id: UUID, channel: Channel | str, user_channel_id: str) -> int:
        """Erase all sessions of the channel identity, as `delete_by_tenant` does."""

    # -- turns and changes --

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

        Yields every save, touch, delete and eviction in commit order. The first call makes the store keep changes, up
        to a bounded number. A reader that falls further behind gets `ChangesLostError`; it never delays a writer.
        Closing the store ends the iteration. Cost: O(1) a change.

        Raises:
            ChangesLostError: changes after `since` are no longer kept, or `since` was never reached.
        """

    # -- moving, and the life of a store --

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        """Return up to `limit` of all sessions, and the cursor of the next page, or `None` after the last page.

        For moving to another store: see `copy_sessions`. The order is arbitrary. A session that is saved during the
        export may come in its old state, its new one, or both; a new one may be missing. A cursor is valid for the
        store that returned it, until that store is closed. Optional: a store need not implement it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no export")

    async def restore(self, sessions: Iterable[S]) -> int:
        """Save sessions with the stamps and revisions that they have, and return how many were saved.

        Skips sessions that have expired, and those whose stored stamp is later, or equal with as high a revision:
        restoring twice changes nothing. If another session of the tenant has the same stamp, the restored one gets the
        next free microsecond, so a copy of a copy is identical. Saves all sessions of a tenant or none. Later saves
        have later stamps. Optional: a store need not implement it.

        Raises:
            InvalidSessionError: a session would not come back equal, or was never saved; a note gives its number.
            TenantMismatchError: an id belongs to another tenant, in the store or in the batch; nothing was saved.
        """
        raise NotImplementedError(f"{type(self).__name__} has no restore")

    async def reindex(self, *, progress: OnReindexed | None = None) -> ReindexProgress:
        """Index the sessions that were saved before a field was declared as `Indexed`, or by a process without it.

        Call it on a server after each release that adds an index. It skips sessions that are saved while it runs, and
        those with a value that cannot be indexed, which it logs. A store in memory has nothing to do. `progress` is
        called after each page, and may be a coroutine function. Optional: a store need not implement it. Cost: that of
        reading each session.
        """
        raise NotImplementedError(f"{type(self).__name__} has no reindex")

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
