"""Commit: what one step of a store changed, as its listeners see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from sessiondex.changes import ChangeKind, EvictionReason
from sessiondex.snapshots.codec import Document

R = TypeVar("R")


class Mutation(NamedTuple, Generic[R]):
    """The change of one session. Of a removed session, revision and stamp are the last it had."""

    kind: ChangeKind
    session_id: UUID
    tenant_id: UUID
    stamp: int
    """In microseconds since 1970-01-01 UTC."""
    revision: int
    stored: R | None = None
    """What the backend had stored of a removed session; of a saved one `None`, since the backend has it."""
    reason: EvictionReason | None = None
    document: Document | None = None
    """A saved session as a file keeps it, in stores that have a journal."""


class Commit(NamedTuple, Generic[R]):
    """Mutations that became visible at once. They are numbered `sequence`, `sequence + 1` and so on."""

    sequence: int
    mutations: Sequence[Mutation[R]]


class CommitListener(Protocol[R]):
    """Is called with each commit, in order.

    After an interrupted commit it may be called again with the same one: it ignores a sequence that it has seen. It
    does no I/O and does not raise.
    """

    def on_commit(self, commit: Commit[R]) -> None:
        """Take notice of the commit. Cost: O(its mutations)."""
