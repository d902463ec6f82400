"""Showing a session that was given that it was saved, though answers may come in another order than saves were done."""

from __future__ import annotations

from collections.abc import Sequence

from sessiondex.clock import EPOCH, MICROSECOND
from sessiondex.models import Session
from sessiondex.records import mark_saved


class Marks:
    """Knows of each object that is being saved the last stamp that it was marked with."""

    def __init__(self) -> None:
        self._under_way: dict[int, list[int]] = {}
        """By the identity of the object: by how many it is being saved, and the last stamp."""

    def of(self, sessions: Sequence[Session]) -> _Saving:
        """Know of these objects within the block that this is opened for."""
        return _Saving(self._under_way, sessions)

    def mark(self, session: Session, stamp: int, revision: int) -> None:
        """Mark the object, unless a later save of it has."""
        entry = self._under_way[id(session)]
        if stamp > entry[1]:
            entry[1] = stamp
            mark_saved(session, EPOCH + stamp * MICROSECOND, revision)


class _Saving:
    """A block in which objects are being saved. No generator, which would cost three times as much."""

    __slots__ = ("_entries", "_sessions", "_under_way")

    def __init__(self, under_way: dict[int, list[int]], sessions: Sequence[Session]) -> None:
        self._under_way = under_way
        self._sessions = sessions
        self._entries = [under_way.setdefault(id(session), [0, 0]) for session in sessions]

    def __enter__(self) -> None:
        for entry in self._entries:
            entry[0] += 1

    def __exit__(self, *_: object) -> None:
        for session, entry in zip(self._sessions, self._entries, strict=True):
            entry[0] -= 1
            if not entry[0]:
                self._under_way.pop(id(session), None)
