"""Showing a session that was given that it was saved, though answers may come in another order than saves were done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sessiondex.clock import EPOCH, MICROSECOND
from sessiondex.models import Session
from sessiondex.records import mark_saved


class Marks:
    """Knows of each object that is being saved the last stamp that it was marked with."""

    def __init__(self) -> None:
        self._under_way: dict[int, list[int]] = {}
        """By the identity of the object: by how many it is being saved, and the last stamp."""

    @contextmanager
    def of(self, sessions: Sequence[Session]) -> Iterator[None]:
        """Know of these objects within this block."""
        entries = [self._under_way.setdefault(id(session), [0, 0]) for session in sessions]
        for entry in entries:
            entry[0] += 1
        try:
            yield
        finally:
            for session, entry in zip(sessions, entries, strict=True):
                entry[0] -= 1
                if not entry[0]:
                    self._under_way.pop(id(session), None)

    def mark(self, session: Session, stamp: int, revision: int) -> None:
        """Mark the object, unless a later save of it has."""
        entry = self._under_way[id(session)]
        if stamp > entry[1]:
            entry[1] = stamp
            mark_saved(session, EPOCH + stamp * MICROSECOND, revision)
