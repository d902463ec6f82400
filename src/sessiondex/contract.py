"""The contract of every session store.

The laws, the same for every store:

1.  **Save stamps.** `save` sets `last_activity_at` on what it stores and, once it has succeeded, on the session it was
    given. The stamps of one store are whole microseconds and strictly increase, also when the clock stands still or
    steps back, so a stamp orders all its sessions totally.
2.  **Newest first.** Every list is ordered by last activity, newest first, and `get_by_channel` answers with the most
    recently active session.
3.  **Isolation.** Nothing handed in or out shares mutable state with the store, nested lists and dicts included.
4.  **Keys are remembered.** A session is found under what it was when saved, whatever happened to the object since.
5.  **All or nothing.** A save or delete, of one session or of many at once, is fully visible or not at all: to every
    reader, after every exception, after every cancellation.
6.  **Accepted means kept.** A session that `save` accepts comes back equal. What could not (values that JSON cannot
    keep, fields that no longer validate) is refused with `InvalidSessionError`, which names the field.
7.  **Tenants are walls.** Every query is scoped by tenant; another tenant's sessions might as well not exist.
8.  **Only active sessions stand at a step**: the last of `step_history`, in the active scenario and version.
9.  **`ScopeFilter` drives the index**, where there is one: what it leaves out costs nothing.
10. **Subclasses survive.** Fields that users add in a `Session` subclass come back, and so does the class.
11. **Limits are checked.** A negative limit is an error; 0 gives an empty list.
12. **Loops.** A store may be made before any loop runs and used from one event loop after another. Use from two running
    loops or threads at once raises `WrongLoopError`, always.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Generic
from uuid import UUID

from sessiondex.models import Channel, ScopeFilter, Session, SessionStatus

if TYPE_CHECKING:
    # Type checkers bring these stubs along; at run time a plain TypeVar does, and needs no dependency.
    from typing_extensions import TypeVar

    S = TypeVar("S", bound=Session, default=Session)
else:
    from typing import TypeVar

    S = TypeVar("S", bound=Session)


class SessionStore(ABC, Generic[S]):
    """Keeps sessions and finds them by id, channel identity, agent, customer and step.

    `S` is the class of the sessions, `Session` unless you name a subclass: `InMemorySessionStore[MySession]()`.

    Whoever implements it keeps the twelve laws (the page "The contract" of the documentation has them, and so has the
    docstring of `sessiondex.contract`). Whoever calls it may rely on them, and must use one store from one running
    event loop at a time.

    Every method raises `InvalidArgumentError` (a `ValueError`) for an argument of the wrong type or range, and
    `WrongLoopError` (a `RuntimeError`) when another running loop uses the store. What reads sessions raises
    `InvalidSessionError` if validators of a subclass refuse what they accepted when it was saved. Costs are those of
    `InMemorySessionStore` with n sessions; `k` is the length of the result.
    """

    @abstractmethod
    async def get(self, session_id: UUID, *, tenant_id: UUID | None = None) -> S | None:
        """Return the session, or `None` if there is none or it is not of `tenant_id` where that is given.

        Pass `tenant_id` wherever the id came from outside. Cost: O(1).
        """

    @abstractmethod
    async def save(self, session: S) -> UUID:
        """Store a private copy of the session, stamp both, and return its id. An earlier one of that id is replaced.

        Last write wins. Cost: O(size of the session + log n).

        Raises:
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
        self, tenant_id: UUID, agent_id: UUID, *, status: SessionStatus | None = None, limit: int = 100
    ) -> list[S]:
        """Return the agent's sessions, of that status where one is given: newest first, at most `limit`.

        Cost: O(k).
        """

    @abstractmethod
    async def list_by_customer(self, tenant_id: UUID, customer_profile_id: UUID, *, limit: int = 100) -> list[S]:
        """Return the customer's sessions, newest first, at most `limit`. Cost: O(k)."""

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
