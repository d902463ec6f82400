"""A declared index: which values of a record it looks at, and where it files them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


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
class Index(Generic[F]):
    """The declaration of an index filed in an `F`.

    `fields` names the values of a record that it looks at, two or more. `entry` tells, from these values, where the
    record belongs, as plain immutable values, or `None` if it does not belong in this index. `filing` makes the empty
    index.

    >>> from sessiondex.engine.postings import Postings
    >>> index = Index("month", ("year", "month"), lambda year, month: f"{year}-{month}", Postings)
    >>> index.entry(2026, 3)
    '2026-3'
    """

    name: str
    fields: tuple[str, ...]
    entry: Callable[..., Hashable | None]
    filing: Callable[[], F]
