"""The contract of every session store.

The laws, the same for every store:

1.  **Save stamps.** `save` sets `last_activity_at` and `revision` on what it stores and, once it has succeeded, on the
    session it was given. The stamps of one store are whole microseconds and strictly increase, also when the clock
    stands still or steps back, so a stamp orders all its sessions totally. A revision counts the saves of one session.
2.  **Newest first.** Every list is ordered by last activity, newest first, and `get_by_channel` answers with the most
    recently active session.
3.  **Isolation.** Nothing handed in or out shares mutable state with the store, nested lists and dicts included.
4.  **Keys are remembered.** A session is found under what it was when saved, whatever happened to the object since.
5.  **All or nothing.** A save or delete, of one session or of many at once, is fully visible or not at all: to every
    reader, after every exception, after every cancellation, and wherever it was interrupted.
6.  **Accepted means kept.** A session that `save` accepts comes back equal. What could not (values that JSON cannot
    keep, fields that no longer validate) is refused with `InvalidSessionError`, which names the field.
7.  **Tenants are walls.** Every query is scoped by tenant; another tenant's sessions might as well not exist.
8.  **Only active sessions stand at a step**: the last of `step_history`, in the active scenario and version.
9.  **`ScopeFilter` drives the index**, where there is one: what it leaves out costs nothing.
10. **Subclasses survive.** Fields that users add in a `Session` subclass come back, and so does the class.
11. **Limits are checked.** A negative limit is an error; 0 gives an empty list.
12. **Loops.** A store may be made before any loop runs and used from one event loop after another. Use from two running
    loops or threads at once raises `WrongLoopError`, always.
13. **No lost updates.** A save that expects a revision replaces that one or nothing. `update` and `get_or_create` are
    each as if nobody else had run meanwhile, and hold no lock of the store while code of the caller's runs.
14. **One turn at a time.** Of the tasks that want the turn of a session one has it; the others are served in the order
    in which they came.
15. **Pages.** A list that goes on before the stamp of the last session that was seen repeats none, and leaves out none
    that was not saved in between.
16. **Counts are lists' lengths**, told without making the lists.
17. **Expired is gone.** From the instant at which a session has been idle for longer than the store's `idle_ttl`, no
    query, count or save sees it.
18. **Changes come in order**: each that was committed, once, with no gap; a reader that has missed some is told.
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
    # Type checkers bring these stubs along; at run time a plain TypeVar does, and needs no dependency.
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
    """Why a store let go of a session by itself."""

    IDLE = "idle"
    """It was idle for longer than `idle_ttl`."""
    CAP = "cap"
    """There were more than `max_sessions`, and of these it was idle longest."""


@dataclass(frozen=True)
class Change(Generic[S]):
    """A change that was committed. The sessions are copies, the reader's own.

    `sequence` counts the changes of a store, from 1. `before` is the session that was stored, `None` if it was new;
    `after` what was saved, `None` if it is gone.
    """

    sequence: int
    kind: ChangeKind
    before: S | None
    after: S | None


class SessionStore(ABC, Generic[S]):
    """Keeps sessions and finds them by id, channel identity, agent, customer and step.

    `S` is the class of the sessions, `Session` unless you name a subclass: `InMemorySessionStore[MySession]()`.

    Whoever implements it keeps the laws (the page "The contract" of the documentation has them, and so has the
    docstring of `sessiondex.contract`). Whoever calls it may rely on them, and must use one store from one running
    event loop at a time.

    Every method raises `InvalidArgumentError` (a `ValueError`) for an argument of the wrong type or range, and
    `WrongLoopError` (a `RuntimeError`) when another running loop uses the store. What reads sessions raises
    `InvalidSessionError` if validators of a subclass refuse what they accepted when it was saved. Once the store was
    closed, all but `aclose` and `health_check` raise `StoreClosedError`. Costs are those of `InMemorySessionStore` with
    n sessions; `k` is the length of the result.
    """

    @abstractmethod
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        """Return the session, or `None` if there is none or it is not of `tenant_id` where that is given.

        Pass `tenant_id` wherever the id came from outside. Cost: O(1).
        """

    @abstractmethod
    async def save(self, session: S, *, expected_revision: int | None = None) -> UUID:
        """Store a private copy of the session, stamp both, and return its id. An earlier one of that id is replaced.

        Last write wins, unless you give the revision that you expect to replace; 0 expects that there is no session of
        that id. Cost: O(size of the session + log n).

        Raises:
            ConflictError: another revision is stored than the expected one.
            InvalidSessionError: it would not come back equal; the error names the field.
            TenantMismatchError: the id belongs to a session of another tenant.
        """

    @abstractmethod
    async def delete(self, session_id: UUID, *, tenant_id: UUID | None = None) -> bool:
        """Remove the session; return whether there was one, of `tenant_id` where that is given.

        Cost: O(log n).
        """

    @abstractmethod
    async def save_many(self, sessions: Iterable[S]) -> list[UUID]:
        """Save all of them, or none, and return their ids in the order given.

        As if saved one after another, but seen by readers all at once: the last of them is the newest, and of two with
        the same id the later replaces the earlier. Meant for up to some hundred; `load` takes any number. Cost: that of
        the saves. Checking lets the loop run in between; the write itself is one step, in which it does not.

        Raises:
            InvalidSessionError: one would not come back equal; the error says which, and names the field.
            TenantMismatchError: the id of one belongs to a session of another tenant.
        """

    @abstractmethod
    async def delete_many(self, session_ids: Iterable[UUID], *, tenant_id: UUID | None = None) -> int:
        """Remove all of these sessions in one step, and return how many there were.

        As in `delete`, those of other tenants are left alone where `tenant_id` is given. Cost: that of the deletions,
        in one step, during which the loop does not run.
        """

    @abstractmethod
    async def load(self, sessions: Iterable[S] | AsyncIterable[S], *, batch: int = 500) -> int:
        """Save any number of sessions, `batch` at a time, and return how many.

        Each batch is saved as by `save_many`: all of it, or none. The loop runs in between. If one cannot be saved, the
        batches before it stay, and its own and what follows is not saved.

        Raises:
            InvalidSessionError: one would not come back equal; the error says which, and names the field.
            TenantMismatchError: the id of one belongs to a session of another tenant.
        """

    @abstractmethod
    async def get_by_channel(self, tenant_id: UUID, channel: Channel, user_channel_id: str) -> S | None:
        """Return the most recently active session of that channel identity, whatever its status, or `None`.

        `user_channel_id` is compared byte for byte. Cost: O(1).
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
        """Return the agent's sessions, of that status where one is given: newest first, at most `limit`.

        `before` is a cursor: of sessions last active strictly earlier. Give the `last_activity_at` of the last one that
        you have, whatever has become of it since. Cost: O(log n + k), for any page.
        """

    @abstractmethod
    async def list_by_customer(
        self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100, before: datetime | None = None
    ) -> list[S]:
        """Return the customer's sessions, newest first, at most `limit`, those before the cursor if there is one.

        Cost: O(log n + k), for any page.
        """

    @abstractmethod
    def iter_by_agent(
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, page_size: int = 100
    ) -> AsyncIterator[S]:
        """Iterate over all of the agent's sessions, of that status where one is given, newest first.

        Reads a page at a time, while others may write: no session comes twice, and one that was not saved meanwhile
        comes once. One that is saved before it came is newer than what follows, and is left out.
        """

    @abstractmethod
    def iter_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, page_size: int = 100) -> AsyncIterator[S]:
        """Iterate over all of the customer's sessions, newest first, in the way of `iter_by_agent`."""

    @abstractmethod
    async def count_by_agent(self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None) -> int:
        """Return how many sessions the agent has, of that status where one is given. Cost: O(1)."""

    @abstractmethod
    async def count_by_customer(self, tenant_id: UUID, customer_profile_id: UUID) -> int:
        """Return how many sessions the customer has. Cost: O(1)."""

    @abstractmethod
    async def count_by_step_hash(
        self, tenant_id: UUID, scenario_id: UUID, scenario_version: int, step_content_hash: str
    ) -> int:
        """Return how many active sessions stand at that step. Cost: O(1)."""

    @abstractmethod
    async def count_steps(self, tenant_id: UUID, scenario_id: UUID, scenario_version: int) -> dict[str, int]:
        """Return how many active sessions stand at each step of that version, by the step's hash; nowhere 0.

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

        For planning a migration: the whole result, as it stood when the call began. Cost: O(k log k), and O(log n) for
        each pair of channel and node that the filter lets through; what it leaves out is not visited.
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
        """Read the session, change it and save it, and return it; again from the start if it was saved meanwhile.

        `change` gets a session of its own, changes it in place or returns another, and may be a coroutine function. It
        runs once for each attempt, without any lock, so let it have no effects elsewhere.

        Raises:
            SessionNotFoundError: there is no such session, or it is not of `tenant_id` where that is given.
            ConflictError: it was saved during each of the attempts.
            InvalidArgumentError: `change` gave a session of another id or tenant, or something that is none.
            InvalidSessionError: what `change` made of it would not come back equal.
        """

    @abstractmethod
    async def get_or_create(
        self, tenant_id: UUID, channel: Channel, user_channel_id: str, create: Callable[[], S | Awaitable[S]]
    ) -> tuple[S, bool]:
        """Return the latest session of that channel identity that is not closed, or save the one that `create` makes.

        And whether it was created: for one of any number of concurrent callers. `create` may be a coroutine function;
        others who ask for the same identity wait for it. Cost: O(1), or that of a save.

        Raises:
            ConflictError: there is a session already of the id that `create` gave it.
            InvalidArgumentError: `create` gave a session of another identity, or a closed one, or none at all.
            InvalidSessionError: what `create` made would not come back equal.
            ReentryError: it was called from within `create`, for the same identity.
        """

    @abstractmethod
    def exclusive(self, session_id: UUID, *, timeout: float | None = None) -> AbstractAsyncContextManager[None]:
        """Let one task at a time work on the session: `async with store.exclusive(session_id): ...`.

        First come, first served. The session need not exist yet. It keeps out those who ask for the turn as well,
        nobody else. `timeout` is in seconds, and bounds the wait; two tasks that each have a turn and wait for the
        other's would otherwise wait for ever.

        Raises:
            TurnTimeoutError: the turn did not come in time.
            ReentryError: this task has the turn already.
        """

    @abstractmethod
    def changes(self, *, since: int | None = None) -> AsyncIterator[Change[S]]:
        """Follow what is committed, from now on, or after the change of sequence `since`: `async for change in ...`.

        Every save, delete and eviction comes, in the order of commits. The first call makes the store keep changes, a
        bounded number of them: a reader that falls behind by more gets `ChangesLostError`, and slows nobody. Ends when
        the store is closed. To make a change's sessions costs what a read does.

        Raises:
            ChangesLostError: changes that came after `since` are no longer kept.
        """

    async def export(self, *, cursor: str | None = None, limit: int = 500) -> tuple[list[S], str | None]:
        """Return up to `limit` of all sessions, and the cursor to go on with, which is `None` when none are left.

        For moving to another store, see `copy_sessions`. Sessions come in no order that means anything. Those that are
        saved meanwhile may come as they were before, or after, or twice; new ones may be left out. A cursor means
        something to the store that gave it, for as long as it lives. A store need not have this.
        """
        raise NotImplementedError(f"{type(self).__name__} has no export")

    async def restore(self, sessions: Iterable[S]) -> int:
        """Save sessions with the stamps and revisions that they have, and return how many.

        One of which the store has a save as late, or a later one, is left alone, so to restore twice does no harm; and
        so is one that has expired. All of a tenant's, or none. Later saves have later stamps. A store need not have
        this.

        Raises:
            InvalidSessionError: one would not come back equal, or was never saved; the error says which.
            TenantMismatchError: the id of one belongs to a session of another tenant.
        """
        raise NotImplementedError(f"{type(self).__name__} has no restore")

    @abstractmethod
    async def health_check(self) -> bool:
        """Return whether the store can be used, with what runs in its background."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the store: what runs in its background ends, and so do all who wait. To close it again does nothing."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
