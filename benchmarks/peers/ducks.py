"""ducks: a container that finds objects by attributes, through a B-tree for each and sets of ids.

Its last release asks for a BTrees that no longer builds, so `pip install ducks` fails on Python 3.11 and later. It runs
with a newer one: `pip install BTrees "numpy<2" cykhash sortednp readerwriterlock`, then `pip install --no-deps ducks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from ducks import Dex

from benchmarks.peers.rows import INDEXES, Key, Row, RowStore
from sessiondex.models import utc_now


class DucksStore(RowStore):
    """Rows in a `Dex`, with an index on each key, and in a dict by id.

    An index on all that a query asks for saves the intersection of one set an attribute. Rows without a key are found
    under `None`, as its documentation has it: an attribute that is missing makes a removal search through all keys.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(clock=clock)
        self._dex = Dex(on=INDEXES)
        self._rows: dict[int, Row] = {}

    def _row(self, session_id: int) -> Row | None:
        return self._rows.get(session_id)

    def _add(self, row: Row) -> None:
        self._dex.add(row)
        self._rows[row.session_id] = row

    def _remove(self, row: Row) -> None:
        self._dex.remove(row)
        del self._rows[row.session_id]

    def _matching(self, index: str, key: Key) -> Iterable[Row]:
        found: list[Row] = self._dex[{index: {"==": key}}]
        return found
