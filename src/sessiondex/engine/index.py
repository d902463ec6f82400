"""A declared index: which fields of a record it looks at, and where it files them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Filing(Protocol):
    """What an index files stamps in: `Postings`, or something that splits them further."""

    def add(self, entry: Any, stamp: int) -> None:
        """File the stamp under the entry."""

    def remove(self, entry: Any, stamp: int) -> None:
        """Take the stamp from under the entry, where it must be."""

    def move(self, entry: Any, stamp: int, new_stamp: int) -> None:
        """File the new stamp under the entry in place of the other."""

    def _check(self, expected: Iterable[tuple[Any, int]]) -> None: ...


F = TypeVar("F", bound=Filing)


@dataclass(frozen=True, eq=False)
class Index(Generic[T, F]):
    """The declaration of an index over records of type `T`, filed in an `F`.

    `fields` are the attributes of a record that it looks at, two or more. `entry` tells, from their values, where the
    record belongs, as plain immutable values, or `None` if it does not belong in this index. `filing` makes the empty
    index.

    >>> from datetime import date
    >>> from sessiondex.engine.postings import Postings
    >>> index = Index("month", ("year", "month"), lambda year, month: f"{year}-{month}", Postings)
    >>> index.entry_of(date(2026, 3, 1))
    '2026-3'
    """

    name: str
    fields: tuple[str, ...]
    entry: Callable[..., Hashable | None]
    filing: Callable[[], F]

    def __post_init__(self) -> None:
        # A record of equal values has an equal entry, so what these return tells whether a record has to move.
        object.__setattr__(self, "values_of", attrgetter(*self.fields))

    values_of: Callable[[T], tuple[Hashable, ...]] = field(init=False, repr=False)

    def entry_of(self, record: T) -> Hashable | None:
        """Return where the record belongs."""
        return self.entry(*self.values_of(record))
