"""Reindexer: brings the index entries of stored sessions to what their classes declare now."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Generic
from uuid import UUID

from sessiondex.contract import OnReindexed, ReindexProgress
from sessiondex.errors import InvalidSessionError
from sessiondex.progress import report
from sessiondex.reading import S
from sessiondex.stores.redis.codec import SessionCodec, head_of, index_keys_in
from sessiondex.stores.redis.maintenance import TenantRegistry
from sessiondex.stores.redis.tenant_client import TenantClient

log: logging.Logger = logging.getLogger("sessiondex")

PAGE_SIZE = 100  # sessions read and indexed by one call each


class Reindexer(Generic[S]):
    """Reads all sessions, and sends the index keys of those that differ.

    The server ignores those of a session that was saved after it was read.
    """

    def __init__(self, calls: TenantClient, codec: SessionCodec[S], tenants: TenantRegistry) -> None:
        self._calls = calls
        self._codec = codec
        self._tenants = tenants

    async def run(self, progress: OnReindexed | None) -> ReindexProgress:
        """Reindex all tenants, and return how many sessions were read and how many got other index keys."""
        done = ReindexProgress(read=0, reindexed=0)
        async for tenant_id in self._tenants.tenants():
            stamp = last_id = b""
            while True:
                rows, stamp, last_id = await self._calls.call("export", tenant_id, PAGE_SIZE, stamp, last_id)
                count = await self._reindex(tenant_id, rows)
                done = ReindexProgress(done.read + len(rows), done.reindexed + count)
                if rows:
                    await report(progress, done)
                if not last_id:
                    break
        return done

    async def _reindex(self, tenant_id: UUID, rows: Sequence[bytes]) -> int:
        """Reindex the sessions of a page, and return how many had other index keys."""
        stale: list[str | bytes | int] = []
        for row in rows:
            session = self._codec.decode_or_skip(row, tenant_id)
            if session is None:
                continue
            try:
                index_keys = self._codec.index_keys_of(session)
            except InvalidSessionError as error:
                log.warning("session %s cannot be indexed, and was left as it is: %s", session.session_id, error)
                continue
            if index_keys != index_keys_in(row):
                head = head_of(row)
                stale += [session.session_id.hex, head.stamp, head.revision, index_keys]
        if not stale:
            return 0
        with self._calls.writes:
            (count,) = await self._calls.call("reindex", tenant_id, *stale)
        return int(count)
