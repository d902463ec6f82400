"""The statements that write many rows at once.

`sqlite3` releases the global interpreter lock for each step of a statement, and in a busy process gets it back only
after some milliseconds; so a row per step would starve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from sessiondex.stores.sqlite.rows import Delete, Put, Touch, Write, data_check, head_check

MAX_ROWS = 64
"""In one statement: more would hold up the loop, fewer cost more changes of threads."""

COLUMNS = "id, stamp, revision, type, version, head_check, data_check, data"
_INSERT = f"INSERT INTO sessions ({COLUMNS}) VALUES "
_PUT = _INSERT + (
    "{} ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp, "
    "revision = excluded.revision, type = excluded.type, version = excluded.version, "
    "head_check = excluded.head_check, data_check = excluded.data_check, data = excluded.data"
)
_PUT_ROW = "(?, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))"
# The row is always there. It is written so since `UPDATE` takes no list of rows before SQLite 3.33.
_TOUCH = _INSERT + "{} ON CONFLICT (id) DO UPDATE SET stamp = excluded.stamp, head_check = excluded.head_check"
_TOUCH_ROW = "(?, ?, ?, '', 0, ?, 0, '')"
_DELETE = "DELETE FROM sessions WHERE id IN ({})"


Statement: TypeAlias = tuple[str, list[Any]]


def statements_for(writes: Collection[Write]) -> list[Statement]:
    """Return the statements that make these changes, each of another session."""
    puts = [_put_values(one) for one in writes if type(one) is Put]
    touches = [
        (one.key, one.stamp, one.revision, head_check(one.key, one.stamp, one.revision))
        for one in writes
        if type(one) is Touch
    ]
    deletes = [(one.key,) for one in writes if type(one) is Delete]
    return [
        *_in_statements(_PUT, _PUT_ROW, puts),
        *_in_statements(_TOUCH, _TOUCH_ROW, touches),
        *_in_statements(_DELETE, "?", deletes),
    ]


def _put_values(put: Put) -> tuple[Any, ...]:
    key, stamp, revision, (name, version, data) = put
    return (
        key,
        stamp,
        revision,
        name,
        version,
        head_check(key, stamp, revision),
        data_check(key, name.encode(), version, data),
        data,
    )


def _in_statements(statement: str, row: str, rows: Sequence[tuple[Any, ...]]) -> Iterable[Statement]:
    """Yield statements for all rows, each for a power of two of them: so SQLite has few of them to compile."""
    for start in range(0, len(rows), MAX_ROWS):
        some = [*rows[start : start + MAX_ROWS]]
        size = 1 << (len(some) - 1).bit_length()
        if size > len(some):
            # Writing a row twice changes nothing; the shortest costs least.
            some += [min(some, key=_size)] * (size - len(some))
        yield statement.format(", ".join([row] * size)), [value for values in some for value in values]


def _size(values: tuple[Any, ...]) -> int:
    return len(values[-1]) if isinstance(values[-1], bytes) else 0
