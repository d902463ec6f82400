"""JournalLoader: restores the sessions of a journal to an empty store, in slices that let other tasks run."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any
from uuid import UUID

from sessiondex.clock import StampClock
from sessiondex.errors import UnreadableSessionError
from sessiondex.snapshots.codec import Prepared, SnapshotCodec
from sessiondex.stores.callback_scope import CallbackScope
from sessiondex.stores.journal import Journal, JournalRow
from sessiondex.stores.slices import Slices
from sessiondex.stores.unreadable import UnreadableSessions
from sessiondex.stores.writer import Writer

ID_SIZE = 16
_ROWS_AT_ONCE = 500


class JournalLoader:
    """Restores the sessions of a journal to an empty store, whose codec knows the types of sessions."""

    def __init__(self, journal: Journal, codec: SnapshotCodec[Any], unreadable: UnreadableSessions) -> None:
        self.journal: Journal = journal
        self._codec = codec
        self._unreadable = unreadable
        self.loaded_keys: bytearray = bytearray()
        """The ids of the sessions that were loaded, one after another, until they are repacked."""

    async def load(self, writer: Writer[Any, Any], clock: StampClock, enter: Callable[[], None]) -> None:
        """Open the journal, store all its sessions, and go on with its stamps and change numbers.

        If it fails, the journal is closed.

        Raises:
            UnreadableSessionError: a row is damaged.
        """
        self.journal.take()
        try:
            with CallbackScope(self):  # of `progress`
                await self._load(writer, clock, Slices(enter))
        except BaseException:
            await self.journal.aclose()
            raise

    async def _load(self, writer: Writer[Any, Any], clock: StampClock, slices: Slices) -> None:
        journal = self.journal
        head = await journal.open()
        clock.advance_to(head.stamp)
        loaded = skipped = after = 0
        while rows := await journal.read(after, _ROWS_AT_ONCE):
            for row in rows:
                if perf_counter() > slices.deadline:
                    await slices.pause()
                prepared = self._prepare(row)
                if prepared is None:
                    skipped += 1
                else:
                    writer.load(prepared, row.stamp, row.revision)
                    self.loaded_keys += row.key
            loaded, after = loaded + len(rows), rows[-1].number
            await journal.report(loaded, skipped, head.row_count)
            await slices.pause()
        writer.begin(head.sequence)
        await journal.begin(clock.last_stamp, head.sequence)

    def _prepare(self, row: JournalRow) -> Prepared | None:
        try:
            return self._checked(row)
        except UnreadableSessionError as error:
            self._unreadable.skip_or_raise(error)
            return None

    def _checked(self, row: JournalRow) -> Prepared:
        if not row.is_intact:
            found = UUID(bytes=row.key) if len(row.key) == ID_SIZE else None
            raise _unreadable(found, row, "the row is damaged, by its checksum; restore a backup")
        prepared = self._codec.prepare_stored(row.document)
        if prepared.session_id.bytes != row.key:
            raise _unreadable(UUID(bytes=row.key), row, "the row has a session of another id; restore a backup")
        return prepared


def _unreadable(session_id: UUID | None, row: JournalRow, reason: str) -> UnreadableSessionError:
    advice = "or open the store with on_unreadable='skip', which leaves it in the file and out of the store"
    session_type, version, _ = row.document
    return UnreadableSessionError(session_id, session_type, version, None, f"{reason}, {advice}")
