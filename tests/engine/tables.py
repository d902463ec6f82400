"""A table of short texts, filed by initial and by length."""

from __future__ import annotations

from sessiondex.engine.faceted import FacetedPostings
from sessiondex.engine.index import Index
from sessiondex.engine.postings import Postings
from sessiondex.engine.table import IndexKeys, Row, Table

OWNER, OTHER_OWNER = b"o" * 16, b"p" * 16
LOWEST, HIGHEST = -(2**63), 2**63 - 1
INITIAL: Index[Postings] = Index("initial", ("text",), lambda: Postings(16, 2))
LENGTH: Index[FacetedPostings] = Index("length", ("text",), lambda: FacetedPostings(16, 2))


def key_of(number: int) -> bytes:
    return b"%016d" % number


KEYS = [key_of(number) for number in range(4)]


def index_keys_of(text: str) -> IndexKeys:
    """File a text under its initial, and texts of two or more letters by length, initial and last letter."""
    faceted = (b"%d" % len(text), text[0], text[-1], ord(text[0])) if len(text) > 1 else None
    return text[:1].encode() or None, faceted


def expected_keys(row: Row) -> IndexKeys:
    return index_keys_of(Table.value(row).decode())


def put(table: Table, key: bytes, stamp: int, text: str) -> None:
    table.apply(table.plan_put(key, OWNER, stamp, stamp + 1, index_keys_of(text), text.encode()))


def table_of(*texts: str) -> Table:
    """Return a table of these texts, with their position as key and stamp."""
    table = Table([INITIAL, LENGTH])
    for stamp, text in enumerate(texts):
        put(table, key_of(stamp), stamp, text)
    return table


def row_of(table: Table, key: bytes) -> Row:
    row = table.row(key)
    assert row is not None
    return row


def contents(table: Table) -> dict[bytes, tuple[int, str]]:
    """Return stamp and text of each row, after a check of the indexes."""
    table.check(expected_keys)
    return {key: (table.head(row).stamp, table.value(row).decode()) for key, row in table._rows.items()}
