"""Make Redis stores for a test, close them, and check every key that they leave on the servers."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sessiondex.stores.redis import RedisSessionStore
from tests.support.redis.internals import prefix_of
from tests.support.redis.recount import check_indexes, contents
from tests.support.redis.servers import Servers
from tests.support.waiting import HANG_SECONDS


class RedisStores:
    """Makes stores with unique prefixes, closes them, and checks their keys."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.may_leave: frozenset[str] = frozenset()
        """Kinds of keys that may be left on the servers, see `recount.differences`."""
        self._made: list[RedisSessionStore[Any]] = []

    def __call__(
        self, *, url: str | None = None, prefix: str | None = None, cls: Any = RedisSessionStore, **options: Any
    ) -> Any:
        options = {"timeout": HANG_SECONDS / 2, **options}  # calls must succeed on a busy machine too
        store = cls(url or self.servers.url, prefix=prefix or f"t{uuid4().hex}", **options)
        self._made.append(store)
        return store

    async def close(self) -> None:
        for store in self._made:
            await store.aclose()

    def check(self) -> None:
        held = contents(self.servers)
        for prefix in {prefix_of(store) for store in self._made}:
            check_indexes(self.servers, prefix, self.may_leave, held)
