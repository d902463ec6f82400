"""Describe one save: the prepared session, the conditions, and the version to write back to the caller's object."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, NamedTuple
from uuid import UUID

from sessiondex.clock import EPOCH, MICROSECOND
from sessiondex.contract import S
from sessiondex.models import Session
from sessiondex.records import mark_saved, values_of

Version = tuple[object, object]
"""Stamp and revision as an object shows them. The user may have assigned anything."""


class PreparedSave(NamedTuple, Generic[S]):
    """A session that was checked, and can be sent to the server."""

    session: S
    """The caller's object."""
    given_version: Version
    """The version of the object before the save."""
    session_id: UUID
    tenant_id: UUID
    row: bytes
    """The client's part of the row: index keys and value."""
    size: int
    """The size of the index keys in bytes."""
    is_new: bool
    """Whether the session is probably new: then the store claims it before the save, which avoids a round trip."""


class SaveTerms(NamedTuple):
    """The conditions of a save. An empty text is no condition."""

    expected: str = ""
    """The revision that must be stored."""
    expected_stamp: str = ""
    """The stamp that must be stored."""
    identity: str = ""
    """The list of a channel identity that must have no session."""
    stamp: str = ""
    """The stamp to restore, unless a save as late is stored."""
    revision: str = ""
    """The revision to restore."""


def version_of(session: Session) -> Version:
    """Return stamp and revision of the object."""
    values = values_of(session)
    return values.get("last_activity_at"), values.get("revision")


def write_back_version(save: PreparedSave[Any], stamp: int, revision: int) -> None:
    """Set stamp and revision on the caller's object, unless a later save of the object has already done so.

    Answers may arrive in another order than the server's commits. If the object no longer shows the version from before
    this save, another save has written back, and the later stamp wins. Otherwise the shown stamp says nothing: it may
    come from another clock.
    """
    saved_at = EPOCH + stamp * MICROSECOND
    shown = version_of(save.session)
    if shown == save.given_version or not _is_later(shown[0], saved_at):
        mark_saved(save.session, saved_at, revision)


def _is_later(shown: object, saved_at: datetime) -> bool:
    return isinstance(shown, datetime) and shown.utcoffset() is not None and shown > saved_at
