"""littletable: a list of objects with indexes, whose every answer is another such list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from littletable import Table

from benchmarks.peers.rows import INDEXES, Key, Row, RowStore
from sessiondex.models import utc_now


class LittletableStore(RowStore):
    """Rows in a `Table`, with a unique index on the id and an index on each key.

    The accessors of the indexes are kept: to make one costs more than to look a row up.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(clock=clock)
        self._table = Table("sessions").create_index("session_id", unique=True)
        for index in INDEXES:
            self._table.create_index(index)
        self._by_id = self._table.by("session_id")
        self._by = {index: self._table.by(index) for index in INDEXES}

    def _row(self, session_id: int) -> Row | None:
        row: Row | None = self._by_id.get(session_id)
        return row

    def _add(self, row: Row) -> None:
        self._table.insert(row)

    def _remove(self, row: Row) -> None:
        self._table.remove(row)

    def _matching(self, index: str, key: Key) -> Iterable[Row]:
        found: Iterable[Row] = self._by[index][key]
        return found
