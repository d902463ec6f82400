"""Changes: what readers learn of each commit, and why a store evicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class ChangeKind(StrEnum):
    """What happened to a session."""

    SAVED = "saved"
    TOUCHED = "touched"
    """It has a new stamp, by `touch`, and is the same otherwise."""
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
    """Names a session that a commit saved, touched or removed, without its contents: call `get` to read it.

    `sequence` numbers the changes of a store, from 1. `revision` and `stamp` (`last_activity_at`) are those that were
    stored, or those that a removed session had last. `get` may return a later revision, or `None`.
    """

    sequence: int
    kind: ChangeKind
    tenant_id: UUID
    session_id: UUID
    revision: int
    stamp: datetime
