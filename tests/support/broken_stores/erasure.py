"""Stores with a fault in erasures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sessiondex import ChangeKind, EvictionReason, ScanSessionStore
from sessiondex.queries import ListQuery, Page, TenantQuery
from sessiondex.stores.writer import Writer
from sessiondex.testing.cases import erasure
from tests.support.broken_stores.fault import found_by
from tests.support.broken_stores.parts import PartsStore


@found_by(*map(str, erasure.GONE))
class ErasesAFew(PartsStore):
    async def _erase(self, query: ListQuery) -> int:
        found = self.backend.newest(query, Page(5), None)
        return self._writer.erase([one.session_id for one in found])


@found_by(*map(str, erasure.GONE))
class ErasesTheWholeStore(PartsStore):
    async def _erase(self, query: ListQuery) -> int:  # noqa: ARG002  # the fault
        others = {one.tenant_id for one in self.backend.page(None, 1_000)}
        return sum([await super(ErasesTheWholeStore, self)._erase(TenantQuery(tenant)) for tenant in others])


@found_by(*map(str, erasure.WHILE_IT_RUNS))
class ErasesWhatWasThere(PartsStore):
    """Erases, slice by slice, what it found at the start."""

    async def _erase(self, query: ListQuery) -> int:
        found = [one.session_id for one in self.backend.newest(query, Page(10_000), None)]
        for start in range(0, len(found), 50):
            await asyncio.sleep(0)
            self._writer.erase(found[start : start + 50])
        return len(found)


class _ErasesByEvicting(Writer[Any, Any]):
    def erase(self, session_ids: Sequence[UUID]) -> int:
        heads = [self._backend.head(session_id) for session_id in session_ids]
        cutoff = self._clock.cutoff()
        self._commit_removals(session_ids, ChangeKind.EVICTED, EvictionReason.IDLE)
        return sum(1 for head in heads if head is not None and (cutoff is None or head.stamp >= cutoff))


@found_by("an-erasure-is-a-change-of-each-session", "an-erasure-calls-no-on-evict")
class ErasesByEvicting(PartsStore):
    writer_class = _ErasesByEvicting

    async def _erase(self, query: ListQuery) -> int:
        if self._notifier is not None:  # which would drop the callbacks for what was erased
            vars(self._notifier)["forget"] = lambda _: None
        return await super()._erase(query)


@found_by("an-erasure-calls-no-on-evict")
class LeavesTheExpired(ScanSessionStore[Any]):
    async def _erase(self, query: ListQuery) -> int:
        found = await self._newest(query, Page(1_000))
        return self._writer.erase([one.session_id for one in found])
