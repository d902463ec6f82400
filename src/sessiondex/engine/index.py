"""A declared index: which values of a record it looks at, and where it files them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class Filing(Protocol):
    """What an index files rows in: `Postings`, or something that splits them further.

    An item is eight bytes to order a row by, and the key of the row.
    """

    def __len__(self) -> int:
        """Return how many keys there are."""

    @property
    def entries(self) -> int:
        """How many rows are filed, under all keys."""

    def add(self, entry: Any, item: bytes) -> None:
        """File the item under the entry."""

    def remove(self, entry: Any, item: bytes) -> None:
        """Take the item from under the entry, where it must be."""

    def move(self, entry: Any, item: bytes, new_item: bytes) -> None:
        """File the new item, of the same row, under the entry in place of the other."""

    def _check(self, expected: Iterable[tuple[Any, bytes]]) -> None: ...


F = TypeVar("F", bound=Filing)


@dataclass(frozen=True, eq=False)
class Index(Generic[F]):
    """The declaration of an index filed in an `F`.

    `fields` names the values of a record that it looks at, two or more. `entry` tells, from these values, where the
    record belongs, as bytes or a tuple of plain values, or `None` if it does not belong in this index. `filing` makes
    the empty index.

    >>> from sessiondex.engine.postings import Postings
    >>> index = Index("month", ("year", "month"), lambda year, month: b"%d-%d" % (year, month), Postings)
    >>> index.entry(2026, 3)
    b'2026-3'
    """

    name: str
    fields: tuple[str, ...]
    entry: Callable[..., Any]
    filing: Callable[[], F]
