"""Stores with a journal: each in a file of its own, opened when it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

from sessiondex import InMemorySessionStore
from sessiondex.stores.sqlite import SQLiteJournal
from tests.support.stores import check_indexes


class JournalledStores:
    """Makes stores with a journal in a folder, and checks them at the end.

    >>> import asyncio, tempfile
    >>> async def main(folder):
    ...     stores = JournalledStores(Path(folder))
    ...     store = await stores()
    ...     await stores.aclose()
    ...     return await store.health_check()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(main(folder))
    False
    """

    def __init__(self, folder: Path, **journal_options: Any) -> None:
        self._folder = folder
        self._journal_options = journal_options
        self._numbers = count(1)
        self.stores: list[InMemorySessionStore[Any]] = []

    async def __call__(self, path: Path | None = None, **options: Any) -> InMemorySessionStore[Any]:
        """Return an open store, on a new file unless a path is given."""
        path = path or self._folder / f"{next(self._numbers)}.db"
        store: InMemorySessionStore[Any] = InMemorySessionStore(
            journal=SQLiteJournal(path, **self._journal_options), **options
        )
        self.stores.append(store)
        return await store.__aenter__()

    async def aclose(self) -> None:
        """Close all stores, and check their indexes."""
        for store in self.stores:
            await store.aclose()
            check_indexes(store)


MakeStore = Callable[..., Awaitable[Any]]
