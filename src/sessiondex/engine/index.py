"""The declaration of an index, and the interface of the storage behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

K_contra = TypeVar("K_contra", contravariant=True)


class IndexStorage(Protocol[K_contra]):
    """Keep postings under index keys: `Postings`, or a class that splits them further.

    A posting is eight bytes that sort like the stamp of a row, followed by the key of the row.
    """

    def __len__(self) -> int:
        """Return the number of keys."""

    @property
    def posting_count(self) -> int:
        """The number of postings under all keys."""

    def add(self, index_key: K_contra, posting: bytes, /) -> None:
        """Add the posting under the index key."""

    def remove(self, index_key: K_contra, posting: bytes, /) -> None:
        """Remove the posting from under the index key, where it must be."""

    def move(self, index_key: K_contra, posting: bytes, new_posting: bytes, /) -> None:
        """Replace the posting under the index key by a new one of the same row."""

    def clear(self) -> None:
        """Remove all postings, in whatever state an interrupted change left them."""

    def check(self, expected: Iterable[tuple[K_contra, bytes]], /) -> None:
        """Raise `DivergenceError` unless exactly these postings are filed under these keys."""


# The type of the index keys varies from index to index; `storage` is what gives a caller the precise type.
F = TypeVar("F", bound=IndexStorage[Any])


@dataclass(frozen=True, eq=False)
class Index(Generic[F]):
    """Declare an index that keeps its postings in an `F`.

    `fields` names the values that the index keys are made of; it is documentation. `storage` makes the empty storage.

    >>> from sessiondex.engine.postings import Postings
    >>> by_month = Index("month", ("year", "month"), Postings)
    >>> by_month.name, len(by_month.storage())
    ('month', 0)
    """

    name: str
    fields: tuple[str, ...]
    storage: Callable[[], F]
