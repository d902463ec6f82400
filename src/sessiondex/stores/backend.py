"""Storage and Backend: the synchronous interface of in-process stores to what they keep."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from sessiondex.models import Session
from sessiondex.queries import CountQuery, LatestQuery, ListQuery, Page, ScenarioQuery, StepQuery
from sessiondex.snapshots.codec import Prepared

R = TypeVar("R")
"""The stored form of a session. It is immutable, so it stays readable after the session was changed."""
R_co = TypeVar("R_co", covariant=True)
P = TypeVar("P")
"""A planned change of one session."""
S_co = TypeVar("S_co", bound=Session, covariant=True)


class Place(NamedTuple):
    """Which session it is, and where it stands in lists."""

    key: bytes
    """The id of the session."""
    stamp: int
    """In microseconds since 1970-01-01 UTC."""


class RowHead(Protocol):
    """What is known of a stored session without unpacking it."""

    @property
    def key(self) -> bytes:
        """The id of the session."""

    @property
    def owner(self) -> bytes:
        """The id of its tenant."""

    @property
    def stamp(self) -> int:
        """When it was saved or touched, in microseconds since 1970-01-01 UTC."""

    @property
    def revision(self) -> int:
        """How often it was saved."""

    @property
    def generation(self) -> Hashable:
        """A number that no other session ever had, nor this one before it was deleted last."""


class Storage(Protocol[R_co, P]):
    """Plans and applies changes: all that the writer needs. No method awaits; one that raises has changed nothing."""

    def __len__(self) -> int:
        """Return how many sessions are stored. Cost: O(1)."""

    def head(self, session_id: UUID) -> RowHead | None:
        """Return the head of the stored session, or `None`."""

    def find(self, session_id: UUID) -> R_co | None:
        """Return the stored form of the session, or `None`."""

    def oldest(self) -> RowHead | None:
        """Return the head of the session that was idle longest, or `None`. Only for stores that evict."""

    def has_stamp(self, tenant_id: UUID, stamp: int) -> bool:
        """Return whether a session of the tenant has that stamp."""

    def keep_version(self, prepared: Prepared) -> Prepared:
        """Return the session, which has a document, with the highest schema version that wrote what it replaces."""

    def plan_put(self, prepared: Prepared, stamp: int, revision: int, *, is_restored: bool = False) -> P:
        """Plan to store the session in place of what has its id. One that is restored gets a new generation."""

    def plan_touch(self, session_id: UUID, stamp: int) -> P:
        """Plan to give the session, which must be there, another stamp."""

    def plan_remove(self, session_id: UUID) -> P:
        """Plan to remove the session, which must be there."""

    def apply(self, plan: P) -> None:
        """Carry out a plan. Only Ctrl-C or a lack of memory can interrupt it."""

    def recover(self, plans: Sequence[P]) -> None:
        """Carry out plans that an interruption cut off at any point, and rebuild the indexes. Cost: O(n log n)."""

    def check(self) -> None:
        """Raise `InvariantError` if the stored sessions and indexes contradict each other. Cost: O(n log n)."""


class Backend(Storage[R, P], Protocol[R, P, S_co]):
    """Answers queries as well.

    `cutoff` is the oldest stamp that has not expired, in microseconds, and `None` if nothing expires. Counts include
    expired sessions: the store evicts them first.
    """

    def get(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> S_co | None:
        """Return a private copy of the session, or `None`."""

    def visible(self, session_id: UUID, tenant_id: UUID | None, cutoff: int | None) -> R | None:
        """Return the stored form of the session that `get` would return, or `None`."""

    def to_session(self, stored: R) -> S_co:
        """Return a private copy of what was stored."""

    def place_of(self, stored: R) -> Place:
        """Return id and stamp of what was stored."""

    def class_of(self, stored: R) -> type[Session]:
        """Return the class of what was stored. The caller keeps it as long as it keeps a removed session."""

    def latest(self, query: LatestQuery, cutoff: int | None) -> S_co | None:
        """Return a private copy of the newest session that matches, or `None`."""

    def newest(self, query: ListQuery, page: Page, cutoff: int | None) -> Sequence[R]:
        """Return a page of sessions, newest first."""

    def is_answer(self, stored: R, query: ListQuery) -> bool:
        """Return whether what was stored is an answer to the query."""

    def at_step(self, query: StepQuery, now: int, cutoff: int | None) -> Sequence[R]:
        """Return the sessions at the step, newest first. `now` is in microseconds."""

    def page(self, after: UUID | None, limit: int) -> Sequence[R]:
        """Return up to `limit` of all sessions that follow that one, in an order that does not change."""

    def count(self, query: CountQuery) -> int:
        """Return how many sessions match."""

    def count_steps(self, query: ScenarioQuery) -> dict[str, int]:
        """Return how many sessions stand at each step of the version, by the hash of the step."""
